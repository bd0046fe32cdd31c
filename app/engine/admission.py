"""Whether a request may enter the queue, and whether every deadline that was accepted is kept when a batch starts.

Both are one question, asked of the whole schedule: with the batches in hand and all that is due by it, does every
deadline hold? The schedule that answers it goes by deadline; a request of higher priority counts as due as soon as
those of its priority allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from app.engine.ask import Ask, Place
from app.engine.backlog import FULL, unmeetable
from app.engine.demand import UNIT_S, Curve, Row, point_of
from app.engine.ease import EASE_S, Ease
from app.engine.queue import Queue, QueuedRequest
from app.engine.running import InHand
from app.engine.work import QueuedWindow
from app.errors import DeadlineUnmeetableError, QueueFullError, RequestTooLargeError

MOST_CAUTION = 2.0
MISSED = 1.1  # what a missed deadline multiplies the caution with
MET = 0.997  # what a deadline that was met leaves of the caution above the least
LEFT_BATCHES = 1  # batches by which accepted deadlines could be kept earlier, so that turns can be taken


@dataclass(frozen=True)
class Limits:
    """Bounds of the queue.

    `max_queue_s` is how long the work ahead of a new request may take. `max_queue_delay_s` is how long a batch with
    space left waits for more requests. All that is predicted is multiplied by `least_caution` or more: under overload a
    refusal costs nothing, and an answer that comes late costs what it took to compute.
    """

    max_queue_tokens: int
    max_queue_age_s: float
    max_queue_delay_s: float = 0.0
    runners: int = 1
    max_queue_s: float = inf
    least_caution: float = 1.1


class Admission:
    """Decides by the queue and the batches in hand. What is predicted grows with deadlines that were missed."""

    def __init__(self, limits: Limits, queue: Queue, in_hand: InHand) -> None:
        self._limits, self._queue, self._in_hand = limits, queue, in_hand
        self.caution = limits.least_caution
        self._ease: Ease | None = None  # None: it has to be looked at anew

    def meet(self) -> None:
        """Take note of an admitted request that was answered in time."""
        least = self._limits.least_caution
        self.caution = least + (self.caution - least) * MET

    def miss(self) -> None:
        """Take note of an admitted request whose deadline passed."""
        self.caution = min(MOST_CAUTION, self.caution * MISSED)

    # --- Admission --------------------------------------------------------------------------------------

    def decide(self, ask: Ask) -> Place:
        """Return when the request is due, and the queued requests that give way to it.

        Raises `RequestTooLargeError`, `QueueFullError` and `DeadlineUnmeetableError`. Nothing is changed.
        """
        limits = self._limits
        if ask.tokens > limits.max_queue_tokens:
            raise RequestTooLargeError(
                f"the request has {ask.tokens} tokens; at most {limits.max_queue_tokens} are taken at once"
            )
        if self._is_still_easy(ask) or self._is_easy(ask):
            return Place(ask.deadline, [], [])
        self._ease = None
        giving_way = self._make_space(ask)
        if (ahead := self._ahead_s(ask)) > limits.max_queue_s:
            raise QueueFullError(FULL, retry_after_s=ahead)
        return self._place(ask, giving_way)

    def is_at_ease(self, now: float, deadline: float, priority: int) -> bool:
        """Whether a request that costs next to nothing would be admitted for sure. Any thread may ask."""
        ease = self._ease
        return (
            ease is not None and priority == ease.priority and now < ease.until and ease.end <= min(deadline, ease.due)
        )

    def is_short(self, now: float) -> bool:
        """Whether the queue is known to be so short that nothing is refused."""
        return not self._queue.windows or (self._ease is not None and now < self._ease.until)

    def _is_still_easy(self, ask: Ask) -> bool:
        """Whether the queue is short, as it was a moment ago; what was asked for since then is added up."""
        ease, queue, limits = self._ease, self._queue, self._limits
        if ease is None or ask.now >= ease.until or ask.priority != ease.priority or ask.lane not in queue.by_due:
            return False
        end = ease.end + self.caution * ask.cost_s / limits.runners + ask.longest_s + ask.cost_s
        due = min(ease.due, ask.deadline)
        if end > due or end > ask.now + limits.max_queue_s or queue.tokens + ask.tokens > limits.max_queue_tokens:
            return False
        ease.end, ease.due = end, due
        return True

    def _is_easy(self, ask: Ask) -> bool:
        """Whether the queue is so short that all of it can be done before anything is due, in any order.

        That is nearly always so but under overload, and it is quickly seen.
        """
        queue, limits = self._queue, self._limits
        if queue.tokens + ask.tokens > limits.max_queue_tokens:
            return False
        if queue.windows and (len(queue.counts) > 1 or ask.priority not in queue.counts):
            return False
        ahead = self.queued_s() + self._in_hand.left_s(ask.now)
        if ahead > limits.max_queue_s * limits.runners:
            return False
        needed = (self.caution * ahead + ask.cost_s) / limits.runners + ask.longest_s + ask.cost_s
        batch = max(self._batch_s(), ask.lane.cost.correction * ask.lane.full_batch_s)
        end = ask.now + needed + (1 + LEFT_BATCHES) * batch
        due = min(ask.deadline, queue.first_due().point) if queue.windows else ask.deadline
        if end > due:
            return False
        self._ease = Ease(ask.priority, end, due, ask.now + EASE_S)
        return True

    def drain_time_s(self, now: float) -> float:
        """Return how long all that is queued or in hand now will take to run."""
        return (self.queued_s() + self._in_hand.left_s(now)) / self._limits.runners

    def _make_space(self, ask: Ask) -> list[QueuedRequest]:
        """Return the requests without which the tokens fit; raises `QueueFullError` where they cannot."""
        missing = self._queue.tokens + ask.tokens - self._limits.max_queue_tokens
        giving_way = []
        if missing > 0:
            for request in self._queue.below(ask.priority):
                giving_way.append(request)
                missing -= request.ticket.tokens
                if missing <= 0:
                    break
            else:
                raise QueueFullError(FULL, retry_after_s=self.drain_time_s(ask.now))
        return giving_way

    def _ahead_s(self, ask: Ask) -> float:
        """Return how long the work ahead of a request takes: what is in hand, and what has its priority or a higher.

        Requests take turns: of each other one, only as much is ahead as the request itself asks for, or one window.
        """
        ahead = self._in_hand.left_s(ask.now)
        limit = self._limits.max_queue_s * self._limits.runners
        if ahead + self.queued_s() > limit:
            for priority, (requests, windows) in self._queue.counts.items():
                if priority >= ask.priority:
                    work = self.queued_s(priority)
                    ahead += min(work, requests * max(ask.cost_s, work / windows))
        return ahead / self._limits.runners

    def _place(self, ask: Ask, giving_way: list[QueuedRequest]) -> Place:
        """Return when the request is due and what gives way; of lower priority, no more than it takes."""
        soon = self._soon(ask)
        if not giving_way and self._is_early(ask, min(soon, ask.deadline)):
            return Place(min(soon, ask.deadline), [], [])
        for due in [soon, ask.deadline] if soon < ask.deadline else [ask.deadline]:
            if (place := self._place_at(ask, due, giving_way)) is not None:
                return place
        raise self._unmeetable(ask)

    def _place_at(self, ask: Ask, due: float, giving_way: list[QueuedRequest]) -> Place | None:
        """Return what besides `giving_way` must give way for all deadlines to hold; None where nothing suffices."""
        queue, taken, early = self._queue, dict.fromkeys(giving_way), dict[QueuedRequest, float]()
        for request in giving_way:
            queue.expect(request, request.windows.values(), -1)
        late, lower = self._first_late(ask, due), queue.below(ask.priority)
        while late is not None:
            victim = next((request for request in lower if request.point <= late and request not in taken), None)
            if victim is None:
                break
            if victim.is_due_early:
                early[victim] = victim.due_s
                queue.be_due(victim, victim.ticket.deadline)
                lower = queue.below(ask.priority)
            else:
                queue.expect(victim, victim.windows.values(), -1)
                taken[victim] = None
            before, late = late, self._first_late(ask, due)
            if late is not None and late > before:
                lower = queue.below(ask.priority)  # what was due too late to help may help now
        for request in taken:
            queue.expect(request, request.windows.values())
        for request, was_due in early.items():
            queue.be_due(request, was_due)
        return None if late is not None else Place(due, list(taken), [each for each in early if each not in taken])

    def _soon(self, ask: Ask) -> float:
        """Return by when a request is answered that goes before all of lower priority."""
        if all(priority >= ask.priority for priority in self._queue.counts):
            return inf
        ahead = sum(self.queued_s(priority) for priority in self._queue.counts if priority >= ask.priority)
        soon = self._in_hand.done_in_s(self.caution * ahead, ask.now) + self._own_s(ask)
        return ask.now + 1.25 * soon + 2 * self._batch_s()

    def _own_s(self, ask: Ask) -> float:
        """Return how long a request alone takes."""
        return max(ask.longest_s, ask.cost_s / min(self._limits.runners, ask.windows))

    def _is_early(self, ask: Ask, due: float) -> bool:
        """Whether all that is queued can be done before anything is due: true as long as the queue is short."""
        if not self._queue.windows:
            caution = self.caution if len(self._in_hand) else 1.0
            return ask.now + caution * (self._in_hand.done_in_s(0.0, ask.now) + self._own_s(ask)) <= due
        total = self.caution * (self.queued_s() + self._in_hand.left_s(ask.now)) + ask.cost_s
        end = ask.now + total / self._limits.runners + self._own_s(ask) + (1 + LEFT_BATCHES) * self._batch_s()
        return end <= min(due, self._queue.first_due().point)

    def _first_late(self, ask: Ask, due: float) -> float | None:
        """Return the first time at which something due could not be done any more; None where all can be done.

        What is due by a time is spread over the runners. A batch holds windows that are due later, too.
        """
        runners = self._limits.runners
        curve = self.curve()
        point = point_of(due, due - ask.now)
        left = self._left_s()
        before = curve.due_by(point) * runners
        start = self._in_hand.done_in_s(before, ask.now)
        end = max(start + self._own_s(ask), self._in_hand.done_in_s(before + ask.cost_s, ask.now))
        if ask.now + end + self._left_s(ask.priority) > due:
            return due
        needed = ask.now + self.caution * self._in_hand.left_s(ask.now) / runners + ask.cost_s / runners + left
        if curve.least_from(point) < needed:
            return curve.first_below(point, needed)
        return None

    def _left_s(self, least_priority: float = -inf) -> float:
        """Return how long what takes its turn before something that is due first may take, of such a priority."""
        counted = [self.queued_s(priority) for priority in self._queue.counts if priority >= least_priority]
        return min(LEFT_BATCHES * self._batch_s(), sum(counted) / self._limits.runners)

    def _unmeetable(self, ask: Ask) -> DeadlineUnmeetableError:
        if not self._queue.windows and not len(self._in_hand):
            ask.lane.cost.relax()
        before = self.curve().due_by(ask.deadline) * self._limits.runners
        return unmeetable(self._in_hand.done_in_s(before, ask.now) + self._own_s(ask))

    # --- While batches start ----------------------------------------------------------------------------

    def holds_after(self, items: Sequence[QueuedWindow], seconds: float, now: float) -> bool:
        """Whether every accepted deadline can still be kept when a runner computes `items` for so many seconds now."""
        queue, runners = self._queue, self._limits.runners
        in_hand, end = self._in_hand.left_s(now), now + seconds
        batch = self._batch_s()
        if end + self.caution * (in_hand + self.queued_s()) / runners + batch <= queue.first_due().point:
            return True
        latest = now + items[0].ticket.lane.cost.slowest * seconds
        if any(item.ticket.deadline < latest for item in items):
            return False
        requests = queue.requests
        for item in items:
            queue.expect(requests[item.ticket], (item,), -1)
        needed = now + self.caution * (in_hand + seconds) / runners + min(batch, self.queued_s() / runners)
        holds = self.curve().least_from(now) >= needed
        for item in items:
            queue.expect(requests[item.ticket], (item,))
        return holds

    # --- Seconds ----------------------------------------------------------------------------------------

    def _weight(self, row: Row) -> float:
        return row[0].cost.correction * self.caution * UNIT_S / self._limits.runners

    def curve(self) -> Curve:
        """Return the work that is due by when, with the caution of now."""
        return self._queue.demand.curve(self._weight)

    def queued_s(self, priority: int | None = None) -> float:
        """Return the seconds of a runner that is queued, of one priority or of all."""
        seconds = 0.0
        for (lane, of), work in self._queue.demand.totals.items():
            if priority is None or of == priority:
                seconds += work * lane.cost.correction
        return seconds * UNIT_S

    def _batch_s(self) -> float:
        """Return the seconds of the longest full batch that the queue may lead to."""
        longest = 0.0
        for lane in self._queue.by_due:
            longest = max(longest, lane.cost.correction * lane.full_batch_s)
        return longest
