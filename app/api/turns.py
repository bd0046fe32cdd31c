"""How many predictions begin in one turn of the event loop, so that probes and answers come in between."""

from __future__ import annotations

import asyncio
from collections import deque

MOST_BEGUN = 32  # predictions in one turn: some ten milliseconds, most of which is tokenizing


class Turns:
    """Gives each turn of an event loop to `MOST_BEGUN` calls at most; the others wait for later turns, in order."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None  # that its calls are on
        self._begun = 0  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> asyncio.Future[None] | None:
        """Take part in this turn; return what to await first where it has been given away."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._begun = loop, 0
            self._waiting.clear()
        if not self._begun:
            loop.call_soon(self._end)
        self._begun += 1
        if self._begun <= MOST_BEGUN:
            return None
        self._waiting.append(turn := loop.create_future())
        return turn

    def _end(self) -> None:
        """Begin the next turn, with those that have waited longest."""
        self._begun = 0
        while self._waiting and self._begun < MOST_BEGUN:
            turn = self._waiting.popleft()
            if not turn.done():  # the caller may have been cancelled
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._end)
