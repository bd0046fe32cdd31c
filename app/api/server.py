"""uvicorn, in one process or in each worker: it drains before it ends, and sends an answer in one write."""

from __future__ import annotations

import asyncio
import math
import socket
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.settings import Settings

if TYPE_CHECKING:  # the supervisor, which only binds a socket, needs nothing of the application
    from app.api.application import Application

MOST_HELD = 2**16  # bytes; more is written at once, so that flow control sees it


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM and SIGINT refuses new requests, answers those in flight, and ends."""

    def __init__(self, app: Application) -> None:
        super().__init__(server_config(app.service.settings, app))
        self.app = app

    def drain(self) -> None:
        """Refuse new requests, answer those in flight, and end."""
        self.app.service.draining = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.app.service.draining = True
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again in the end: a clean stop exits with 0


# --- One write for an answer: each is a system call that wakes the client -----------------------------------


class JoiningTransport:
    """A transport that writes at the end of an answer, or of the event loop's turn, all that was given to it before."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        if len(data) > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.writelines(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on a `JoiningTransport`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joining = JoiningTransport(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, self._joining))

    def on_response_complete(self) -> None:
        self._joining.flush()
        super().on_response_complete()


# --- Configuration and sockets -------------------------------------------------------------------------------


def server_config(settings: Settings, app: Application | None = None) -> uvicorn.Config:
    """Return uvicorn's configuration; without an app it only chooses the event loop."""
    return uvicorn.Config(
        app or "app.processes",
        host=settings.host,
        port=settings.port,
        http=JoiningProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
    )


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket that does not listen yet. Raises `OSError` when the port is taken.

    Several processes of one user may have a `shared` one of the same port, over which Linux spreads new connections.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        share_port(bound)
    bound.bind((host, port))
    return bound


def share_port(bound: socket.socket) -> None:
    """Let other sockets of this user bind the same port. Source: socket(7), SO_REUSEPORT."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
