"""The windows that wait to be started, sorted in each of the orders that the scheduler reads."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple, TypeVar

from app.engine.demand import Demand, point_of, units
from app.engine.shares import EqualShares
from app.engine.work import Lane, QueuedWindow, Ticket

# The keys that requests are sorted by. Plain tuples, because the first two are made anew for every window that starts.
Age = tuple[float, int]  # (turn, number of the next window)
Urgency = tuple[int, float, int]  # (-priority, the share by which it is to be done, number of the next window)
Due = tuple[float, int, "QueuedRequest"]  # (when it is due, number of its first window, the request)


class FillKey(NamedTuple):
    """What a lane's windows are sorted by, for batches to be filled: rank, then length, then age."""

    rank: int
    length: int
    number: int


KeyT = TypeVar("KeyT", Age, Urgency, FillKey, Due)


class QueuedRequest:
    """The windows of a request that are in the queue, by number, and the keys that they are sorted by.

    The first window is the next to be started. Requests are sorted by the number of that window, by their turn: the
    time, in seconds of the engine's clock, when a request counts as having arrived, and by the share by which their
    next window is to be done. `share` is what the request has had, on the scale of `Queue.shares`, which ends for it at
    `share_end`; `correction` is that of its costs when it arrived. `due` is when it is to be answered: the deadline,
    or before that where requests of lower priority are to wait for it.
    """

    __slots__ = (
        "age",
        "correction",
        "cost_s",
        "due_number",
        "due_s",
        "fill_keys",
        "next_number",
        "point",
        "share",
        "share_end",
        "ticket",
        "turn",
        "urgency",
        "windows",
    )

    def __init__(self, ticket: Ticket, windows: dict[int, QueuedWindow], due: float, shares: EqualShares) -> None:
        self.ticket, self.windows = ticket, windows
        self.cost_s, self.correction = ticket.cost, ticket.lane.cost.correction
        self.share = shares.each_s
        self.share_end = shares.join(ticket.cost * self.correction)
        self.take_turn(ticket.arrival)
        self.due_number = self.next_number
        self.be_due(due)
        # Within a priority, the next window of every request has a lower rank than all further ones.
        rank, first = -2 * ticket.priority, self.next_number
        self.fill_keys = {
            number: FillKey(rank + (number != first), window.length, number) for number, window in windows.items()
        }

    def take_turn(self, turn: float) -> None:
        """Set the turn, and the share by which the next window, which may be another than before, is to be done."""
        number, window = next(iter(self.windows.items()))
        self.turn, self.next_number = turn, number
        self.age: Age = turn, number
        self.urgency: Urgency = -self.ticket.priority, self.share + 2 * window.cost * self.correction, number

    def spend(self, window: QueuedWindow, each_s: float) -> None:
        """Count a window among what the request has had. What it is behind by more than that window is forgotten."""
        cost_s = window.cost * self.correction
        self.share = max(self.share + cost_s, each_s - cost_s)

    @property
    def due_key(self) -> Due:
        """Kept in `Queue.by_due` only: a request that held it would hold itself, and its model, in a cycle."""
        return self.due_s, self.due_number, self

    def be_due(self, due: float) -> None:
        """Set when the request is to be answered."""
        self.due_s, self.point = due, point_of(due, due - self.ticket.arrival)

    @property
    def is_due_early(self) -> bool:
        """Whether it is due before its deadline."""
        return self.due_s < self.ticket.deadline

    @property
    def next(self) -> QueuedWindow:
        return self.windows[self.next_number]

    @property
    def has_started(self) -> bool:
        return len(self.windows) < len(self.ticket.windows)


