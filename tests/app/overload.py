"""A simulated machine: the product's own scheduler and cost model, and batches that take what the machine says.

Arrivals do not wait for answers (open loop). Times are simulated seconds; work is seconds of a runner.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from app.engine.admission import Limits
from app.engine.cost import CostModel
from app.engine.scheduler import Scheduler
from app.engine.work import Lane, Ticket
from app.errors import DeadlineExceededError, ServeError
from tests.app.builders import make_lane, window

NEVER = float("inf")


@dataclass
class Kind:
    """Requests of one kind: the lengths of their windows, and their share of the arrivals."""

    lane: Lane
    lengths: tuple[int, ...]
    deadline_s: float
    priority: int = 0
    share: float = 1.0
    head_rows: int = 1  # of each window

    @property
    def work(self):
        return sum(work_of(self.lane, length, self.head_rows - 1) for length in self.lengths)

    def ticket(self, now, on_finish):
        windows = [window(length, head_rows=self.head_rows) for length in self.lengths]
        return Ticket(self.lane, windows, now, now + self.deadline_s, self.priority, on_finish)


@dataclass
class Tally:
    """What became of the requests of a kind; `waits` are the seconds until those in time were answered."""

    sent: int = 0
    in_time: int = 0
    waits: list[float] = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)


def work_of(lane, length, head_rows):
    """Return the seconds that a window with rows beyond the first really adds to a batch."""
    return lane.truth.share(length) + lane.truth.per_head_row * head_rows


def machine(
    scale=1.0, guess=1.0, *, fixed=1e-3, per_token=4e-5, per_cell=4e-8, per_head_row=0.0, budget=256, name="toy"
):
    """A lane whose batches take `scale` times what the coefficients say, and are predicted `guess` times too long."""
    coefficients = [scale * seconds for seconds in (fixed, per_token, per_cell)]
    lane = make_lane(budget=budget, cost=CostModel(*(guess * seconds for seconds in coefficients)), name=name)
    lane.truth = CostModel(*coefficients)
    lane.truth.per_head_row, lane.cost.per_head_row = scale * per_head_row, guess * scale * per_head_row
    return lane


def mixed(deadline_s, guess=1.0):
    """Requests of 1 to 20 windows of 12 to 256 tokens to two models, of which one is predicted too long by `guess`
    and the other too short."""
    generator = random.Random(5)
    lanes = [machine(guess=guess, name="a"), machine(guess=1 / guess, name="b", fixed=3e-3, per_token=2e-5, budget=512)]
    kinds = []
    for _ in range(24):
        lengths = generator.choices([12, 20, 30, 60, 128, 256], k=generator.choice([1, 1, 1, 2, 3, 6, 10, 20]))
        lane = generator.choice([lanes[0], *lanes])
        kinds.append(Kind(lane, tuple(lengths), deadline_s * generator.choice([0.5, 1, 1, 2])))
    return kinds


class Simulation:
    """Runs arrivals through a scheduler on simulated runners."""

    def __init__(self, kinds, *, runners=2, seed=1, noise=0.05, **limits):
        self.kinds, self.runners, self.noise = kinds, runners, noise
        self.generator = random.Random(seed)
        known = {"max_queue_tokens": 10**9, "max_queue_age_s": 0.5, "runners": runners}
        self.scheduler = Scheduler(Limits(**{**known, **limits}))
        self.tallies = [Tally() for _ in kinds]
        self.now, self.counted = 0.0, (0.0, NEVER)  # requests that arrive in between are counted
        self.computed = 0.0  # the work of all windows that have run
        self._useful_s = 0.0
        self._spent_s = Counter()  # on each ticket, of the runners' time
        self._ends = []  # of running batches: (end, number, batch, seconds)
        self._numbers = itertools.count()

    @property
    def capacity(self):
        """The work that is done in a second while the queue of this mix is never empty."""
        kinds = [replace(kind, deadline_s=1e9, priority=0) for kind in self.kinds]
        full = Simulation(kinds, runners=self.runners, noise=self.noise)
        for _ in range(400):
            while len(full.scheduler) < 600:
                full.arrive(full.draw())
            full.start_batches()
            full.end_batch()
        return full.computed / full.now

    @property
    def mean_work(self):
        """The work of a request of this mix."""
        return sum(k.share * k.work for k in self.kinds) / sum(k.share for k in self.kinds)

    @property
    def share_sent(self):
        """The share of the work that arrived and was answered in time."""
        pairs = list(zip(self.kinds, self.tallies, strict=True))
        return sum(t.in_time * k.work for k, t in pairs) / sum(t.sent * k.work for k, t in pairs)

    @property
    def share_useful(self):
        """The share of the runners' time that went into what was answered in time."""
        begin, end = self.counted
        return self._useful_s / self.runners / (min(end, self.now) - begin)

    def draw(self):
        return self.generator.choices(range(len(self.kinds)), [kind.share for kind in self.kinds])[0]

    def run(self, load, seconds, counted=(0.0, NEVER)):
        """Send `load` times the capacity. Of what arrives, count what does so in a part of these seconds."""
        self.counted, self._useful_s = (self.now + counted[0], self.now + counted[1]), 0.0
        end, rate = self.now + seconds, load * self.capacity / self.mean_work
        arrival = self.now + self.generator.expovariate(rate)
        while min(arrival, self._next_end()) <= end:
            if arrival <= self._next_end():
                self.now = arrival
                self.arrive(self.draw())
                arrival += self.generator.expovariate(rate)
            else:
                self.end_batch()
            self.start_batches()
        self.now = end

    def arrive(self, number):
        tally, kind = self.tallies[number], self.kinds[number]
        is_counted = self.counted[0] <= self.now <= self.counted[1]
        tally.sent += is_counted

        def finish(ticket):
            if is_counted and ticket.error is None:
                tally.in_time += 1
                tally.waits.append(self.now - ticket.arrival)
            elif is_counted:
                tally.errors[ticket.error.code] += 1

        ticket = kind.ticket(self.now, finish)
        try:
            self.scheduler.admit(ticket)
        except ServeError as error:
            ticket.finish(error)

    def start_batches(self):
        while len(self._ends) < self.runners and (batch := self.scheduler.next_batch(self.now)) is not None:
            seconds = batch.lane.truth.predict(batch.shape) * self.generator.lognormvariate(0, self.noise)
            heapq.heappush(self._ends, (self.now + seconds, next(self._numbers), batch, seconds))

    def end_batch(self):
        self.now, _, batch, seconds = heapq.heappop(self._ends)
        self.scheduler.ended(batch)
        works = [work_of(batch.lane, item.length, item.head_rows) for item in batch.items]
        for item, work in zip(batch.items, works, strict=True):
            self.computed += work
            self._spent_s[item.ticket] += seconds * work / sum(works)
            self._answer(item)
        batch.lane.cost.refine(batch.shape, seconds)

    def _answer(self, item):
        ticket = item.ticket
        if ticket.finished:
            return
        if self.now > ticket.deadline:
            self.scheduler.withdraw(ticket)
            self.scheduler.missed()
            ticket.finish(DeadlineExceededError())
        elif ticket.fill(item.index, item.window.input_ids[:, None]):
            self.scheduler.finished(ticket, self.now)
            if self.counted[0] <= self.now <= self.counted[1]:
                self._useful_s += self._spent_s.pop(ticket)

    def _next_end(self):
        return self._ends[0][0] if self._ends else NEVER
