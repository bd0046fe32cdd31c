"""A lock that many threads may share, or one may hold exclusively."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Readers and a writer, under the names of the two ways to hold it: `shared` and `exclusive`.

    A thread that holds it may share it once more; any other second acquisition by the same thread never ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing, self._is_exclusive = 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock within the block, beside others that share it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_exclusive)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock within the block, when no other thread holds it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_exclusive and not self._sharing)
            self._is_exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._is_exclusive = False
                self._changed.notify_all()
