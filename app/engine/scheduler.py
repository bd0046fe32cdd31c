"""Which windows run next. Pure and deterministic: the time is an argument and nothing waits; the engine holds its lock.

The scheduler is work-conserving: a free runner takes a batch at once, and batches form by themselves while all runners
are busy. Requests take turns. When some windows of a request start, the rest queue as if they arrived when those end.
Within a priority, a batch takes one window of every waiting request before a second of any. So a new request waits for
running batches only, and not for a large request. Nor does a cheap one wait for expensive ones that came before it: the
window goes first that would be done first, and as much again, if all requests shared the runners equally.

They take turns as long as every accepted deadline can still be kept after the batch. Otherwise what is due first goes
first: taking turns would make all of them late together.

What is promised of deadlines, as far as batches take what is predicted: a request that was admitted is answered by its
deadline. No later request of its priority or of a lower one delays it beyond that. Where a request of higher priority
cannot be answered in time otherwise, requests of lower priority give way, if none of their windows has started: the
lowest priority first, of those the one that is due last, and no more than it takes. They are refused at once.
"""

from __future__ import annotations

from itertools import accumulate
from math import inf

from app.engine.admission import Admission, Limits
from app.engine.ask import Ask
from app.engine.backlog import Backlog, Level, condensed
from app.engine.filling import fill_by_due, fill_by_length
from app.engine.queue import Queue, QueuedRequest
from app.engine.running import InHand
from app.engine.work import Batch, Lane, QueuedWindow, Ticket
from app.errors import DeadlineExceededError, DisplacedError, ServeError

TOO_LATE = "the deadline would have passed before the answer was ready"


