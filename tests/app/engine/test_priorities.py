"""What gives way to a request of higher priority, and what never does. The clock is an argument."""

import pytest

from app.errors import DeadlineUnmeetableError, DisplacedError, QueueFullError
from tests.app.builders import make_lane
from tests.app.queues import SLOW, admit, make_scheduler, run_next, runs_until, state_of


def gave_way(*tickets):
    """Return which of the tickets, by their place, have given way."""
    displaced = [place for place, ticket in enumerate(tickets) if isinstance(ticket.error, DisplacedError)]
    assert all(ticket.finished is (place in displaced) for place, ticket in enumerate(tickets))
    return displaced


def make_queue(*requests, **limits):
    """Queue requests, (priority, deadline), of one window that takes a tenth of a second."""
    scheduler, lane = make_scheduler(**{"tokens": 10**6, "age": 1e9, **limits}), make_lane(budget=10, cost=SLOW)
    return scheduler, lane, [admit(scheduler, lane, 10, priority=p, deadline=d) for p, d in requests]


def test_nothing_gives_way_where_every_deadline_holds():
    scheduler, lane, tickets = make_queue(*[(0, 30.0)] * 20)
    admit(scheduler, lane, 10, priority=10, deadline=0.4)
    assert gave_way(*tickets) == []
    assert run_next(scheduler, 0.0).items[0].ticket.priority == 10


def test_the_lowest_priority_gives_way_first_and_of_it_what_is_due_last():
    """There is time for five windows. Two more, of higher priority, come."""
    scheduler, lane, tickets = make_queue((0, 0.62), (0, 0.66), (1, 0.63), (-1, 0.63), (2, 0.66))
    admit(scheduler, lane, 10, priority=5, deadline=0.66)
    assert gave_way(*tickets) == [3]
    admit(scheduler, lane, 10, priority=5, deadline=0.66)
    assert gave_way(*tickets) == [1, 3]
    assert "higher priority" in tickets[3].error.message
    assert tickets[3].error.retry_after_s == pytest.approx(0.5)


def test_only_what_helps_gives_way():
    """What is due much later does not stand in the way, however low its priority is."""
    scheduler, lane, tickets = make_queue(*[(0, 0.55)] * 4, *[(-10, 30.0)] * 5)
    admit(scheduler, lane, 10, priority=1, deadline=0.55)
    assert gave_way(*tickets) == [3]


def test_within_a_priority_nothing_gives_way():
    scheduler, lane, tickets = make_queue(*[(0, 0.55)] * 4)
    for deadline in (0.21, 0.55):
        with pytest.raises(DeadlineUnmeetableError):
            admit(scheduler, lane, 10, priority=0, deadline=deadline)
    assert gave_way(*tickets) == []


def test_what_has_started_does_not_give_way():
    scheduler, lane = make_scheduler(tokens=10**6), make_lane(budget=10, cost=SLOW)
    started = admit(scheduler, lane, *[10] * 5, deadline=0.65)
    run_next(scheduler, 0.0)
    with pytest.raises(DeadlineUnmeetableError):
        admit(scheduler, lane, *[10] * 2, now=0.1, priority=10, deadline=0.65)
    assert gave_way(started) == []


def test_nothing_gives_way_to_what_cannot_be_answered_anyway():
    scheduler, lane, tickets = make_queue((1, 0.6), (1, 0.6), (0, 0.6), (0, 0.6))
    with pytest.raises(DeadlineUnmeetableError):
        admit(scheduler, lane, *[10] * 6, priority=1, deadline=0.6)
    assert gave_way(*tickets) == []
    assert state_of(scheduler) == (40, 4, 4)


def test_tokens_that_wait_give_way_where_the_queue_is_full():
    scheduler, lane, tickets = make_queue((0, 20.0), (-1, 10.0), (-1, 30.0), (5, 30.0), tokens=40)
    admit(scheduler, lane, 8, priority=5, deadline=30.0)
    assert gave_way(*tickets) == [2]
    admit(scheduler, lane, 12, priority=5, deadline=30.0)
    assert gave_way(*tickets) == [1, 2]
    with pytest.raises(QueueFullError):
        admit(scheduler, lane, 15, priority=5, deadline=30.0)
    assert gave_way(*tickets) == [1, 2]


def test_what_is_of_lower_priority_is_not_work_ahead():
    scheduler, lane, tickets = make_queue(*[(0, 60.0)] * 9, queue_s=1.0)
    admit(scheduler, lane, *[10] * 9, priority=1, deadline=60.0)
    with pytest.raises(QueueFullError):
        admit(scheduler, lane, *[10] * 9, priority=0, deadline=60.0)
    admit(scheduler, lane, 10, priority=2, deadline=60.0)
    assert gave_way(*tickets) == []


def test_a_request_of_high_priority_that_has_time_goes_before_what_fills_every_deadline():
    scheduler, lane, tickets = make_queue(*[(0, 1.05)] * 9)
    high = admit(scheduler, lane, 10, priority=1, deadline=30.0)
    assert len(gave_way(*tickets)) == 1
    assert high in [item.ticket for _ in range(4) for item in run_next(scheduler, 0.0).items]


def test_a_request_of_higher_priority_is_promised_what_is_after_the_batch_in_hand():
    """Full batches take 0.6 s, and no second one of lower priority goes before it."""
    scheduler, lane = make_scheduler(tokens=10**6), make_lane(budget=60, cost=SLOW)
    tickets = [admit(scheduler, lane, 10, deadline=30.0) for _ in range(20)]
    batch = scheduler.next_batch(0.0)
    with pytest.raises(DeadlineUnmeetableError):
        admit(scheduler, lane, 10, now=0.1, deadline=0.85)
    urgent = admit(scheduler, lane, 10, now=0.1, deadline=0.85, priority=10)
    again = admit(scheduler, lane, 10, now=0.1, deadline=0.95, priority=10)
    scheduler.ended(batch)
    runs_until(scheduler, urgent, now=0.6)
    assert again.finished
    assert gave_way(*tickets) == []


def test_what_is_refused_postpones_nothing():
    """Requests of middle priority are due early, before what has waited; what asks in vain leaves that as it is."""
    scheduler, lane, _ = make_queue(*[(0, 1.05 + place / 10) for place in range(9)])
    middle = [admit(scheduler, lane, 10, priority=5, deadline=30.0) for _ in range(5)]
    due = [scheduler._queue.requests[ticket].due_s for ticket in middle]
    assert max(due) < 30.0
    with pytest.raises(DeadlineUnmeetableError):
        scheduler.check_room(lane, 100, 0.0, deadline=0.6, priority=10)
    with pytest.raises(DeadlineUnmeetableError):
        admit(scheduler, lane, *[10] * 10, deadline=0.6, priority=10)
    assert [scheduler._queue.requests[ticket].due_s for ticket in middle] == due
