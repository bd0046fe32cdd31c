"""The engine process of one device."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from app.api.server import server_config
from app.logs import count_dropped_lines
from app.metrics import Metrics
from app.processes.child import (
    CONFIGURATION_EXIT,
    DRAIN,
    RELOAD,
    ChildProcess,
    engine_socket,
    kept_tokenizers,
    named_table,
)
from app.processes.engine_server import EngineServer
from app.processes.tokenizers import TokenizerStore
from app.runtime.session import SessionError
from app.serving.local_engine import LocalEngine
from app.serving.watching import state_of, watch
from app.tracing.opening import open_tracing

STOP_S = 1.0  # for running batches; the workers have ended by then, so that no client waits for the answers

log = structlog.get_logger(__name__)


def run_engine(child: ChildProcess) -> None:
    """Run until the supervisor says to end. Settings that cannot be served end it with `CONFIGURATION_EXIT`."""
    number = child.assignment.number
    settings = child.settings.model_copy(update={"gpus": [child.settings.gpus[number]]})
    table = named_table(child.folder) if settings.model else None
    store = TokenizerStore(kept_tokenizers(child.folder, number))
    try:
        metrics = Metrics(CollectorRegistry(), is_one_of_several=True, counts_answers=False)
        choices = child.folder / f"engine-{number}.choices"
        local = LocalEngine(settings, metrics, number, store.keep, choices, table)
    except SessionError as error:
        sys.stderr.write(f"roberta-serve: {error}\n")
        raise SystemExit(CONFIGURATION_EXIT) from None
    count_dropped_lines(local.metrics.log_lines_dropped.inc)
    with asyncio.Runner(loop_factory=server_config(child.settings).get_loop_factory()) as runner:
        runner.run(serve(local, child, store))


async def serve(local: LocalEngine, child: ChildProcess, store: TokenizerStore) -> None:
    """Serve workers until the order to drain."""
    tracing = open_tracing(child.assignment.name)
    server, ending = EngineServer(local, child.settings.request_timeout_s, tracing), asyncio.Event()
    loads: set[asyncio.Task[None]] = set()
    child.start_pulse(server.pulse)

    async def load_and_sweep() -> None:
        await server.load()
        await asyncio.to_thread(store.sweep)

    def load() -> None:
        task = asyncio.create_task(load_and_sweep())
        loads.add(task)
        task.add_done_callback(loads.discard)

    await local.start()
    await server.listen(engine_socket(child.folder, child.assignment.number))
    child.follow({DRAIN: ending.set, RELOAD: load})
    load()
    beat = asyncio.create_task(server.beat())
    if child.settings.reload_interval_s:
        look = partial(state_of, child.settings.models)
        loads.add(asyncio.create_task(watch(look, child.settings.reload_interval_s, load_and_sweep)))
    await ending.wait()
    beat.cancel()
    await local.stop(STOP_S)
    server.close()
    with suppress(asyncio.CancelledError):
        await beat
    if tracing is not None:
        tracing.close()
    log.info("stopped")
