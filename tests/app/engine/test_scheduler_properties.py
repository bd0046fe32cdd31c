"""Whatever happens to the scheduler, in any order: nothing is lost or runs twice, and all that it keeps agrees."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.engine.admission import Limits
from app.engine.cost import CostModel
from app.engine.demand import UNIT_S, units
from app.engine.scheduler import Scheduler
from app.errors import (
    DeadlineExceededError,
    DeadlineUnmeetableError,
    DisplacedError,
    InferenceFailedError,
    QueueFullError,
    RequestTooLargeError,
)
from tests.app.builders import make_lane, make_ticket

pytestmark = pytest.mark.no_cover  # a simulation of many seconds; other tests go through the same lines

MOST_TOKENS = 400
FINISHED = (type(None), DeadlineExceededError, InferenceFailedError, DisplacedError)

lengths = st.lists(st.integers(1, 90), min_size=0, max_size=5)


class Machine(RuleBasedStateMachine):
    """Requests, batches and time come in any order; batches take however long, whatever was predicted."""

    @initialize(runners=st.integers(1, 3), delay=st.sampled_from([0.0, 0.5]), queue_s=st.sampled_from([0.5, 1e9]))
    def begin(self, runners, delay, queue_s):
        self.scheduler = Scheduler(Limits(MOST_TOKENS, 2.0, delay, runners, queue_s, least_caution=1.0))
        self.lanes = [
            make_lane(name=str(n), budget=64, cost=CostModel(fixed=0.01 * n, per_token=0.001), padded=n == 2)
            for n in range(3)
        ]
        self.now, self.runners = 0.0, runners
        self.admitted, self.withdrawn, self.running, self.taken = [], set(), [], Counter()

    @rule(seconds=st.floats(0, 1))
    def wait(self, seconds):
        self.now += seconds

    @rule(lane=st.integers(0, 2), lengths=lengths, priority=st.integers(-1, 2), allowed_s=st.floats(0.01, 4))
    def admit(self, lane, lengths, priority, allowed_s):
        ticket = make_ticket(
            self.lanes[lane], *lengths, arrival=self.now, deadline=self.now + allowed_s, priority=priority
        )
        before, due = {other for other in self.admitted if other.finished}, self.due()
        try:
            self.scheduler.admit(ticket)
        except (QueueFullError, DeadlineUnmeetableError, RequestTooLargeError):
            assert not ticket.finished
            assert before == {other for other in self.admitted if other.finished}  # nothing gave way to it
            assert self.due() == due
            return
        for other in self.admitted:
            if other.finished and other not in before:
                assert isinstance(other.error, DisplacedError)
                assert other.priority < priority
                assert not any((other, index) in self.taken for index in range(len(other.windows)))
        self.admitted.append(ticket)

    def due(self):
        return {ticket: request.due_s for ticket, request in self.scheduler._queue.requests.items()}

    @precondition(lambda self: self.admitted)
    @rule(data=st.data())
    def withdraw(self, data):
        ticket = data.draw(st.sampled_from(self.admitted))
        self.scheduler.withdraw(ticket)
        self.withdrawn.add(ticket)

    @precondition(lambda self: len(self.running) < self.runners)
    @rule()
    def start(self):
        batch = self.scheduler.next_batch(self.now)
        if batch is None:
            return
        self.running.append(batch)
        assert {item.ticket.lane for item in batch.items} == {batch.lane}
        assert batch.computed_tokens <= batch.lane.max_batch_tokens or len(batch.items) == 1
        for item in batch.items:
            assert item.ticket.deadline > self.now
            assert not item.ticket.finished
            assert item.ticket not in self.withdrawn
        self.taken.update((item.ticket, item.index) for item in batch.items)
        assert set(self.taken.values()) == {1}

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data, fails):
        batch = data.draw(st.sampled_from(self.running))
        self.running.remove(batch)
        self.scheduler.ended(batch)
        for number, item in enumerate(batch.items):
            ticket = item.ticket
            if fails and number == 0:
                self.scheduler.withdraw(ticket)
                ticket.finish(InferenceFailedError())
            elif not ticket.finished and ticket.fill(item.index, item.window.input_ids[:, None]):
                self.scheduler.finished(ticket, self.now)

    @invariant()
    def everything_agrees(self):
        if not hasattr(self, "scheduler"):
            return
        queue = self.scheduler._queue
        requests = list(queue.requests.values())
        waiting = [window for request in requests for window in request.windows.values()]
        assert sorted(queue.windows) == sorted(window.number for window in waiting)
        assert self.scheduler.queued_tokens == sum(window.length for window in waiting) <= MOST_TOKENS
        assert queue.by_age == sorted(request.age for request in requests)
        assert queue.by_urgency == sorted(request.urgency for request in requests)
        assert {number for *_, number in queue.by_urgency} <= queue.windows.keys()
        for lane in self.lanes:
            of_lane = [request for request in requests if request.ticket.lane is lane]
            keys = sorted(key for request in of_lane for key in request.fill_keys.values())
            assert queue.fill_keys.get(lane, []) == keys
            assert queue.by_due.get(lane, []) == sorted(request.due_key for request in of_lane)
        self.work_adds_up(queue, requests, waiting)

    def work_adds_up(self, queue, requests, waiting):
        totals = Counter()
        for window in waiting:
            totals[window.ticket.lane, window.ticket.priority] += units(window.cost)
        assert queue.demand.totals == totals
        assert queue.counts == {
            priority: [
                sum(request.ticket.priority == priority for request in requests),
                sum(window.ticket.priority == priority for window in waiting),
            ]
            for priority in {request.ticket.priority for request in requests}
        }
        curve = queue.demand.curve(lambda row: 1.0)
        for request in requests:
            before = [other for other in requests if other.point <= request.point]
            due = sum(units(window.cost) for other in before for window in other.windows.values())
            assert curve.due_by(request.point) == pytest.approx(due)
            assert curve.least_from(request.point) <= request.point - due + 1e-6 * abs(due)
        assert self.scheduler.drain_time_s(1e9) == pytest.approx(
            sum(w.cost * w.ticket.lane.cost.correction for w in waiting) / self.runners, abs=len(waiting) * UNIT_S
        )

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "scheduler"):
            return
        queue = self.scheduler._queue
        for ticket in self.admitted:
            assert isinstance(ticket.error, FINISHED)
            is_here = ticket in queue.requests
            parts = sum((ticket, index) in self.taken for index in range(len(ticket.windows)))
            waits = len(queue.requests[ticket].windows) if is_here else 0
            assert parts + waits == len(ticket.windows) or ticket in self.withdrawn or ticket.error is not None
            assert not (is_here and ticket.finished)

    def teardown(self):
        if hasattr(self, "scheduler"):
            waiting = [ticket for ticket in self.admitted if ticket in self.scheduler._queue.requests]
            assert set(self.scheduler.drain()) == set(waiting)
            assert (self.scheduler.queued_tokens, self.scheduler.queued_requests, len(self.scheduler)) == (0, 0, 0)


Machine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestScheduler = Machine.TestCase
