"""How much work is due by when: the sums over the whole queue that tell whether every deadline can be kept.

Deadlines are rounded down to points, so that the sums are over hundreds of points, however many requests wait.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from math import frexp, inf, ldexp

import numpy as np
from numpy.typing import NDArray

from app.engine.work import Lane

Seconds = NDArray[np.float64]
Row = tuple[Lane, int]  # work is summed up for each lane and priority

UNIT_S = 1e-9  # work is kept as whole numbers of this, so that what is added and taken out again leaves zero
MOST_CHANGES = 256  # of a row, at as many points, before they are applied
POINT_BITS = 8  # a request's time until its deadline is at least 2**7 times as long as the grid that it is rounded to


def units(seconds: float) -> int:
    return round(seconds / UNIT_S)


def point_of(deadline: float, allowed_s: float) -> float:
    """Round a deadline down to a grid that is by 2**7 or more finer than the time `allowed_s` until then."""
    step = ldexp(1.0, frexp(max(allowed_s, 1e-3))[1] - POINT_BITS)
    return deadline // step * step


class Curve:
    """The work due by each point, in seconds of all runners together, and by how much it could grow.

    `slack` at a point is the point's time less the work due by then; where nothing is due it is infinite, because the
    points before such a one are the narrower. `least` is the least slack from a point on.
    """

    def __init__(self, points: list[float], times: Seconds, due: Seconds) -> None:
        self.points, self.due = points, due.cumsum()
        self.slack = np.where(due > 0, times - self.due, inf)
        self.least = np.minimum.accumulate(self.slack[::-1])[::-1]

    def due_by(self, point: float) -> float:
        """Return the seconds of work due by a point."""
        index = bisect_right(self.points, point)
        return float(self.due[index - 1]) if index else 0.0

    def least_from(self, point: float) -> float:
        """Return the least slack of this point and all later ones."""
        index = bisect_left(self.points, point)
        return float(self.least[index]) if index < len(self.points) else inf

    def first_below(self, point: float, bound: float) -> float | None:
        """Return the first point, from `point` on, whose slack is below a bound."""
        index = bisect_left(self.points, point)
        below = np.flatnonzero(self.slack[index:] < bound)
        return self.points[index + int(below[0])] if len(below) else None


class Demand:
    """The work of the queue by point and row. `totals` has each row's work in units; a row without work is dropped.

    Changes are kept apart until a curve is asked for: while the queue is short nobody asks, and most of them cancel.
    """

    def __init__(self) -> None:
        self.totals: dict[Row, int] = {}
        self._changes: dict[Row, dict[float, int]] = {}
        self._rows: dict[Row, int] = {}
        self._points: list[float] = []  # sorted
        self._times = np.zeros(64)
        self._work = np.zeros((1, 64))  # (rows, points), whole numbers

    def add(self, row: Row, point: float, work: int) -> None:
        """Add work that is due at a point; negative work takes it out again."""
        if total := self.totals.get(row, 0) + work:
            self.totals[row] = total
            changes = self._changes.get(row)
            if changes is None:
                changes = self._changes[row] = {}
            changes[point] = changes.get(point, 0) + work
            if len(changes) > MOST_CHANGES:
                self._apply_changes()
        else:  # of the whole row, at every point
            self._drop_row(row)

    def curve(self, weight: Callable[[Row], float]) -> Curve:
        """Return the curve of all rows, a unit of each counted as `weight` says, in seconds."""
        self._apply_changes()
        count = len(self._points)
        weights = np.array([weight(row) for row in self._rows])
        due = weights @ self._work[: len(weights), :count] if len(weights) else np.zeros(count)
        return Curve(self._points, self._times[:count], due)

    def _apply_changes(self) -> None:
        for row, changes in self._changes.items():
            place = self._rows.get(row)
            if place is None:
                place = self._add_row(row)
            for point, work in changes.items():
                if work:
                    index = self._index_of(point)  # it may make another array of the work
                    self._work[place, index] += work
        self._changes.clear()

    def _index_of(self, point: float) -> int:
        index = bisect_left(self._points, point)
        if index == len(self._points) or self._points[index] != point:
            index = self._insert(point)
        return index

    def _insert(self, point: float) -> int:
        if len(self._points) == self._times.size:
            self._compact()
        count, index = len(self._points), bisect_left(self._points, point)
        self._points.insert(index, point)
        self._times[index + 1 : count + 1] = self._times[index:count]
        self._work[:, index + 1 : count + 1] = self._work[:, index:count]
        self._times[index], self._work[:, index] = point, 0.0
        return index

    def _compact(self) -> None:
        """Drop the points without work, and make room for as many points as are left."""
        kept = np.flatnonzero(self._work.any(axis=0))
        times, work = self._times[kept], self._work[:, kept]
        size = max(64, 2 * len(kept))
        self._times, self._work = np.zeros(size), np.zeros((len(work), size))
        self._times[: len(kept)], self._work[:, : len(kept)] = times, work
        self._points = times.tolist()

    def _add_row(self, row: Row) -> int:
        place = self._rows[row] = len(self._rows)
        if place == len(self._work):
            self._work = np.concatenate([self._work, np.zeros_like(self._work)])
        return place

    def _drop_row(self, row: Row) -> None:
        """Forget a row without work; the last row takes its place."""
        self.totals.pop(row, None)
        self._changes.pop(row, None)
        if row not in self._rows:
            return
        index, last = self._rows.pop(row), len(self._rows)
        if index != last:
            moved = next(other for other, place in self._rows.items() if place == last)
            self._rows[moved], self._work[index] = index, self._work[last]
        self._work[last] = 0.0
