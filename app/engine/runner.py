"""A thread that takes batches and computes them; a failing batch is halved until only the failing window is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from app.engine.work import Batch
from app.window import Floats

RESTART_PAUSE_S = 0.1  # before a runner that failed goes on
SMALL = 2**14  # up to this many values, one `isfinite` over a copy of all is cheaper than one for each window


class Work(Protocol):
    """Where a runner gets its batches and leaves its results. `is_last`: the runner has nothing left of the batch."""

    def take(self) -> Batch | None:
        """Wait for a batch; None means stop."""
        ...

    def complete(self, batch: Batch, outputs: Sequence[Floats], seconds: float, *, is_last: bool) -> None: ...

    def fail(self, batch: Batch, cause: Exception, *, is_last: bool) -> None:
        """Take the failure of a single window."""
        ...

    def lose(self, batch: Batch | None, cause: BaseException) -> None:
        """Answer what is left of a batch, if there is one, whose runner failed outside of the forward pass."""
        ...


class Runner:
    """Computes batches one after the other on its own thread."""

    def __init__(self, number: int, work: Work) -> None:
        self.number = number
        self._busy_since: float | None = None  # `time.monotonic()` when the running batch began
        self._busy_s = 0.0  # seconds spent in batches that have ended
        self._batch: Batch | None = None  # that it has in hand
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
        """Return the seconds spent in batches until `now`, the running one included."""
        since = self._busy_since
        return self._busy_s + (now - since if since is not None else 0.0)

    def _loop(self) -> None:
        """Run until there is nothing to take any more; what fails outside of a forward pass is begun anew."""
        while True:
            self._batch = None
            try:
                return self._run()
            except BaseException as cause:
                self._busy_since = None
                self._work.lose(self._batch, cause)
            time.sleep(RESTART_PAUSE_S)

    def _run(self) -> None:
        while (batch := self._work.take()) is not None:
            self._batch, self._busy_since = batch, time.monotonic()
            self.process(batch)
            self._busy_s += time.monotonic() - self._busy_since
            self._batch = self._busy_since = None
            del batch  # or a model that was replaced would live until this runner's next batch

    def process(self, batch: Batch) -> None:
        """Compute a batch; every window in it is completed or failed, whatever happens.

        A part that fails is halved, until a single window is left to fail.
        """
        parts = [batch]
        while parts:
            part = parts.pop()
            started = time.monotonic()
            try:
                outputs = self._compute(part)
            except Exception as cause:
                if len(part.items) == 1:
                    self._work.fail(part, cause, is_last=not parts)
                else:
                    first, second = part.halves()
                    parts += second, first
                continue
            self._work.complete(part, outputs, time.monotonic() - started, is_last=not parts)

    def _compute(self, batch: Batch) -> Sequence[Floats]:
        outputs = batch.lane.run(batch.windows, runner=self.number, idle_machine=batch.idle_machine)
        if len(outputs) != len(batch.items):
            raise RuntimeError(f"{len(outputs)} outputs for {len(batch.items)} windows")
        if not are_finite(outputs):
            raise FloatingPointError("the outputs are not all finite numbers")
        return outputs


def are_finite(outputs: Sequence[Floats]) -> bool:
    """Whether arrays of (rows, width) hold finite numbers only."""
    arrays = [np.concatenate(outputs)] if sum(output.size for output in outputs) <= SMALL else outputs
    return all(np.isfinite(array).all() for array in arrays)
