"""What waits in an engine, as other processes are told of it: they refuse what it would refuse, without asking it.

They never refuse more. Since they were told, work has been done and more has come: only the first is counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from app.engine.cost import CostModel
from app.engine.demand import Curve
from app.engine.running import done_in_s
from app.errors import DeadlineUnmeetableError, QueueFullError
from app.window import Window

FRESH_S = 0.25  # how long it is believed
MOST_POINTS = 32
FULL = "the queue is full; try again later"


class Price(NamedTuple):
    """What windows cost one model, corrected by what its batches take; see `app.engine.cost`."""

    max_batch_tokens: int
    fixed: float
    per_token: float
    per_cell: float
    per_head_row: float

    @classmethod
    def of(cls, cost: CostModel, max_batch_tokens: int) -> Price:
        known = (cost.fixed, cost.per_token, cost.per_cell, cost.per_head_row)
        return cls(max_batch_tokens, *(cost.correction * seconds for seconds in known))

    def seconds(self, windows: Sequence[Window]) -> float:
        """Return what windows add to full batches, as `app.engine.work.Lane.cost_of` does."""
        cost = CostModel(self.fixed, self.per_token, self.per_cell, per_head_row=self.per_head_row)
        each = (cost.amortized(len(w), self.max_batch_tokens, max(0, len(w.head_rows) - 1)) for w in windows)
        return sum(each)


class Level(NamedTuple):
    """What waits of one priority; `work_s` is in seconds of a runner."""

    priority: int
    requests: int
    windows: int
    work_s: float


class Due(NamedTuple):
    """A point of `app.engine.demand.Curve`: the work that is due by then, and the least slack from then on."""

    point: float
    work_s: float
    least: float


class Backlog(NamedTuple):
    """The queue of an engine `at` a time of `time.monotonic()`, and its bounds; see `app.engine.admission.Limits`.

    `ends` is when each batch in hand is predicted to end.
    """

    at: float
    runners: int
    tokens: int
    max_tokens: int
    max_queue_s: float
    ends: list[float]
    levels: list[Level]
    due: list[Due]

    def check(self, now: float, deadline: float, priority: int, tokens: int, cost_s: float) -> None:
        """Raise `QueueFullError` or `DeadlineUnmeetableError` where the engine would, as far as that is certain.

        A request costs `cost_s` seconds of a runner, or more.
        """
        if now - self.at > FRESH_S or not self.levels:
            return
        done_s = max(0.0, now - self.at) * self.runners  # at most, since then
        queued_s = sum(level.work_s for level in self.levels)
        is_lowest = all(level.priority >= priority for level in self.levels)  # nothing would give way to it
        if is_lowest and self.tokens * (1 - min(1.0, done_s / queued_s)) + tokens > self.max_tokens:
            raise QueueFullError(FULL, retry_after_s=(self._in_hand_s(now) + queued_s) / self.runners)
        if (ahead_s := (self._ahead_s(now, priority, cost_s) - done_s) / self.runners) > self.max_queue_s:
            raise QueueFullError(FULL, retry_after_s=ahead_s)
        if is_lowest:
            self._check_deadline(now, deadline, cost_s, done_s)

    def _in_hand_s(self, now: float) -> float:
        return sum(max(0.0, end - now) for end in self.ends)

    def _ahead_s(self, now: float, priority: int, cost_s: float) -> float:
        """Return the work ahead, in seconds of a runner; see `app.engine.admission.Admission`."""
        ahead = self._in_hand_s(now)
        for level in self.levels:
            if level.priority >= priority:
                ahead += min(level.work_s, level.requests * max(cost_s, level.work_s / level.windows))
        return ahead

    def _check_deadline(self, now: float, deadline: float, cost_s: float, done_s: float) -> None:
        """Raise `DeadlineUnmeetableError` where the request, or what is due after it, would be late."""
        points = [each.point for each in self.due]
        before, after = bisect_right(points, deadline), bisect_left(points, deadline)
        due_s = max(0.0, self.due[before - 1].work_s * self.runners - done_s) if before else 0.0
        expected_s = done_in_s([max(0.0, end - now) for end in self.ends], self.runners, due_s + cost_s)
        is_late = now + expected_s > deadline
        needed = now + (self._in_hand_s(now) + cost_s - done_s) / self.runners
        if is_late or (after < len(self.due) and self.due[after].least < needed):
            raise unmeetable(expected_s)


def condensed(curve: Curve) -> list[Due]:
    """Return `MOST_POINTS` points of a curve at most, the last of it among them."""
    count = len(curve.points)
    chosen = range(count) if count <= MOST_POINTS else [(i + 1) * count // MOST_POINTS - 1 for i in range(MOST_POINTS)]
    return [Due(curve.points[i], float(curve.due[i]), float(curve.least[i])) for i in chosen]


def unmeetable(expected_s: float) -> DeadlineUnmeetableError:
    return DeadlineUnmeetableError(
        f"the answer would take about {expected_s:.2f} s, longer than this request's deadline allows"
    )
