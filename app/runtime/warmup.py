"""Timing a session before it serves, with windows made up for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from app.engine.cost import CostModel, Shape
from app.window import Window

Compute = Callable[[Sequence[Window]], object]


def measure_cost(compute: Compute, shapes: Iterable[tuple[int, int]]) -> CostModel:
    """Fit the cost of a batch to one timed run of each shape, (windows, tokens in each), after a run that warms up."""
    samples = []
    for count, length in shapes:
        windows = synthetic_windows(count, length)
        compute(windows)
        started = time.perf_counter()
        compute(windows)
        samples.append((Shape.of([length] * count), time.perf_counter() - started))
    return CostModel.fit(samples)


def shortened(shapes: Iterable[tuple[int, int]], max_length: int) -> list[tuple[int, int]]:
    """Return shapes, (windows, tokens in each), with no window longer than `max_length`."""
    return [(count, min(length, max_length)) for count, length in shapes]


def synthetic_windows(count: int, length: int) -> Sequence[Window]:
    """Return windows of `length` arbitrary tokens: the token ids from 5 to 36 are in every vocabulary."""
    ids = 5 + np.arange(length, dtype=np.int64) % 32
    return [Window(ids, np.zeros(1, np.int64))] * count
