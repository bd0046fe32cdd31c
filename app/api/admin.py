"""The admin port: the pages alone, on an event loop of their own, so that they answer however busy the service is."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.api.connections import Limits
from app.api.keys import Keyring
from app.api.listener import url_of
from app.api.pages import build_pages
from app.api.server import ConnectionServer, server_config
from app.service import Service

MOST_CONNECTIONS = 64  # those that read pages are few
FINISH_S = 1.0

log = structlog.get_logger(__name__)


class AdminApplication:
    """An ASGI application of the pages. With `runs_service` the service, which no other application has, starts and
    ends with it."""

    def __init__(self, service: Service, *, runs_service: bool = False) -> None:
        self.service = service
        keys = Keyring(service.settings, service.metrics)  # its own, which no other thread reads
        self.pages = build_pages(service, keys, lifespan=self._lifespan if runs_service else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.pages(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.service.start(wait=False)
        yield
        await self.service.stop()


class AdminServer(ConnectionServer):
    """The server of the admin port; it ends within moments."""

    def __init__(self, app: AdminApplication) -> None:
        settings = app.service.settings
        limits = Limits.of(settings.model_copy(update={"max_connections": MOST_CONNECTIONS}))
        super().__init__(app.service, limits, server_config(settings, app))

    def announce(self, bound: socket.socket) -> None:
        log.info("admin_listening", at=url_of(bound).removeprefix("http://"))

    def end(self) -> None:
        """End soon; any thread may call it."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.finish(FINISH_S)
        await self.cut_off()
        await self.lifespan.shutdown()


class AdminThread:
    """The admin port of a service that this process runs, on a thread."""

    def __init__(self, service: Service, bound: socket.socket) -> None:
        self._server = AdminServer(AdminApplication(service))
        self._thread = threading.Thread(target=self._server.run, args=([bound],), name="admin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._server.end()
        await asyncio.to_thread(self._thread.join)
