"""The engine process of one device."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import structlog
from prometheus_client import CollectorRegistry

from app import __version__
from app.api.server import server_config
from app.metrics import Metrics
from app.processes.child import CONFIGURATION_EXIT, DRAIN, RELOAD, Child, engine_socket
from app.processes.engine_server import Host
from app.runtime.session import SessionError
from app.serving.core import Core

STOP_S = 1.0  # for batches in hand when the workers are gone: nobody waits for them any more

log = structlog.get_logger(__name__)


def run_engine(child: Child) -> None:
    """Run until the supervisor says to end. What is wrong with the settings ends it with `CONFIGURATION_EXIT`."""
    number = child.assignment.number
    settings = child.settings.model_copy(update={"gpus": [child.settings.gpus[number]]})
    try:
        core = Core(settings, Metrics(CollectorRegistry(), is_one_of_several=True), number)
    except SessionError as error:
        sys.stderr.write(f"roberta-serve: {error}\n")
        raise SystemExit(CONFIGURATION_EXIT) from None
    with asyncio.Runner(loop_factory=server_config(child.settings).get_loop_factory()) as runner:
        runner.run(serve(core, child))


async def serve(core: Core, child: Child) -> None:
    """Serve workers until the order to drain."""
    host, ending = Host(core, child.settings.request_timeout_s), asyncio.Event()
    loads: set[asyncio.Task[None]] = set()

    def load() -> None:
        task = asyncio.create_task(host.load())
        loads.add(task)
        task.add_done_callback(loads.discard)

    core.engine.start()
    log.info("starting", version=__version__, device=core.device, runners=len(core.engine.runners))
    await host.listen(engine_socket(child.folder, child.assignment.number))
    child.follow({DRAIN: ending.set, RELOAD: load})
    load()
    beat = asyncio.create_task(host.beat())
    await ending.wait()
    beat.cancel()
    await asyncio.to_thread(core.stop, STOP_S)
    host.close()
    with suppress(asyncio.CancelledError):
        await beat
    log.info("stopped")
