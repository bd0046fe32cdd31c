"""The lanes that workers may ask an engine process for; a replaced one goes as soon as no worker can ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from app.engine.work import Lane

LATE_S = 10.0  # a replaced lane is kept this long, at most, after the longest deadline of a request for it


@dataclass(slots=True)
class Held:
    """What a worker has said last: the newest table that it has seen, and the models that it may still ask for."""

    table: int
    keys: frozenset[str] = field(default=frozenset())

    def may_ask(self, key: str, replaced_by: int) -> bool:
        """Whether the worker may ask for a model that the table of that number no longer has."""
        return self.table < replaced_by or key in self.keys


class ServedLanes:
    """Lanes by the key of their model, those just replaced included. Belongs to one event loop.

    A worker that is slow to say what it holds, or frozen, keeps a replaced lane until the longest deadline of a
    request has passed, and `LATE_S` more.
    """

    def __init__(self, request_timeout_s: float) -> None:
        self._limit_s = request_timeout_s + LATE_S
        self.table = 0  # the number of the table that is served
        self.by_key: dict[str, Lane] = {}
        self._replaced: dict[str, int] = {}  # by key, the number of the table that was the first without it
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._workers: dict[Hashable, Held] = {}

    def get(self, key: str) -> Lane | None:
        return self.by_key.get(key)

    def join(self, worker: Hashable) -> None:
        """Take note of a worker that is told of the table as it is now, and of none before."""
        self._workers[worker] = Held(self.table)

    def leave(self, worker: Hashable) -> None:
        """Take note that a worker asks for nothing any more."""
        self._workers.pop(worker, None)
        self._let_go()

    def hold(self, worker: Hashable, table: int, keys: Sequence[str]) -> None:
        """Take note of what a worker may ask for, besides what the table of that number has."""
        self._workers[worker] = Held(table, frozenset(keys))
        self._let_go()

    def replace(self, served: Mapping[str, Lane]) -> None:
        """Serve these lanes as the next table, and keep each of those before while a worker may ask for it."""
        self.table += 1
        for key in self.by_key.keys() - served.keys() - self._replaced.keys():
            self._replaced[key] = self.table
            self._expiries[key] = asyncio.get_running_loop().call_later(self._limit_s, self._forget, key)
        for key in served.keys() & self._replaced.keys():  # it is served again
            del self._replaced[key]
            self._expiries.pop(key).cancel()
        self.by_key |= served
        self._let_go()

    def close(self) -> None:
        for expiry in self._expiries.values():
            expiry.cancel()

    def _let_go(self) -> None:
        for key, number in list(self._replaced.items()):
            if not any(held.may_ask(key, number) for held in self._workers.values()):
                self._forget(key)

    def _forget(self, key: str) -> None:
        del self.by_key[key], self._replaced[key]
        self._expiries.pop(key).cancel()
