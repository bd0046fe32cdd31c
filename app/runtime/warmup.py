"""Timing a session before it serves, with windows made up for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from app.engine.cost import CostModel, Shape
from app.window import Floats, Ranking, Window

Compute = Callable[[Sequence[Window]], Sequence[Floats]]

LEAST_WIDE = 2048  # columns of an output that is as wide as a vocabulary
MOST_ROWS = 64  # of the head, to time
KEPT = 5  # columns of a wide row that are kept, as many as most requests ask for
TRIALS = 4


def measure_cost(compute: Compute, shapes: Sequence[tuple[int, int]]) -> CostModel:
    """Fit the cost of a batch to one timed run of each shape, (windows, tokens in each), after a run that warms up."""
    samples = []
    for count, length in shapes:
        windows = synthetic_windows(count, length)
        compute(windows)
        started = time.perf_counter()
        compute(windows)
        samples.append((Shape.of([length] * count), time.perf_counter() - started))
    cost = CostModel.fit(samples)
    cost.per_head_row = measure_head_row(compute, min(MOST_ROWS, max(length for _, length in shapes)))
    return cost


def measure_head_row(compute: Compute, rows: int) -> float:
    """Return the seconds that one more row of the head takes, what is kept of wide rows included.

    Two windows of the same `rows` tokens are timed in turns, one with a single head row, one with all of them; noise
    only makes a trial slower.
    """
    ids = synthetic_windows(1, rows)[0].input_ids
    width = compute([Window(ids, np.zeros(1, np.int64))])[0].shape[-1]
    ranking = Ranking(KEPT, 1.0) if width >= LEAST_WIDE else None
    fastest = {count: float("inf") for count in (1, rows)}
    for _ in range(TRIALS):
        for count in fastest:
            window = Window(ids, np.arange(count, dtype=np.int64), ranking=ranking)
            started = time.perf_counter()
            compute([window])
            fastest[count] = min(fastest[count], time.perf_counter() - started)
    return max(0.0, fastest[rows] - fastest[1]) / max(1, rows - 1)


def shortened(shapes: Iterable[tuple[int, int]], max_length: int) -> list[tuple[int, int]]:
    """Return shapes, (windows, tokens in each), with no window longer than `max_length`."""
    return [(count, min(length, max_length)) for count, length in shapes]


def synthetic_windows(count: int, length: int) -> Sequence[Window]:
    """Return windows of `length` arbitrary tokens: the token ids from 5 to 36 are in every vocabulary."""
    ids = 5 + np.arange(length, dtype=np.int64) % 32
    return [Window(ids, np.zeros(1, np.int64))] * count
