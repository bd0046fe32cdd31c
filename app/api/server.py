"""uvicorn as both shapes of the service run it: refuse new work, finish what is in flight, and end cleanly."""

from __future__ import annotations

import math
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.api.transport import JoiningProtocol
from app.settings import Settings


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM and SIGINT drains."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(server_config(settings, app))
        self.app, self._predictor = app, app.state.predictor

    def drain(self) -> None:
        """Answer what is in flight, refuse what comes, and stop."""
        self._predictor.draining = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._predictor.draining = True
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again in the end: a clean stop exits with 0


def server_config(settings: Settings, app: FastAPI | None = None) -> uvicorn.Config:
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


def share_port(keeper: socket.socket) -> None:
    """Source: socket(7), SO_REUSEPORT."""
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