class Queue:
    """The windows of every model that wait to be started.

    A window is to be done when, by equal shares, its request would have had that window and as much again. What is to
    be done first goes first: a cheap request before expensive ones that came earlier, those of equal cost in the order
    of their arrival, and each no later than by equal shares if it had one window more. Because of that second window
    the last of many expensive requests, whose shares are all but used up, still let a cheap one pass.
    """

    def __init__(self) -> None:
        self.shares = EqualShares()
        self.tokens = 0
        self.windows: dict[int, QueuedWindow] = {}  # in order of arrival
        self.requests: dict[Ticket, QueuedRequest] = {}
        self.by_age: list[Age] = []  # of each request; sorted, as are the next three
        self.by_urgency: list[Urgency] = []  # of each request
        self.by_due: dict[Lane, list[Due]] = {}  # of each lane's requests
        self.fill_keys: dict[Lane, list[FillKey]] = {}  # of each lane's windows
        self.demand = Demand()
        self.counts: dict[int, list[int]] = {}  # requests and windows of each priority
        self._numbers = count()

    def add(self, ticket: Ticket, due: float) -> None:
        """Put all windows of a request into the queue, the longest first, so that windows of one length are neighbors.

        `due` is when it is to be answered, the deadline at the latest.
        """
        lengths, costs, head_rows, windows = ticket.lengths, ticket.costs, ticket.head_rows, {}
        places = (0,) if len(lengths) == 1 else sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
        for index in places:
            number = next(self._numbers)
            cost = costs[index]
            windows[number] = QueuedWindow(number, ticket, index, lengths[index], cost, units(cost), head_rows[index])
        self._put(QueuedRequest(ticket, windows, due, self.shares))

    def _put(self, request: QueuedRequest) -> None:
        ticket, lane = request.ticket, request.ticket.lane
        self.requests[ticket] = request
        self.windows.update(request.windows)
        fill_keys = self.fill_keys.setdefault(lane, [])
        for key in request.fill_keys.values():
            insort(fill_keys, key)
        insort(self.by_due.setdefault(lane, []), request.due_key)
        self._index(request)
        self.tokens += ticket.tokens
        counts = self.counts.setdefault(ticket.priority, [0, 0])
        counts[0] += 1
        counts[1] += len(request.windows)
        self.expect(request, request.windows.values())

    def expect(self, request: QueuedRequest, windows: Iterable[QueuedWindow], sign: int = 1) -> None:
        """Count the work of a request's windows among what is due; with a `sign` of -1, count it no more."""
        work = 0
        for window in windows:
            work += window.work
        ticket = request.ticket
        self.demand.add((ticket.lane, ticket.priority), request.point, sign * work)

    def start(self, window: QueuedWindow, now: float, runners: int) -> None:
        """Take out a window that starts now. The rest of its request queues as if it arrived when that window ends."""
        request = self.requests[window.ticket]
        self.shares.spend(window.cost * request.correction)
        request.spend(window, self.shares.each_s)
        seconds = window.cost * window.ticket.lane.cost.correction
        self._remove(window, request, max(request.turn, now) + seconds / runners)

    def withdraw(self, ticket: Ticket) -> None:
        """Take out all windows of a request, if it is in the queue."""
        if request := self.requests.get(ticket):
            self.expect(request, request.windows.values(), -1)
            self.shares.leave(request.share_end)
            for window in list(request.windows.values()):
                self._remove(window, request, request.turn)

    def be_due(self, request: QueuedRequest, due: float) -> None:
        """Have a request be due at another time, its deadline at the latest."""
        dues = self.by_due[request.ticket.lane]
        self.expect(request, request.windows.values(), -1)
        remove(dues, request.due_key)
        request.be_due(due)
        insort(dues, request.due_key)
        self.expect(request, request.windows.values())

    def first_due(self) -> QueuedRequest:
        """Return the request that is due first; the queue must not be empty."""
        dues = self.by_due
        if len(dues) == 1:
            (only,) = dues.values()
            return only[0][2]
        return min([each[0] for each in dues.values()])[2]

    def below(self, priority: int) -> Iterator[QueuedRequest]:
        """Yield the requests of lower priority that have not started: the lowest first, of those the last due first."""
        for key in reversed(self.by_urgency[bisect_left(self.by_urgency, (1 - priority,)) :]):
            request = self.requests[self.windows[key[2]].ticket]
            if not request.has_started:
                yield request

    def _remove(self, window: QueuedWindow, request: QueuedRequest, turn: float) -> None:
        ticket, lane, number = window.ticket, window.ticket.lane, window.number
        fill_keys, counts = self.fill_keys[lane], self.counts[ticket.priority]
        self._unindex(request)
        remove(fill_keys, request.fill_keys.pop(number))
        del self.windows[number], request.windows[number]
        request.cost_s -= window.cost
        counts[1] -= 1
        if request.windows:
            is_next = number == request.next_number
            request.take_turn(turn)
            if is_next:
                self._promote(request, fill_keys)
            self._index(request)
        else:
            del self.requests[ticket]
            remove(self.by_due[lane], request.due_key)
            counts[0] -= 1
            if not self.requests:
                self.shares.clear()
        if not fill_keys:
            del self.fill_keys[lane], self.by_due[lane]
        if not counts[0]:
            del self.counts[ticket.priority]
        self.tokens -= window.length

    def _promote(self, request: QueuedRequest, fill_keys: list[FillKey]) -> None:
        """Raise the rank of a window that has become the next of its request."""
        number = request.next_number
        rank, length, _ = key = request.fill_keys[number]
        remove(fill_keys, key)
        request.fill_keys[number] = FillKey(rank - 1, length, number)
        insort(fill_keys, request.fill_keys[number])

    def _index(self, request: QueuedRequest) -> None:
        insort(self.by_age, request.age)
        insort(self.by_urgency, request.urgency)

    def _unindex(self, request: QueuedRequest) -> None:
        remove(self.by_age, request.age)
        remove(self.by_urgency, request.urgency)


def remove(ordered: list[KeyT], key: KeyT) -> None:
    """Remove a key from a sorted list that has it."""
    del ordered[bisect_left(ordered, key)]
