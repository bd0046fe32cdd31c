"""A worker process: HTTP, validation, tokenizing and decoding, before the engines."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
from prometheus_client import CollectorRegistry

from app.api.application import Application
from app.api.key_file import KeyFileError
from app.api.key_limits import shared_usage
from app.api.keys import Keyring
from app.api.listener import bind
from app.api.server import Server, server_config
from app.api.start_card import show_when_loaded
from app.logs import count_dropped_lines
from app.metrics import Metrics
from app.processes.child import DRAIN, LEAVE, ChildProcess, engine_socket
from app.processes.engine_pool import EnginePool, ModelsOf
from app.processes.metrics import MergedMetrics
from app.processes.pulse import ALIVE, LOADING
from app.processes.remote_models import RemoteModels
from app.service import Service
from app.tracing.opening import open_tracing

log = structlog.get_logger(__name__)


class Worker(Server):
    """The server of one worker; it drains on the supervisor's order, not on a signal."""

    def __init__(self, app: Application, folder: Path) -> None:
        super().__init__(app)
        self._folder = folder

    def announce(self, bound: socket.socket) -> None:
        super().announce(bound)
        self._card = asyncio.create_task(show_when_loaded(self.service, self.url_of(bound), self._is_first))

    def _is_first(self) -> bool:
        """Whether no other worker has shown the card."""
        try:
            (self._folder / "card").touch(exist_ok=False)
        except OSError:
            return False
        return True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        log.debug("signal_left_to_the_supervisor", number=sig)


def run_worker(child: ChildProcess) -> None:
    """Answer requests until the supervisor says to end."""
    with asyncio.Runner(loop_factory=server_config(child.settings).get_loop_factory()) as runner:
        runner.run(serve(child))


async def serve(child: ChildProcess) -> None:
    server: Worker | None = None
    child.start_pulse(lambda: ALIVE if server is not None and server.started else LOADING)
    pool = open_pool(child)
    usage_of = partial(
        shared_usage, child.folder, number=child.assignment.number, processes=child.settings.http_workers
    )
    try:
        keys = Keyring(child.settings, pool.metrics, usage_of)
    except KeyFileError as error:  # the supervisor starts another worker, which may find it mended
        raise SystemExit(f"roberta-serve: api_keys_file {error}") from None
    count_dropped_lines(pool.metrics.log_lines_dropped.inc)
    app = Application(Service(child.settings, pool), keys, open_tracing(child.assignment.name))
    server = Worker(app, child.folder)

    def drain() -> None:
        pool.hurry()
        server.drain()

    child.follow({LEAVE: server.leave, DRAIN: drain, **pool.told_state.orders()})
    await server.serve([listening_socket(child)])


def listening_socket(child: ChildProcess) -> socket.socket:
    """Return the socket that the workers share, or one of this worker's own for the port that they share."""
    if (descriptor := child.assignment.listening) is not None:
        return socket.socket(fileno=descriptor)
    return bind(child.settings.host, child.assignment.port, shared=True)


def open_pool(child: ChildProcess, models: ModelsOf = RemoteModels) -> EnginePool:
    """Return the pool of all engines; `/metrics` shows what all processes have counted."""
    sockets = [engine_socket(child.folder, number) for number in range(child.settings.engines)]
    exposed = CollectorRegistry()
    pool = EnginePool(child.settings, Metrics(CollectorRegistry(), is_one_of_several=True), sockets, exposed, models)
    exposed.register(MergedMetrics(pool, child.folder))
    return pool
