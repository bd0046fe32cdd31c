"""The pace of refusals: who asks again at once is answered a little later, and leaves time to others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

REFUSALS_PER_S = 1000.0  # by heads, of one process, that are sent at once: a tenth of a core
BURST = 100.0
LONGEST_S = 0.5  # that a refusal waits
AGAIN_S = 1.0  # whoever asks again so soon did not wait as long as any refusal says
TICK_S = 0.02


class Pace:
    """Sends refusals at once while they are few; beyond that, those of clients that ask again wait for their turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._budget, self._counted_at = BURST, time.monotonic()
        self._is_ticking = False

    def send(self, send: Callable[[], None], *, again: bool) -> None:
        """Call `send`, now or at its turn; `again` says that the client was refused less than `AGAIN_S` ago."""
        now = time.monotonic()
        self._refill(now)
        if again and (self._waiting or self._budget < 1):
            self._waiting.append((now, send))
            if not self._is_ticking:
                self._is_ticking = True
                self._loop.call_later(TICK_S, self._tick)
        else:
            self._budget = max(self._budget - 1, -BURST)
            send()

    def send_all(self) -> None:
        """Send what waits."""
        while self._waiting:
            self._waiting.popleft()[1]()

    def _refill(self, now: float) -> None:
        self._budget = min(BURST, self._budget + REFUSALS_PER_S * (now - self._counted_at))
        self._counted_at = now

    def _tick(self) -> None:
        now = time.monotonic()
        self._refill(now)
        while self._waiting and (self._budget >= 1 or now - self._waiting[0][0] > LONGEST_S):
            self._budget = max(self._budget - 1, -BURST)
            self._waiting.popleft()[1]()
        self._is_ticking = bool(self._waiting)
        if self._is_ticking:
            self._loop.call_later(TICK_S, self._tick)
