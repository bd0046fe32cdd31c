"""uvicorn, in one process or in each worker, on connections of its own: it drains before it ends."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from app.api.connection import Connection
from app.api.connections import Connections, Limits
from app.api.listener import Listener, bind, url_of
from app.settings import Settings

if TYPE_CHECKING:  # an engine process, which only asks for the event loop, needs nothing of the application
    from app.api.application import Application

STARTUP_EXIT = 3  # uvicorn's
TICK_S = 0.05
QUIET_S = 1.0  # how long a connection without a request stays open once nothing listens any more
LAST_ANSWERS_S = 1.0  # for requests that are cut off to be told so

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Accepts connections by itself, and on SIGTERM and SIGINT answers the requests in flight, and ends."""

    def __init__(self, app: Application) -> None:
        super().__init__(server_config(app.service.settings, app))
        self.app = app
        self._listeners: list[Listener] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_EXIT)
        settings, loop = self.app.service.settings, asyncio.get_running_loop()
        self.connections = Connections(Limits.of(settings), self.app.service.metrics, loop)
        for bound in sockets or [bind(settings.host, settings.port)]:
            self._listeners.append(Listener(bound, self._connect, self.connections, self.config.ssl))
            log.info("listening", url=url_of(bound))
        self.started = True

    def _connect(self, arrived: float) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state, self.connections, arrived)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second; return whether to end."""
        self._sweep()
        return await super().on_tick(counter)

    def _sweep(self) -> None:
        now = time.monotonic()
        self.connections.sweep(now)
        for listener in self._listeners:
            listener.sweep(now)

    # --- The end -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Listen no more, answer the requests in flight, and end."""
        self.app.service.draining = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.app.service.draining = True
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again in the end: a clean stop exits with 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in flight, for `drain_timeout_s` at most, each answer being its connection's last."""
        log.info("draining", connections=len(self.connections.open))
        self.connections.close_after_answers()
        for listener in self._listeners:
            listener.close()
        began = time.monotonic()
        while self.connections.open and time.monotonic() - began < self.app.service.settings.drain_timeout_s:
            if time.monotonic() - began > QUIET_S:
                self.connections.close_waiting()
            self._sweep()
            await asyncio.sleep(TICK_S)
        await self._cut_off()
        await self.lifespan.shutdown()

    async def _cut_off(self) -> None:
        """Tell the requests that are still in flight that they are not answered."""
        self.app.service.draining = True
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            log.warning("requests_cut_off", requests=len(tasks))
            await asyncio.wait(tasks, timeout=LAST_ANSWERS_S)
        await asyncio.sleep(TICK_S if self.connections.open else 0)
        self.connections.abort_all()


def server_config(settings: Settings, app: Any = None) -> uvicorn.Config:
    """Return uvicorn's configuration; without an app it only chooses the event loop."""
    return uvicorn.Config(
        app or "app.processes",
        host=settings.host,
        port=settings.port,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is
    )