class Scheduler:
    """Admission to the queue, and the choice of the next batch from it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queue = Queue()
        self._in_hand = InHand(limits.runners)
        self._admission = Admission(limits, self._queue, self._in_hand)
        self._old_priority = inf  # of the last batch, where the turn of its first request was too long ago

    def __len__(self) -> int:
        return len(self._queue.windows)

    @property
    def queued_tokens(self) -> int:
        return self._queue.tokens

    @property
    def queued_requests(self) -> int:
        return len(self._queue.requests)

    @property
    def running_batches(self) -> int:
        return len(self._in_hand)

    # --- Admission --------------------------------------------------------------------------------------

    def admit(self, ticket: Ticket) -> None:
        """Queue every window of a request, or none. A request without windows is finished at once.

        Raises `RequestTooLargeError` when it could never fit, `QueueFullError` when it does not fit now, and
        `DeadlineUnmeetableError` when it fits but cannot be answered in time. Requests of lower priority that give way
        to it finish with a `DisplacedError`.
        """
        lane, lengths = ticket.lane, ticket.lengths
        if not lengths:
            ticket.finish(None)
            return
        correction = lane.cost.correction
        now, deadline, priority = ticket.arrival, ticket.deadline, ticket.priority
        cost_s, longest_s = correction * ticket.cost, lane.window_s(max(lengths), max(ticket.head_rows))
        ask = Ask(lane, now, deadline, priority, ticket.tokens, cost_s, longest_s, len(lengths))
        place = self._admission.decide(ask)
        for request in place.postponed:
            self._queue.be_due(request, request.ticket.deadline)
        for request in place.ending:
            self._end(request, DisplacedError(retry_after_s=self.drain_time_s(ticket.arrival)))
        self._queue.add(ticket, place.due)

    def check_room(self, lane: Lane, tokens: int, now: float, *, deadline: float, priority: int = 0) -> None:
        """Raise what `admit` would raise now for every request of so many tokens or more, but that it is too large.

        That is said when its tokens are known.
        """
        tokens = min(tokens, self.limits.max_queue_tokens)
        cost_s = lane.cost.correction * lane.cost.per_token * tokens
        self._admission.decide(Ask(lane, now, deadline, priority, tokens, cost_s, 0.0, tokens))

    def is_at_ease(self, now: float, deadline: float, priority: int) -> bool:
        """Whether a request that costs next to nothing would be admitted for sure. Any thread may ask."""
        return self._admission.is_at_ease(now, deadline, priority)

    def backlog(self, now: float) -> Backlog | None:
        """Return what others are told of the queue; None while it is so short that nothing is refused."""
        queue, limits, admission = self._queue, self.limits, self._admission
        if admission.is_short(now):
            return None
        bounds = limits.runners, queue.tokens, limits.max_queue_tokens, limits.max_queue_s
        counts = queue.counts.items()
        levels = [Level(of, requests, windows, admission.queued_s(of)) for of, (requests, windows) in counts]
        return Backlog(now, *bounds, self._in_hand.ends, levels, condensed(admission.curve()))

    def drain_time_s(self, now: float) -> float:
        """Return how long all that is queued or running now will take to run."""
        return self._admission.drain_time_s(now)

    def withdraw(self, ticket: Ticket) -> None:
        """Take out of the queue a request that nobody waits for any more."""
        self._queue.withdraw(ticket)

    def drain(self) -> list[Ticket]:
        """Empty the queue and return the requests that were in it."""
        tickets = list(self._queue.requests)
        for ticket in tickets:
            self._queue.withdraw(ticket)
        return tickets

    # --- The next batch ---------------------------------------------------------------------------------

    def next_batch(self, now: float) -> Batch | None:
        """Take the next batch out of the queue, or None when nothing may start yet; `ended` is to be told of its end.

        The queue is divided among the free runners. A window whose deadline has passed is never started: its request
        fails instead.
        """
        while self._queue.windows:
            seed = self._most_urgent(now)
            if seed.ticket.deadline <= now:
                self._end(self._queue.requests[seed.ticket], DeadlineExceededError(TOO_LATE))
                continue
            items = fill_by_length(self._queue, seed, now)
            if self._should_wait(seed.ticket.lane, items, now):
                return None
            items = self._share(items)
            seconds = predicted_s(items)
            if not self._admission.holds_after(items, seconds, now):
                items = self._share(self._due_first(now))
                if not items:
                    continue
                seconds = predicted_s(items)
            return self._start(items, seconds, now)
        return None

    def ended(self, batch: Batch) -> None:
        """Take note that a runner has nothing left of a batch."""
        if batch.running is not None:
            self._in_hand.end(batch.running)

    def finished(self, ticket: Ticket, now: float) -> None:
        """Take note that an admitted request has been computed."""
        if now <= ticket.deadline:
            self._admission.meet()
        else:
            self._admission.miss()

    def missed(self) -> None:
        """Take note that the deadline of an admitted request passed before it was computed."""
        self._admission.miss()

    def ready_in_s(self, now: float) -> float | None:
        """Return when to look again: None when the queue is empty, 0 when a batch may start at once."""
        if not self._queue.windows:
            return None
        oldest = next(iter(self._queue.windows.values()))
        return max(0.0, oldest.ticket.arrival + self.limits.max_queue_delay_s - now)

    def _start(self, items: list[QueuedWindow], seconds: float, now: float) -> Batch:
        queue = self._queue
        first = queue.requests[items[0].ticket]
        self._old_priority = first.ticket.priority if self._is_old(first.turn, now) else inf
        for item in items:
            queue.expect(queue.requests[item.ticket], (item,), -1)
            queue.start(item, now, self.limits.runners)
        return Batch(items[0].ticket.lane, items, self._in_hand.begin(now + seconds))

    def _end(self, request: QueuedRequest, error: ServeError) -> None:
        """Take a request that cannot be answered out of the queue."""
        if isinstance(error, DeadlineExceededError):
            self.missed()
        self._queue.withdraw(request.ticket)
        request.ticket.finish(error)

    def _most_urgent(self, now: float) -> QueuedWindow:
        """Return the window to start next: that of the most urgent request, or that of the oldest if its turn is too
        long ago and the last batch was of no such request, or of one of higher priority."""
        queue = self._queue
        (turn, oldest), (*_, most_urgent) = queue.by_age[0], queue.by_urgency[0]
        window = queue.windows[oldest]
        goes_by_age = self._is_old(turn, now) and window.ticket.priority < self._old_priority
        return window if goes_by_age else queue.windows[most_urgent]

    def _is_old(self, turn: float, now: float) -> bool:
        """Whether a turn is too long ago."""
        return now - turn > self.limits.max_queue_age_s

    def _due_first(self, now: float) -> list[QueuedWindow]:
        """Return a batch of what is due first. Requests that cannot be answered in time any more fail."""
        while self._queue.windows:
            request = self._queue.first_due()
            if now + self._needed_s(request) <= request.ticket.deadline:
                return fill_by_due(self._queue, request, now)
            self._end(request, DeadlineExceededError(TOO_LATE))
        return []

    def _needed_s(self, request: QueuedRequest) -> float:
        """Return the least time in which the rest of a request can be computed."""
        lane, windows = request.ticket.lane, request.windows
        side_by_side = lane.cost.correction * request.cost_s / min(self.limits.runners, len(windows))
        alone = lane.window_s(request.next.length, request.next.head_rows)
        return alone if len(windows) == 1 else max(alone, side_by_side)

    def _share(self, items: list[QueuedWindow]) -> list[QueuedWindow]:
        """Leave an equal share of the queue to each other free runner, unless a share is too small for a batch."""
        free = self._in_hand.free_runners
        if free <= 1 or not items:
            return items
        share = max(self._queue.tokens / free, items[0].ticket.lane.cost.fixed_tokens)
        ends = accumulate(item.length for item in items)
        return items[: max(1, sum(end <= share for end in ends))]

    def _should_wait(self, lane: Lane, items: list[QueuedWindow], now: float) -> bool:
        """Whether a batch with space left should wait for more requests, counted from the oldest arrival."""
        full = Batch(lane, items).computed_tokens >= lane.max_batch_tokens
        return not full and (self.ready_in_s(now) or 0.0) > 0


def predicted_s(items: list[QueuedWindow]) -> float:
    """Return the seconds that a batch of windows will take."""
    batch = Batch(items[0].ticket.lane, items)
    return batch.lane.cost.predict(batch.shape)
