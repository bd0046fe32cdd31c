"""Which windows run next. Pure and deterministic: it is told the time and never waits; the engine holds its lock.

Work-conserving: a free runner takes a batch at once. While all are busy, work gathers and batches form by
themselves. A request of many windows takes turns with the others (self-clocked fair queueing, Golestani 1994): its
later windows count as if they had arrived when the earlier ones have run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from sortedcontainers import SortedList

from app.engine.work import Batch, Item, Lane, Ticket
from app.errors import DeadlineExceededError, DeadlineUnmeetableError, QueueFullError, RequestTooLargeError

COUNTED_ITEMS = 1024  # queued items that are looked at one by one to estimate a request's wait: 0.4 ms


@dataclass(frozen=True)
class Limits:
    """Bounds of the queue. `max_queue_delay_s` is how long a batch with room left may wait for company."""

    max_queue_tokens: int
    max_queue_age_s: float
    max_queue_delay_s: float = 0.0
    runners: int = 1


class Scheduler:
    """The queue of every model: admission, urgency, age and the choice of a batch."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queued_tokens = 0
        self.queued_cost_s = 0.0
        self._numbers = count()
        self._items: dict[int, Item] = {}  # in order of arrival
        self._by_turn: SortedList = SortedList()  # (turn, number)
        self._by_urgency: SortedList = SortedList()
        self._by_length: dict[Lane, SortedList] = {}  # (length, number) for each lane
        self._of_ticket: dict[Ticket, dict[int, Item]] = {}

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
        items = self._items_of(ticket)
        expected = self._expected_s(items)
        if ticket.arrival + expected > ticket.deadline:
            raise DeadlineUnmeetableError(
                f"the answer would take about {expected:.2f} s, longer than this request's deadline allows"
            )
        for item in items:
            self._add(item)

    def drain_time_s(self) -> float:
        """Return how long the queue as it stands will take to run."""
        return self.queued_cost_s / self.limits.runners

    def next_batch(self, now: float) -> Batch | None:
        """Take the next batch out of the queue, or None when nothing may start yet.

        A window whose deadline has passed is never started: its request fails instead.
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
            for item in items:
                self._remove(item)
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
        for item in list(self._of_ticket.get(ticket, {}).values()):
            self._remove(item)

    def drain(self) -> list[Ticket]:
        """Empty the queue and return the requests that were in it."""
        tickets = list(self._of_ticket)
        for ticket in tickets:
            self.withdraw(ticket)
        return tickets

    def _items_of(self, ticket: Ticket) -> list[Item]:
        """Return an item for each window, its turn after those before it."""
        items, turn = [], ticket.arrival
        for index, window in enumerate(ticket.windows):
            cost = ticket.lane.cost.share(len(window))
            items.append(Item(next(self._numbers), ticket, index, len(window), cost, turn))
            turn += cost / self.limits.runners
        return items

    def _expected_s(self, items: list[Item]) -> float:
        """Return how long the items of a request would take, waiting included.

        Everything queued is counted, and only where that is too long, what would go before their last. To refuse
        must cost little, so a queue of more than `COUNTED_ITEMS` is taken to go before them whole.
        """
        ticket, last = items[0].ticket, items[-1]
        own = sum(item.cost for item in items) / min(self.limits.runners, len(items))
        if ticket.arrival + self.drain_time_s() + own <= ticket.deadline or len(self) > COUNTED_ITEMS:
            return self.drain_time_s() + own
        aged = min(last.turn, ticket.deadline - self.limits.max_queue_age_s)  # turns that age lets go before it
        ahead = sum(i.cost for i in self._items.values() if i.urgency < last.urgency or i.turn <= aged)
        return ahead / self.limits.runners + own

    def _most_urgent(self, now: float) -> Item:
        """Return the most urgent item; one whose turn is too long ago goes before all."""
        turn, number = self._by_turn[0]
        if now - turn <= self.limits.max_queue_age_s:
            number = self._by_urgency[0][-1]
        return self._items[number]

    def _gather(self, seed: Item, now: float) -> list[Item]:
        """Fill a batch around `seed` with the windows nearest to it in length, up to the token budget."""
        lane = seed.ticket.lane
        queue = self._by_length[lane]
        items, tokens, longest = [seed], seed.length, seed.length
        below = queue.bisect_left((seed.length, seed.number)) - 1
        above = below + 2
        while below >= 0 or above < len(queue):
            take_below = above >= len(queue) or (
                below >= 0 and seed.length - queue[below][0] <= queue[above][0] - seed.length
            )
            length, number = queue[below if take_below else above]
            cost = lane.computed_tokens(len(items) + 1, tokens + length, max(longest, length))
            if cost > lane.max_batch_tokens:
                if take_below:
                    break  # what is above is longer still
                above = len(queue)
                continue
            below, above = (below - 1, above) if take_below else (below, above + 1)
            item = self._items[number]
            if item.ticket.deadline > now:
                items.append(item)
                tokens, longest = tokens + length, max(longest, length)
        return items

    def _should_wait(self, lane: Lane, items: list[Item], now: float) -> bool:
        """Whether a batch with room left should wait for company, counted from the oldest arrival."""
        full = Batch(lane, items).computed_tokens >= lane.max_batch_tokens
        return not full and (self.ready_in_s(now) or 0.0) > 0

    def _add(self, item: Item) -> None:
        ticket = item.ticket
        self._items[item.number] = item
        self._by_turn.add((item.turn, item.number))
        self._of_ticket.setdefault(ticket, {})[item.number] = item
        self._by_urgency.add(item.urgency)
        self._by_length.setdefault(ticket.lane, SortedList()).add((item.length, item.number))
        self.queued_tokens += item.length
        self.queued_cost_s += item.cost

    def _remove(self, item: Item) -> None:
        ticket, lane = item.ticket, item.ticket.lane
        del self._items[item.number]
        self._by_turn.remove((item.turn, item.number))
        self._by_urgency.remove(item.urgency)
        self._by_length[lane].remove((item.length, item.number))
        if not self._by_length[lane]:
            del self._by_length[lane]
        del self._of_ticket[ticket][item.number]
        if not self._of_ticket[ticket]:
            del self._of_ticket[ticket]
        self.queued_tokens -= item.length
        self.queued_cost_s = max(0.0, self.queued_cost_s - item.cost) if self._items else 0.0
