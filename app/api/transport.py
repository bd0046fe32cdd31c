"""HTTP as uvicorn speaks it, except that the head and the body of an answer leave in one write.

Each write is a system call that wakes the client.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HELD = 2**16  # bytes; more is written at once, so that flow control sees it


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
