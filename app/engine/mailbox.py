"""Calls that threads leave for an event loop. Many calls wake the loop once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Mailbox:
    """The calls left for one event loop. Waking the loop is a system call, and a batch answers many requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._left: deque[Callable[[], None]] = deque()
        self._is_awaited = False  # whether the loop has been told to make the calls

    @property
    def is_full(self) -> bool:
        """Whether calls are left that the loop has not made yet."""
        return self._is_awaited

    def leave(self, call: Callable[[], None]) -> None:
        """Have the event loop make a call, after those that were left before. Any thread may leave one."""
        self._left.append(call)
        if not self._is_awaited:
            self._is_awaited = True
            self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Cleared before the calls are made: one that is left meanwhile is made here, or schedules another delivery.
        self._is_awaited = False
        try:
            while self._left:
                self._left.popleft()()
        finally:
            if self._left:  # a call failed; the others are still made
                self.loop.call_soon(self._deliver)
