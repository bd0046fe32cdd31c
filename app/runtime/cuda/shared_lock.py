"""Two kinds of work that must not meet: of one any number may be done at once, of the other one and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Exclusion:
    """A lock with two sides."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together, self._is_alone = 0, False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait until nobody is alone, and let others be here at once."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody is here, and let nobody in."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone and not self._together)
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()
