"""One write for an answer: each is a system call that wakes the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

MOST_HELD = 2**16  # bytes; more is written at once, so that flow control sees it


class JoiningTransport:
    """A transport that writes at the end of an answer, or of the event loop's turn, all that was given to it before.

    It closes in two steps where `is_unread` says that the client is still sending: a socket that is closed with unread
    bytes is reset, and a reset may take the answer from the client before it is read. Source: RFC 9112, section 9.6.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_unread: Callable[[], bool]
    ) -> None:
        self._transport, self._loop, self._is_unread = transport, loop, is_unread
        self._held: list[bytes] = []
        self.is_half_closed = False
        self.written = 0  # bytes given to the transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self.is_half_closed:
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        if len(data) > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            if not self._transport.is_closing():  # the connection may have been dropped before its answer was made
                self.written += sum(map(len, held))
                self._transport.writelines(held)

    def write_all(self, data: bytes) -> None:
        """Write what ends an answer, and what was held before it."""
        if self._held:
            self._held.append(data)
            self.flush()
        elif not self.is_half_closed and not self._transport.is_closing():
            self.written += len(data)
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self.is_half_closed or self._transport.is_closing()

    def close(self) -> None:
        """Send what is held, and close; for the sending side only, where the client is still sending."""
        self.flush()
        if self.is_half_closed or not self._is_unread() or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self.is_half_closed = True
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once, and forget what has not been sent."""
        self._held.clear()
        self._transport.abort()
