"""One thread that takes batches and runs them; a failing batch is halved until only the culprit is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from app.engine.work import Batch, Item
from app.window import Floats

SMALL = 2**14  # numbers of a batch's outputs; up to here a copy of them costs less than a call for each


class Work(Protocol):
    """Where a runner gets its batches and leaves its results."""

    def take(self) -> Batch | None:
        """Block for a batch; None means stop."""
        ...

    def complete(self, batch: Batch, outputs: Sequence[Floats], seconds: float) -> None: ...

    def fail(self, item: Item, cause: Exception) -> None: ...


class Runner:
    """Runs batches one after the other on its own thread."""

    def __init__(self, number: int, work: Work) -> None:
        self.number = number
        self._busy_since: float | None = None  # time.monotonic() when the batch in hand began
        self._busy_s = 0.0  # seconds spent in batches that have ended
        self._work = work
        self._thread = threading.Thread(target=self._loop, name=f"runner-{number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, limit_s: float | None = None) -> None:
        self._thread.join(limit_s)

    def is_stalled(self, limit_s: float) -> bool:
        """Whether the thread died, or one batch has been running for longer than `limit_s`."""
        since = self._busy_since
        return not self._thread.is_alive() or (since is not None and time.monotonic() - since > limit_s)

    def busy_seconds(self, now: float) -> float:
        """Return the seconds spent in batches until `now`, the one in hand included."""
        since = self._busy_since
        return self._busy_s + (now - since if since is not None else 0.0)

    def _loop(self) -> None:
        while (batch := self._work.take()) is not None:
            self._busy_since = time.monotonic()
            self.run(batch)
            self._busy_s += time.monotonic() - self._busy_since
            self._busy_since = None

    def run(self, batch: Batch) -> None:
        """Run a batch; every window in it is completed or failed, whatever happens."""
        started = time.monotonic()
        try:
            outputs = batch.lane.run(batch.windows, runner=self.number, alone=batch.alone)
            if len(outputs) != len(batch.items):
                raise RuntimeError(f"{len(outputs)} outputs for {len(batch.items)} windows")
            if not are_finite(outputs):
                raise FloatingPointError("the outputs are not all finite numbers")
        except Exception as cause:
            if len(batch.items) == 1:
                self._work.fail(batch.items[0], cause)
                return
            for half in batch.halves():
                self.run(half)
            return
        self._work.complete(batch, outputs, time.monotonic() - started)


def are_finite(outputs: Sequence[Floats]) -> bool:
    """Whether arrays of (rows, width) hold nothing but finite numbers."""
    arrays = [np.concatenate(outputs)] if sum(output.size for output in outputs) <= SMALL else outputs
    return all(np.isfinite(array).all() for array in arrays)
