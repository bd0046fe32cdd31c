"""The models that a worker may still ask its engines for: each for as long as the worker has a lane of it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import Protocol


class Told(Protocol):
    """What is told: an `EngineClient`."""

    def tell_held(self, keys: Set[str]) -> None: ...


class HeldModels:
    """Counts lanes by the key of their model, from when they are made until nothing refers to them any more.

    A request has the lane of its model from its route until its answer, so that what is not counted is not asked for.
    The engines are told whenever the last lane of a model is gone.
    """

    def __init__(self, engines: Sequence[Told]) -> None:
        self._engines = engines
        self._lanes: Counter[str] = Counter()
        self._lock = threading.RLock()  # a finalizer may run in the middle of `hold`
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Tell engines on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def hold(self, key: str, lane: object) -> None:
        """Count a lane of a model."""
        with self._lock:
            self._lanes[key] += 1
        weakref.finalize(lane, self._release, key).atexit = False

    def tell(self) -> None:
        """Tell the engines for which of the models that they have replaced requests may still come."""
        with self._lock:
            keys = set(self._lanes)
        for engine in self._engines:
            engine.tell_held(keys)

    def _release(self, key: str) -> None:
        """Forget a lane; on any thread."""
        with self._lock:
            self._lanes[key] -= 1
            if self._lanes[key]:
                return
            del self._lanes[key]
        with suppress(RuntimeError):  # the loop is closed
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self.tell)
