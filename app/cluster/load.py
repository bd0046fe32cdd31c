"""How busy the engine of a replica is."""

from __future__ import annotations

import time

from app.cluster.scaling import BUSY, QUEUE
from app.serving.local_engine import LocalEngine


class Load:
    """Measures an engine: the tokens that wait, and the share of its runners' time that went into batches since the
    last measurement."""

    def __init__(self, backend: LocalEngine) -> None:
        self._engine = backend.engine
        self._read_at, self._busy_s = time.monotonic(), 0.0

    def read(self) -> dict[str, float]:
        """Return the measures by their names."""
        now = time.monotonic()
        busy_s = sum(runner.busy_seconds(now) for runner in self._engine.runners)
        passed_s = max(now - self._read_at, 1e-3) * len(self._engine.runners)
        share = min(1.0, max(0.0, (busy_s - self._busy_s) / passed_s))
        self._read_at, self._busy_s = now, busy_s
        return {QUEUE: float(self._engine.queued_tokens), BUSY: share}
