"""uvicorn, in one process or in each worker, on connections of its own: it drains before it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from app.api.around import with_surroundings
from app.api.connection import Connection
from app.api.connections import Connections, Limits
from app.api.gate import Gate
from app.api.listener import Listener, bind, url_of
from app.api.security_headers import security_headers
from app.api.tls import tls_context
from app.api.unix_socket import is_unix
from app.service import Service
from app.settings import Settings

if TYPE_CHECKING:  # an engine process, which only asks for the event loop, needs nothing of the application
    from app.api.admin import AdminThread
    from app.api.application import Application

STARTUP_EXIT = 3  # uvicorn's
TICK_S = 0.05
QUIET_S = 1.0  # how long a connection without a request stays open once nothing listens any more
LAST_ANSWERS_S = 1.0  # for requests that are cut off to be told so

log = structlog.get_logger(__name__)


class ConnectionServer(uvicorn.Server):
    """uvicorn on `Listener` and `Connection`."""

    def __init__(
        self, service: Service, limits: Limits, config: uvicorn.Config, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(config)
        self.service, self._limits, self._tls = service, limits, tls
        self.listeners: list[Listener] = []
        self.gate: Gate | None = None  # that refuses by heads

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_EXIT)
        await self.wait_to_listen()
        self.connections = Connections(self._limits, self.service.metrics, asyncio.get_running_loop(), self.gate)
        for bound in sockets or [bind(self.config.host, self.config.port)]:
            is_shared = is_unix(bound) and self.service.settings.http_workers > 0
            self.listeners.append(Listener(bound, self._connect, self.connections, self._tls, is_shared=is_shared))
            self.announce(bound)
        self.started = True

    async def wait_to_listen(self) -> None:
        """Return when connections are to be accepted."""

    def announce(self, bound: socket.socket) -> None:
        log.info("listening", url=self.url_of(bound))

    def url_of(self, bound: socket.socket) -> str:
        return url_of(bound, "http" if self._tls is None else "https")

    def _connect(self, arrived: float) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state, self.connections, arrived)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second; return whether to end."""
        self.sweep()
        return await super().on_tick(counter)

    def sweep(self) -> None:
        now = time.monotonic()
        self.connections.sweep(now)
        for listener in self.listeners:
            listener.sweep(now)

    async def finish(self, limit_s: float) -> None:
        """Listen no more, and answer what is in flight, each answer being its connection's last."""
        self.connections.close_after_answers()
        for listener in self.listeners:
            await listener.close()
        began = time.monotonic()
        while self.connections.open and time.monotonic() - began < limit_s:
            if time.monotonic() - began > QUIET_S:
                self.connections.close_waiting()
            self.sweep()
            await asyncio.sleep(TICK_S)

    async def cut_off(self) -> None:
        """Tell the requests that are still in flight that they are not answered."""
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            log.warning("requests_cut_off", requests=len(tasks))
            await asyncio.wait(tasks, timeout=LAST_ANSWERS_S)
        await asyncio.sleep(TICK_S if self.connections.open else 0)
        self.connections.abort_all()


class Server(ConnectionServer):
    """The server of an application. On SIGTERM and SIGINT it goes on for `shutdown_delay_s`, not ready any more, then
    answers the requests in flight, and ends. `admin` is started and ended with it. Raises `TlsError`."""

    def __init__(self, app: Application, admin: AdminThread | None = None) -> None:
        self.app, self._settings = app, app.service.settings
        tls = tls_context(self._settings)
        config = server_config(self._settings, with_surroundings(app, self._settings), is_secure=tls is not None)
        super().__init__(app.service, Limits.of(self._settings), config, tls)
        self.gate, self._admin = app.gate, admin
        self._stop_at = 0.0  # not before; in seconds of `time.monotonic()`

    async def wait_to_listen(self) -> None:
        """Wait for the models where health is on another port: a proxy that is refused asks another instance."""
        if self._admin is not None:
            self._admin.start()
        while self._settings.admin_port is not None and self.service.is_loading and not self.should_exit:
            self.service.beat()
            await asyncio.sleep(TICK_S)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) and time.monotonic() >= self._stop_at

    def leave(self) -> None:
        """Be not ready any more; whoever sends requests may take some time to notice, and they are answered."""
        self.service.stopping = True

    def drain(self) -> None:
        """Listen no more, answer the requests in flight, and end."""
        self.leave()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends the delay."""
        is_first = not self.should_exit
        self._stop_at = time.monotonic() + self._settings.shutdown_delay_s if is_first else 0.0
        self.drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("draining", connections=len(self.connections.open))
        self.service.stopping = True
        await self.finish(self._settings.drain_timeout_s)
        self.service.draining = True
        await self.cut_off()
        await self.lifespan.shutdown()
        if self._admin is not None:
            await self._admin.stop()

    def sweep(self) -> None:
        self.service.beat()
        super().sweep()
        self.service.metrics.connections.set(len(self.connections.open))


def server_config(settings: Settings, app: Any = None, *, is_secure: bool = False, **more: Any) -> uvicorn.Config:
    """Return uvicorn's configuration; without an app it only chooses the event loop."""
    return uvicorn.Config(
        app or "app.processes",
        host=settings.host,
        port=settings.port,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see `app.api.around`
        headers=security_headers(is_secure=is_secure),
        **more,
    )
