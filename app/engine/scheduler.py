"""Which windows run next. Pure and deterministic: the time is an argument and nothing waits; the engine holds its lock.

The scheduler is work-conserving: a free runner takes a batch at once, and batches form by themselves while all runners
are busy. Requests take turns. When some windows of a request start, the rest queue as if they arrived when those end.
Within a priority, a batch takes one window of every waiting request before a second of any. So a new request waits for
running batches only, and not for a large request.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from app.engine.queue import FillKey, Queue, QueuedRequest
from app.engine.work import Batch, Lane, QueuedWindow, Ticket
from app.errors import DeadlineExceededError, DeadlineUnmeetableError, QueueFullError, RequestTooLargeError

COUNTED = 1024  # queued requests that are examined one by one to estimate how long a new one waits


@dataclass(frozen=True)
class Limits:
    """Bounds of the queue. `max_queue_delay_s` is how long a batch with room left waits for more requests."""

    max_queue_tokens: int
    max_queue_age_s: float
    max_queue_delay_s: float = 0.0
    runners: int = 1


class Scheduler:
    """Admission to the queue, and the choice of the next batch from it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queue = Queue()

    def __len__(self) -> int:
        return len(self._queue.windows)

    @property
    def queued_tokens(self) -> int:
        return self._queue.tokens

    @property
    def queued_requests(self) -> int:
        return len(self._queue.requests)

    # --- Admission --------------------------------------------------------------------------------------

    def admit(self, ticket: Ticket) -> None:
        """Queue every window of a request, or none.

        Raises `RequestTooLargeError` when it could never fit, `QueueFullError` when it does not fit now, and
        `DeadlineUnmeetableError` when it fits but cannot be answered in time.
        """
        tokens, limit = ticket.tokens, self.limits.max_queue_tokens
        if tokens > limit:
            raise RequestTooLargeError(f"the request has {tokens} tokens; at most {limit} are taken at once")
        if self._queue.tokens + tokens > limit:
            raise QueueFullError("the queue is full; try again later", retry_after_s=self.drain_time_s())
        request = self._queue.number(ticket)
        expected = self._expected_s(request)
        if ticket.arrival + expected > ticket.deadline:
            raise DeadlineUnmeetableError(
                f"the answer would take about {expected:.2f} s, longer than this request's deadline allows"
            )
        self._queue.add(request)

    def drain_time_s(self) -> float:
        """Return how long all that is queued now will take to run."""
        return self._queue.cost_s / self.limits.runners

    def withdraw(self, ticket: Ticket) -> None:
        """Take out of the queue a request that nobody waits for any more."""
        self._queue.withdraw(ticket)

    def drain(self) -> list[Ticket]:
        """Empty the queue and return the requests that were in it."""
        tickets = list(self._queue.requests)
        for ticket in tickets:
            self._queue.withdraw(ticket)
        return tickets

    def _expected_s(self, request: QueuedRequest) -> float:
        """Return how long a request would take, waiting included.

        The whole queue counts where the deadline leaves time for that. Otherwise only what starts before the request's
        last window counts. That is found request by request, so that it is not looked for beyond `COUNTED` requests,
        because a refusal must stay cheap.
        """
        ticket, runners = request.ticket, self.limits.runners
        own = request.cost_s / min(runners, len(request.windows))
        if ticket.arrival + self.drain_time_s() + own <= ticket.deadline or len(self._queue.requests) > COUNTED:
            return self.drain_time_s() + own
        return sum(self._ahead_s(other, request) for other in self._queue.requests.values()) / runners + own

    def _ahead_s(self, other: QueuedRequest, request: QueuedRequest) -> float:
        """Return the seconds of `other` that run before `request` is finished, since the two take turns."""
        # By the deadline of `request`, what has an older turn than this goes first by its age.
        aged = min(request.turn, request.ticket.deadline - self.limits.max_queue_age_s)
        is_first = other.urgency < request.urgency or other.turn <= aged
        between = request.cost_s - request.next.cost
        return min(other.cost_s, between + (other.next.cost if is_first else 0.0))

    # --- The next batch ---------------------------------------------------------------------------------

    def next_batch(self, now: float, free_runners: int = 1) -> Batch | None:
        """Take the next batch out of the queue, or None when nothing may start yet.

        `free_runners` counts the runner that asks; the queue is divided among them. A window whose deadline has
        passed is never started: its request fails instead.
        """
        while self._queue.windows:
            seed = self._most_urgent(now)
            if seed.ticket.deadline <= now:
                self._queue.withdraw(seed.ticket)
                seed.ticket.finish(DeadlineExceededError("the deadline passed while the request was queued"))
                continue
            items = self._gather(seed, now)
            if self._should_wait(seed.ticket.lane, items, now):
                return None
            items = self._share(items, free_runners)
            for item in items:
                self._queue.start(item, now, self.limits.runners)
            return Batch(seed.ticket.lane, items)
        return None

    def ready_in_s(self, now: float) -> float | None:
        """Return when to look again: None when the queue is empty, 0 when a batch may start at once."""
        if not self._queue.windows:
            return None
        oldest = next(iter(self._queue.windows.values()))
        return max(0.0, oldest.ticket.arrival + self.limits.max_queue_delay_s - now)

    def _most_urgent(self, now: float) -> QueuedWindow:
        """Return the window to start next: that of the oldest request if its turn is too long ago, else that of the
        most urgent."""
        turn, number = self._queue.by_age[0]
        if now - turn <= self.limits.max_queue_age_s:
            *_, number = self._queue.by_urgency[0]
        return self._queue.windows[number]

    def _gather(self, seed: QueuedWindow, now: float) -> list[QueuedWindow]:
        """Fill a batch around `seed`, rank by rank, with the windows nearest to it in length."""
        keys, items, end = self._queue.fill_keys[seed.ticket.lane], [seed], 0
        while end < len(keys):
            rank, start = keys[end].rank, end
            end = bisect_left(keys, (rank + 1, 0, 0))
            self._fill(items, keys[start:end], now)
        return items

    def _fill(self, items: list[QueuedWindow], keys: list[FillKey], now: float) -> None:
        """Add windows of one rank as far as they fit, those nearest in length to the first item first."""
        seed, lane, rank = items[0], items[0].ticket.lane, keys[0].rank
        tokens, longest = sum(item.length for item in items), max(item.length for item in items)
        at = rank, seed.length, seed.number
        below, above = bisect_left(keys, at) - 1, bisect_right(keys, at)
        while below >= 0 or above < len(keys):
            take_below = above >= len(keys) or (
                below >= 0 and seed.length - keys[below].length <= keys[above].length - seed.length
            )
            _, length, number = keys[below if take_below else above]
            cost = lane.computed_tokens(len(items) + 1, tokens + length, max(longest, length))
            if cost > lane.max_batch_tokens:
                if take_below:
                    break  # every window above is longer still
                above = len(keys)
                continue
            below, above = (below - 1, above) if take_below else (below, above + 1)
            item = self._queue.windows[number]
            if item.ticket.deadline > now:
                items.append(item)
                tokens, longest = tokens + length, max(longest, length)

    def _share(self, items: list[QueuedWindow], free_runners: int) -> list[QueuedWindow]:
        """Leave an equal share of the queue to each other free runner, unless a share is too small for a batch."""
        share = max(self._queue.tokens / free_runners, items[0].ticket.lane.cost.fixed_tokens)
        ends = accumulate(item.length for item in items)
        return items[: max(1, sum(end <= share for end in ends))]

    def _should_wait(self, lane: Lane, items: list[QueuedWindow], now: float) -> bool:
        """Whether a batch with room left should wait for more requests, counted from the oldest arrival."""
        full = Batch(lane, items).computed_tokens >= lane.max_batch_tokens
        return not full and (self.ready_in_s(now) or 0.0) > 0
