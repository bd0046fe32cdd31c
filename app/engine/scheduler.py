"""Which windows run next. Pure and deterministic: it is told the time and never waits; the engine holds its lock.

Work-conserving: a free runner takes a batch at once. While all are busy, work gathers and batches form by
themselves. A request of many windows takes turns with the others: whenever some of it is started, what is left counts
as if it arrived when that will have run, and none has a second window in a batch while the first of another, of no
lower priority, would fit. So whoever comes waits for the batches in hand, not for the large request.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from itertools import accumulate, count
from typing import TypeVar

from app.engine.work import Batch, Item, Lane, Ticket
from app.errors import DeadlineExceededError, DeadlineUnmeetableError, QueueFullError, RequestTooLargeError

Age = tuple[float, int]
Urgency = tuple[int, float, int]
Place = tuple[int, int, int]
KeyT = TypeVar("KeyT", Age, Urgency, Place)

COUNTED = 1024  # queued requests that are looked at one by one to estimate another's wait: about a millisecond


@dataclass(frozen=True)
class Limits:
    """Bounds of the queue. `max_queue_delay_s` is how long a batch with room left may wait for company."""

    max_queue_tokens: int
    max_queue_age_s: float
    max_queue_delay_s: float = 0.0
    runners: int = 1


@dataclass(slots=True, eq=False)
class Queued:
    """What of a request is in the queue: its items by number, what they cost in seconds, and the turn of the next.

    The next is the first of them and stands for all in the order of turns. `turn` is when it counts as having
    arrived, in seconds of the engine's clock.
    """

    ticket: Ticket
    items: dict[int, Item]
    turn: float
    cost_s: float

    @property
    def next(self) -> Item:
        return next(iter(self.items.values()))

    @property
    def age(self) -> Age:
        """The oldest goes first."""
        return self.turn, self.next.number

    @property
    def urgency(self) -> Urgency:
        """By priority, then deadline and turn, then age; least goes first."""
        return -self.ticket.priority, self.ticket.deadline + self.turn - self.ticket.arrival, self.next.number

    def place(self, item: Item) -> Place:
        """By priority, the next item before those that follow it, then by length: the order that batches are filled in.

        The first part is the rank; those of one rank are chosen among by length.
        """
        return -2 * self.ticket.priority + (item is not self.next), item.length, item.number


class Scheduler:
    """The queue of every model: admission, urgency, age and the choice of a batch."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queued_tokens = 0
        self.queued_cost_s = 0.0
        self._numbers = count()
        self._items: dict[int, Item] = {}  # in order of arrival
        self._by_age: list[Age] = []  # of each request's next item; sorted, as the next two
        self._by_urgency: list[Urgency] = []  # likewise
        self._places: dict[Lane, list[Place]] = {}  # of each lane's items; sorted
        self._of_ticket: dict[Ticket, Queued] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def queued_requests(self) -> int:
        return len(self._of_ticket)

    def admit(self, ticket: Ticket) -> None:
        """Queue every window of a request, or none.

        Raises `RequestTooLargeError` when it could never fit, `QueueFullError` when it does not fit now, and
        `DeadlineUnmeetableError` when it fits but cannot be answered in time.
        """
        tokens, limit = ticket.tokens, self.limits.max_queue_tokens
        if tokens > limit:
            raise RequestTooLargeError(f"the request has {tokens} tokens; at most {limit} are taken at once")
        if self.queued_tokens + tokens > limit:
            raise QueueFullError("the queue is full; try again later", retry_after_s=self.drain_time_s())
        lengths, share = [len(window) for window in ticket.windows], ticket.lane.cost.share
        queued = Queued(ticket, {}, ticket.arrival, 0.0)
        for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):  # each beside its like
            item = Item(next(self._numbers), ticket, index, lengths[index], share(lengths[index]))
            queued.items[item.number] = item
            queued.cost_s += item.cost
        expected = self._expected_s(queued)
        if ticket.arrival + expected > ticket.deadline:
            raise DeadlineUnmeetableError(
                f"the answer would take about {expected:.2f} s, longer than this request's deadline allows"
            )
        self._add(queued)

    def drain_time_s(self) -> float:
        """Return how long the queue as it stands will take to run."""
        return self.queued_cost_s / self.limits.runners

    def next_batch(self, now: float, free_runners: int = 1) -> Batch | None:
        """Take the next batch out of the queue, or None when nothing may start yet.

        What is queued is shared out among the runners that are free, the one that asks among them. A window whose
        deadline has passed is never started: its request fails instead.
        """
        while self._items:
            seed = self._most_urgent(now)
            if seed.ticket.deadline <= now:
                self.withdraw(seed.ticket)
                seed.ticket.finish(DeadlineExceededError("the deadline passed while the request was queued"))
                continue
            items = self._gather(seed, now)
            if self._should_wait(seed.ticket.lane, items, now):
                return None
            items = self._share(items, free_runners)
            for item in items:
                self._remove(item, started=now)
            return Batch(seed.ticket.lane, items)
        return None

    def ready_in_s(self, now: float) -> float | None:
        """Return when to look again: None when the queue is empty, 0 when a batch may start at once."""
        if not self._items:
            return None
        oldest = next(iter(self._items.values()))
        return max(0.0, oldest.ticket.arrival + self.limits.max_queue_delay_s - now)

    def withdraw(self, ticket: Ticket) -> None:
        """Free the places of a request that nobody waits for any more."""
        if ticket in self._of_ticket:
            for item in list(self._of_ticket[ticket].items.values()):
                self._remove(item)

    def drain(self) -> list[Ticket]:
        """Empty the queue and return the requests that were in it."""
        tickets = list(self._of_ticket)
        for ticket in tickets:
            self.withdraw(ticket)
        return tickets

    def _expected_s(self, queued: Queued) -> float:
        """Return how long a request would take, waiting included.

        Everything queued is counted, and only where that is too long, what would go before its last item. To refuse
        must cost little, so more than `COUNTED` requests are taken to go before it whole.
        """
        ticket, runners = queued.ticket, self.limits.runners
        own = queued.cost_s / min(runners, len(queued.items))
        if ticket.arrival + self.drain_time_s() + own <= ticket.deadline or len(self._of_ticket) > COUNTED:
            return self.drain_time_s() + own
        return sum(self._ahead_s(other, queued) for other in self._of_ticket.values()) / runners + own

    def _ahead_s(self, other: Queued, queued: Queued) -> float:
        """Return what of another request would go before the last item of `queued`: they take turns."""
        aged = min(queued.turn, queued.ticket.deadline - self.limits.max_queue_age_s)  # what age lets go first by then
        is_first = other.urgency < queued.urgency or other.turn <= aged
        between = queued.cost_s - queued.next.cost
        return min(other.cost_s, between + (other.next.cost if is_first else 0.0))

    def _most_urgent(self, now: float) -> Item:
        """Return the most urgent item; one whose turn is too long ago goes before all."""
        turn, number = self._by_age[0]
        if now - turn <= self.limits.max_queue_age_s:
            number = self._by_urgency[0][-1]
        return self._items[number]

    def _gather(self, seed: Item, now: float) -> list[Item]:
        """Fill a batch around `seed`, rank by rank, with the windows nearest to it in length."""
        places, items, end = self._places[seed.ticket.lane], [seed], 0
        while end < len(places):
            rank, start = places[end][0], end
            end = bisect_left(places, (rank + 1, 0, 0))
            self._fill(items, places[start:end], now)
        return items

    def _fill(self, items: list[Item], places: list[Place], now: float) -> None:
        """Add what is at `places`, all of one rank, nearest in length to the first item first, as far as it fits."""
        seed, lane, rank = items[0], items[0].ticket.lane, places[0][0]
        tokens, longest = sum(item.length for item in items), max(item.length for item in items)
        at = rank, seed.length, seed.number
        below, above = bisect_left(places, at) - 1, bisect_right(places, at)
        while below >= 0 or above < len(places):
            take_below = above >= len(places) or (
                below >= 0 and seed.length - places[below][1] <= places[above][1] - seed.length
            )
            _, length, number = places[below if take_below else above]
            cost = lane.computed_tokens(len(items) + 1, tokens + length, max(longest, length))
            if cost > lane.max_batch_tokens:
                if take_below:
                    break  # what is above is longer still
                above = len(places)
                continue
            below, above = (below - 1, above) if take_below else (below, above + 1)
            item = self._items[number]
            if item.ticket.deadline > now:
                items.append(item)
                tokens, longest = tokens + length, max(longest, length)

    def _share(self, items: list[Item], free_runners: int) -> list[Item]:
        """Leave to each other free runner as much of the queue, unless that is too little to be worth a batch."""
        share = max(self.queued_tokens / free_runners, items[0].ticket.lane.cost.fixed_tokens)
        ends = accumulate(item.length for item in items)
        return items[: max(1, sum(end <= share for end in ends))]

    def _should_wait(self, lane: Lane, items: list[Item], now: float) -> bool:
        """Whether a batch with room left should wait for company, counted from the oldest arrival."""
        full = Batch(lane, items).computed_tokens >= lane.max_batch_tokens
        return not full and (self.ready_in_s(now) or 0.0) > 0

    def _add(self, queued: Queued) -> None:
        ticket, items = queued.ticket, queued.items
        self._of_ticket[ticket] = queued
        self._items.update(items)
        places = self._places.setdefault(ticket.lane, [])
        for item in items.values():
            insort(places, queued.place(item))
        self._show(queued)
        self.queued_tokens += ticket.tokens
        self.queued_cost_s += queued.cost_s

    def _remove(self, item: Item, started: float | None = None) -> None:
        """Take an item out. Where it is started, what is left of its request has its turn when it will have run."""
        lane, queued = item.ticket.lane, self._of_ticket[item.ticket]
        places, is_next = self._places[lane], item is queued.next
        self._hide(queued)
        remove(places, queued.place(item))
        del self._items[item.number], queued.items[item.number]
        queued.cost_s -= item.cost
        if started is not None:
            queued.turn = max(queued.turn, started) + item.cost / self.limits.runners
        if queued.items:
            if is_next:  # the one after it was among those that follow
                rank, length, number = queued.place(queued.next)
                remove(places, (rank + 1, length, number))
                insort(places, (rank, length, number))
            self._show(queued)
        else:
            del self._of_ticket[item.ticket]
        if not places:
            del self._places[lane]
        self.queued_tokens -= item.length
        self.queued_cost_s = max(0.0, self.queued_cost_s - item.cost) if self._items else 0.0

    def _show(self, queued: Queued) -> None:
        insort(self._by_age, queued.age)
        insort(self._by_urgency, queued.urgency)

    def _hide(self, queued: Queued) -> None:
        remove(self._by_age, queued.age)
        remove(self._by_urgency, queued.urgency)


def remove(ordered: list[KeyT], key: KeyT) -> None:
    """Take a key, which is there, out of a sorted list."""
    del ordered[bisect_left(ordered, key)]
