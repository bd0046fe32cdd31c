"""The windows that wait to be started, sorted in each of the orders that the scheduler reads."""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import count
from typing import NamedTuple, TypeVar

from app.engine.work import Lane, QueuedWindow, Ticket

# The keys that requests are sorted by. Plain tuples, because both are made anew for every window that starts.
Age = tuple[float, int]  # (turn, number of the next window)
Urgency = tuple[int, float, int]  # (-priority, deadline plus what the turn is after arrival, number of the next window)


class FillKey(NamedTuple):
    """What a lane's windows are sorted by, for batches to be filled: rank, then length, then age."""

    rank: int
    length: int
    number: int


KeyT = TypeVar("KeyT", Age, Urgency, FillKey)


class QueuedRequest:
    """The windows of a request that are in the queue, by number, and the keys that they are sorted by.

    The first window is the next to be started. Requests are sorted by the number of that window and by their turn: the
    time, in seconds of the engine's clock, when a request counts as having arrived.
    """

    __slots__ = ("age", "cost_s", "fill_keys", "next_number", "ticket", "turn", "urgency", "windows")

    def __init__(self, ticket: Ticket, windows: dict[int, QueuedWindow]) -> None:
        self.ticket, self.windows = ticket, windows
        self.cost_s = sum([window.cost for window in windows.values()])
        self.take_turn(ticket.arrival)
        # Within a priority, the next window of every request has a lower rank than all further ones.
        rank, first = -2 * ticket.priority, self.next_number
        self.fill_keys = {
            number: FillKey(rank + (number != first), window.length, number) for number, window in windows.items()
        }

    def take_turn(self, turn: float) -> None:
        """Set the turn; the next window may be another than before."""
        ticket, number = self.ticket, next(iter(self.windows))
        self.turn, self.next_number = turn, number
        self.age: Age = turn, number
        self.urgency: Urgency = -ticket.priority, ticket.deadline + turn - ticket.arrival, number

    @property
    def next(self) -> QueuedWindow:
        return self.windows[self.next_number]


class Queue:
    """The windows of every model that wait to be started."""

    def __init__(self) -> None:
        self.tokens = 0
        self.cost_s = 0.0
        self.windows: dict[int, QueuedWindow] = {}  # in order of arrival
        self.requests: dict[Ticket, QueuedRequest] = {}
        self.by_age: list[Age] = []  # of each request; sorted, as are the next two
        self.by_urgency: list[Urgency] = []  # of each request
        self.fill_keys: dict[Lane, list[FillKey]] = {}  # of each lane's windows
        self._numbers = count()

    def number(self, ticket: Ticket) -> QueuedRequest:
        """Return a ticket's windows with numbers, the longest first, so that windows of one length are neighbors.

        They are not in the queue until they are added.
        """
        lengths, share = [len(window) for window in ticket.windows], ticket.lane.cost.share
        windows = {}
        for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
            number = next(self._numbers)
            windows[number] = QueuedWindow(number, ticket, index, lengths[index], share(lengths[index]))
        return QueuedRequest(ticket, windows)

    def add(self, request: QueuedRequest) -> None:
        """Put all windows of a request into the queue."""
        self.requests[request.ticket] = request
        self.windows.update(request.windows)
        fill_keys = self.fill_keys.setdefault(request.ticket.lane, [])
        for key in request.fill_keys.values():
            insort(fill_keys, key)
        self._index(request)
        self.tokens += request.ticket.tokens
        self.cost_s += request.cost_s

    def start(self, window: QueuedWindow, now: float, runners: int) -> None:
        """Take out a window that starts now. The rest of its request queues as if it arrived when that window ends."""
        request = self.requests[window.ticket]
        self._remove(window, request, max(request.turn, now) + window.cost / runners)

    def withdraw(self, ticket: Ticket) -> None:
        """Take out all windows of a request, if it is in the queue."""
        if request := self.requests.get(ticket):
            for window in list(request.windows.values()):
                self._remove(window, request, request.turn)

    def _remove(self, window: QueuedWindow, request: QueuedRequest, turn: float) -> None:
        lane, number = window.ticket.lane, window.number
        fill_keys = self.fill_keys[lane]
        self._unindex(request)
        remove(fill_keys, request.fill_keys.pop(number))
        del self.windows[number], request.windows[number]
        request.cost_s -= window.cost
        if request.windows:
            is_next = number == request.next_number
            request.take_turn(turn)
            if is_next:
                self._promote(request, fill_keys)
            self._index(request)
        else:
            del self.requests[window.ticket]
        if not fill_keys:
            del self.fill_keys[lane]
        self.tokens -= window.length
        self.cost_s = max(0.0, self.cost_s - window.cost) if self.windows else 0.0

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
