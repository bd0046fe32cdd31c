"""Requests of a worker that no engine can take at the moment: they wait, in order, while their deadlines allow."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, insort
from itertools import count
from typing import NamedTuple

from app.errors import DeadlineExceededError, ServeError


class Waiting(NamedTuple):
    """What a request waits on. They sort by priority, the highest first, then by when they came."""

    rank: int  # -priority
    number: int
    released: asyncio.Future[None]


class WaitingRequests:
    """At most `limit_tokens` wait, except that one request may always wait alone."""

    def __init__(self, limit_tokens: int) -> None:
        self._limit_tokens = limit_tokens
        self._waiting: list[Waiting] = []
        self._numbers = count()
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, tokens: int) -> bool:
        return not self._waiting or self.tokens + tokens <= self._limit_tokens

    async def wait(self, tokens: int, *, deadline: float, priority: int) -> None:
        """Return when all that wait are released. Raises what they are refused with, and `DeadlineExceededError`."""
        waiting = Waiting(-priority, next(self._numbers), asyncio.get_running_loop().create_future())
        insort(self._waiting, waiting)
        self.tokens += tokens
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await waiting.released
        except TimeoutError:
            raise DeadlineExceededError from None
        finally:
            self.tokens -= tokens
            place = bisect_left(self._waiting, waiting)
            if self._waiting[place : place + 1] == [waiting]:
                del self._waiting[place]

    def release(self) -> None:
        """Let all go on, in order."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.released.done():
                each.released.set_result(None)

    def refuse(self, error: ServeError) -> None:
        """Raise an error at all that wait."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.released.done():
                each.released.set_exception(type(error)(error.message, error.retry_after_s))
