"""Calls that threads leave for an event loop; however many there are, they wake it once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Mailbox:
    """To wake a loop is a system call, and a batch has many requests to answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._left: deque[Callable[[], None]] = deque()
        self._is_awaited = False  # a delivery is on its way

    def leave(self, call: Callable[[], None]) -> None:
        """Have `call` called on the loop, after all that was left before. From any thread."""
        self._left.append(call)
        if not self._is_awaited:
            self._is_awaited = True
            self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_awaited = False  # first: what is left from here on finds either this loop or a delivery of its own
        try:
            while self._left:
                self._left.popleft()()
        finally:
            if self._left:  # one call failed; the others do not suffer for it
                self.loop.call_soon(self._deliver)
