"""When a request arrived: bytes wait in the kernel while the event loop is busy, and their wait counts."""

from __future__ import annotations

import asyncio
import time

ARRIVED = "roberta.arrived"  # in an ASGI scope: seconds of `time.monotonic()`


class TurnClock:
    """Dates bytes by the turns of an event loop, so that their wait in the kernel is part of a request's time.

    One turn of uvloop polls, reads every socket that has bytes, and then runs the callbacks and tasks that are ready.
    What a poll finds may have come at any moment since the poll before it, so bytes are dated to the beginning of the
    turn before the one that reads them, unless the loop slept in between: they woke it then. The bound holds while each
    turn reads something; a turn that only ran tasks is unknown, and bytes that came during it are dated to its end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began = 0.0  # when this turn first read something; 0: it has not yet
        self._is_ticking = False
        self.previous = 0.0  # when the turn before this one began; 0: the loop slept since then
        self.before_previous = 0.0

    def date(self) -> float:
        """Return since when the bytes that are being read may have been there, in seconds of `time.monotonic()`."""
        now = time.monotonic()
        if not self._began:
            self._began = now
            if not self._is_ticking:
                self._is_ticking = True
                self._loop.call_soon(self._tick)
        return self.previous or now

    def _tick(self) -> None:
        """Run once in each turn, after what it reads, until one reads nothing."""
        self.before_previous, self.previous, self._began = self.previous, self._began, 0.0
        if self.previous:
            self._loop.call_soon(self._tick)
        else:
            self.before_previous, self._is_ticking = 0.0, False
