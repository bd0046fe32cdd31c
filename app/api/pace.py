"""The pace of refusals: who asks again at once is answered later, and leaves time to those who are answered.

A refusal takes time of the cores that compute answers. Up to ten for each answer leave at once: an overload of ten
times is refused as it comes. What is beyond that are clients that ask again at once. Theirs wait, and a client that
waits for its refusal asks for nothing meanwhile. Where many wait, each refusal brings the next request of its client,
and the fewer leave, the more time is left for answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

FOR_AN_ANSWER = 10.0  # refusals by heads, of one process, that are sent at once
LEAST_PER_S, MOST_PER_S = 100.0, 1000.0  # bounds of these, also without answers; the most is about a tenth of a core
BURST = 100.0
MANY, SHARE_OF_MANY = 64, 0.25  # where so many wait, the pace is this share of what it is otherwise
LONGEST_S = 4.0  # that a refusal waits
LONGEST_SHARE = 0.5  # of the time that its request allows
AGAIN_S = 1.0  # whoever asks again so soon did not wait as long as any refusal says
TICK_S = 0.02


class Pace:
    """Sends refusals at once while they are few; beyond that, those of clients that ask again wait for their turn.

    `answers` returns how many requests have been answered so far.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, answers: Callable[[], int] = lambda: 0) -> None:
        self._loop, self._answers = loop, answers
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []  # a heap, by the latest time to send each
        self._numbers = count()
        self._budget, self._counted_at, self._counted = BURST, time.monotonic(), answers()
        self._earned = 0.0  # by answers, and not yet in the budget
        self._ahead = 0.0  # what answers have paid beyond the least, within the last second
        self._is_ticking = False

    def send(self, send: Callable[[], None], *, again: bool, given_s: float) -> None:
        """Call `send`, now or at its turn. `again` says that the client was refused less than `AGAIN_S` ago, and
        `given_s` how long it would have waited for an answer."""
        now = time.monotonic()
        self._refill(now)
        if again and (self._waiting or self._budget < 1):
            latest = now + min(LONGEST_S, LONGEST_SHARE * given_s)
            heappush(self._waiting, (latest, next(self._numbers), send))
            if not self._is_ticking:
                self._is_ticking = True
                self._loop.call_later(TICK_S, self._tick)
        else:
            self._spend()
            send()

    def send_all(self) -> None:
        """Send what waits."""
        while self._waiting:
            heappop(self._waiting)[2]()

    def _spend(self) -> None:
        self._budget = max(self._budget - 1, -BURST)

    def _refill(self, now: float) -> None:
        elapsed_s, answers = now - self._counted_at, self._answers()
        share = 1.0 if len(self._waiting) < MANY else SHARE_OF_MANY
        # An answer counts within the second after it: it may come a moment before the refusals that it stands for.
        self._earned = min(MOST_PER_S, self._earned + share * FOR_AN_ANSWER * (answers - self._counted))
        paid, least = min(self._earned, MOST_PER_S * elapsed_s), share * LEAST_PER_S * elapsed_s
        self._earned -= paid
        missing = max(0.0, least - self._ahead - paid)
        self._ahead = min(LEAST_PER_S, max(0.0, self._ahead + paid - least))
        self._budget = min(BURST, self._budget + paid + missing)
        self._counted_at, self._counted = now, answers

    def _tick(self) -> None:
        now = time.monotonic()
        self._refill(now)
        while self._waiting and (self._budget >= 1 or self._waiting[0][0] <= now):
            self._spend()
            heappop(self._waiting)[2]()
        self._is_ticking = bool(self._waiting)
        if self._is_ticking:
            self._loop.call_later(TICK_S, self._tick)
