"""A worker process: HTTP, validation, tokenizing and decoding, in front of the engines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import __version__
from app.api.application import build_front
from app.api.server import Server, bind, server_config
from app.metrics import Metrics
from app.processes.child import DRAIN, Child, engine_socket
from app.processes.engine_pool import Fleet
from app.processes.exposition import AllProcesses
from app.serving.registry import Registry

FIRST_WORD_S = 5.0  # how long to wait for an engine to say what it serves before answering 503

log = structlog.get_logger(__name__)


class Worker(Server):
    """The server of one worker; it drains on the supervisor's order, not on a signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            log.info("listening", url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        log.debug("signal_left_to_the_supervisor", number=sig)


def run_worker(child: Child) -> None:
    """Answer requests until the supervisor says to end."""
    with asyncio.Runner(loop_factory=server_config(child.settings).get_loop_factory()) as runner:
        runner.run(serve(child))


async def serve(child: Child) -> None:
    settings = child.settings
    metrics = Metrics(CollectorRegistry(), is_one_of_several=True)
    registry = Registry(settings.models.name)
    sockets = [engine_socket(child.folder, number) for number in range(settings.engines)]
    fleet = Fleet(settings, metrics, registry, sockets)
    exposed = CollectorRegistry()
    exposed.register(AllProcesses(metrics, registry, fleet, child.folder))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        fleet.start()
        log.info("starting", version=__version__)
        with suppress(TimeoutError):  # until then the workers that are there take the connections
            await asyncio.wait_for(fleet.told.wait(), FIRST_WORD_S)
        yield
        await fleet.close()
        log.info("stopped")

    server = Worker(build_front(settings, registry, fleet, metrics, exposed, lifespan), settings)

    def drain() -> None:
        fleet.told.set()  # a worker that has not begun need not begin
        server.drain()

    child.follow({DRAIN: drain})
    await server.serve([bind(settings.host, child.assignment.port, shared=True)])
