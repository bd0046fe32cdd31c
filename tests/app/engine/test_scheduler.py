"""The queue: admission, the choice of a batch, deadlines and the wait for more requests. The clock is an argument."""

import pytest

from app.engine.cost import CostModel
from app.errors import DeadlineExceededError
from tests.app.builders import make_lane
from tests.app.queues import admit, lengths_of, make_scheduler, state_of

# --- The choice of a batch ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queued", "budget", "expected"),
    [
        ([50, 10, 52, 48, 200, 49], 200, [48, 49, 50, 52]),  # nearest first, on both sides
        ([50, 10, 52, 48, 200, 49], 100, [49, 50]),
        ([10, 10, 10, 10], 30, [10, 10, 10]),
        ([40, 60, 10], 55, [10, 40]),  # the next longer does not fit, the next shorter does
        ([10, 90, 100], 64, [10]),
        ([30, 5, 60], 95, [5, 30, 60]),
    ],
    ids=str,
)
def test_a_batch_is_filled_with_the_nearest_lengths_up_to_the_budget(queued, budget, expected):
    scheduler, lane = make_scheduler(), make_lane(budget=budget)
    for length in queued:
        admit(scheduler, lane, length)
    batch = scheduler.next_batch(0.0)
    assert sorted(lengths_of(batch)) == expected
    assert scheduler.queued_tokens == sum(queued) - sum(expected)


def test_of_equal_lengths_the_oldest_join_first():
    scheduler, lane = make_scheduler(), make_lane(budget=30)
    tickets = [admit(scheduler, lane, 10) for _ in range(5)]
    assert [item.ticket for item in scheduler.next_batch(0.0).items] == tickets[:3]
    assert [item.ticket for item in scheduler.next_batch(0.0).items] == tickets[3:]


def test_a_window_longer_than_the_budget_runs_by_itself():
    scheduler, lane = make_scheduler(), make_lane(budget=64)
    for length in (100, 100, 1):
        admit(scheduler, lane, length)
    assert [lengths_of(scheduler.next_batch(0.0)) for _ in range(3)] == [[100], [100], [1]]


@pytest.mark.parametrize(
    ("queued", "expected"), [([50, 10, 52, 48, 20], [48, 50]), ([10, 10, 10, 12], [10, 10, 10, 12]), ([9, 90], [9])]
)
def test_where_padding_is_computed_it_counts_against_the_budget(queued, expected):
    scheduler, lane = make_scheduler(), make_lane(budget=110, padded=True)
    for length in queued:
        admit(scheduler, lane, length)
    assert sorted(lengths_of(scheduler.next_batch(0.0))) == expected


@pytest.mark.parametrize(
    ("free", "fixed_tokens", "expected"), [(1, 0, [60]), (2, 0, [30, 30]), (3, 0, [20, 20, 20]), (3, 30, [30, 30])]
)
def test_the_queue_is_divided_among_free_runners(free, fixed_tokens, expected):
    """Except for shares that are too small for a batch."""
    scheduler, lane = make_scheduler(runners=free), make_lane(budget=1000)
    lane.cost = CostModel(fixed=fixed_tokens * 1e-5, per_token=1e-5)
    for _ in range(6):
        admit(scheduler, lane, 10)
    batches = [scheduler.next_batch(0.0) for _ in expected]
    assert [sum(lengths_of(batch)) for batch in batches] == expected


def test_a_full_batch_does_not_wait_where_it_is_divided_among_runners():
    scheduler, lane = make_scheduler(delay=1.0, runners=2), make_lane(budget=60)
    for _ in range(6):
        admit(scheduler, lane, 10)
    assert lengths_of(scheduler.next_batch(0.0)) == [10, 10, 10]


def test_windows_of_two_lanes_never_share_a_batch():
    scheduler, lanes = make_scheduler(), [make_lane(name="a"), make_lane(name="b")]
    for number in range(8):
        admit(scheduler, lanes[number % 2], 5)
    batches = [scheduler.next_batch(0.0), scheduler.next_batch(0.0)]
    assert [batch.lane for batch in batches] == lanes
    assert [{item.ticket.lane for item in batch.items} for batch in batches] == [{lanes[0]}, {lanes[1]}]
    assert state_of(scheduler) == (0, 0, 0)


def test_windows_of_one_request_may_run_apart():
    scheduler, lane = make_scheduler(), make_lane(budget=20)
    ticket = admit(scheduler, lane, 20, 19, 20)
    batches = [scheduler.next_batch(0.0) for _ in range(3)]
    assert sorted(item.index for batch in batches for item in batch.items) == [0, 1, 2]
    assert all(item.ticket is ticket for batch in batches for item in batch.items)


def test_the_windows_of_one_request_start_longest_first():
    scheduler, lane = make_scheduler(), make_lane(budget=60)
    ticket = admit(scheduler, lane, 10, 50, 12, 30, 11, 28)
    batches = [lengths_of(scheduler.next_batch(0.0)) for _ in range(3)]
    assert batches == [[50], [30, 28], [12, 11, 10]]
    assert [len(window) for window in ticket.windows] == [10, 50, 12, 30, 11, 28]  # answered in its own order


# --- Deadlines, withdrawal, drain -----------------------------------------------------------------------


def test_expired_work_is_never_started_and_its_request_fails():
    scheduler, lane = make_scheduler(), make_lane()
    expired, alive = admit(scheduler, lane, 10, 10, deadline=1.0), admit(scheduler, lane, 10, deadline=3.0)
    batch = scheduler.next_batch(1.0)
    assert [item.ticket for item in batch.items] == [alive]
    assert expired.finished
    assert isinstance(expired.error, DeadlineExceededError)
    assert state_of(scheduler) == (0, 0, 0)


def test_an_expired_window_joins_no_batch():
    scheduler, lane = make_scheduler(age=10.0), make_lane()
    expired = admit(scheduler, lane, 10, deadline=1.0)
    admit(scheduler, lane, 10, deadline=3.0, priority=1)
    assert len(scheduler.next_batch(2.0).items) == 1
    assert not expired.finished
    assert scheduler.next_batch(2.0) is None
    assert isinstance(expired.error, DeadlineExceededError)


def test_withdrawing_frees_the_places():
    scheduler, lane = make_scheduler(tokens=100), make_lane()
    gone, kept = admit(scheduler, lane, 50, 40), admit(scheduler, lane, 10)
    scheduler.withdraw(gone)
    scheduler.withdraw(gone)  # once more does nothing
    assert state_of(scheduler) == (10, 1, 1)
    admit(scheduler, lane, 90)
    assert kept in {item.ticket for item in scheduler.next_batch(0.0).items}
    assert not gone.finished


def test_withdrawing_what_is_half_done_frees_the_rest():
    scheduler, lane = make_scheduler(), make_lane(budget=10)
    ticket = admit(scheduler, lane, 10, 10, 10)
    scheduler.next_batch(0.0)
    scheduler.withdraw(ticket)
    assert state_of(scheduler) == (0, 0, 0)


def test_drain_empties_the_queue_and_names_its_requests():
    scheduler, lane = make_scheduler(), make_lane()
    tickets = [admit(scheduler, lane, 5, 5), admit(scheduler, make_lane(name="b"), 7)]
    assert scheduler.drain() == tickets
    assert state_of(scheduler) == (0, 0, 0)
    assert scheduler.next_batch(0.0) is None
    assert scheduler.drain_time_s(1e9) == 0


# --- Waiting for more requests --------------------------------------------------------------------------


def test_without_a_delay_a_single_request_runs_at_once():
    scheduler = make_scheduler()
    assert scheduler.ready_in_s(0.0) is None
    admit(scheduler, make_lane(), 5)
    assert scheduler.ready_in_s(0.0) == 0
    assert len(scheduler.next_batch(0.0).items) == 1


def test_the_delay_counts_from_the_oldest_arrival():
    scheduler, lane = make_scheduler(delay=1.0), make_lane()
    admit(scheduler, lane, 5, now=0.0)
    admit(scheduler, lane, 5, now=0.9)  # does not prolong the wait
    assert scheduler.next_batch(0.99) is None
    assert scheduler.ready_in_s(0.9) == pytest.approx(0.1)
    assert len(scheduler) == 2
    assert len(scheduler.next_batch(1.0).items) == 2


def test_a_full_batch_does_not_wait():
    scheduler, lane = make_scheduler(delay=1.0), make_lane(budget=10)
    admit(scheduler, lane, 5)
    assert scheduler.next_batch(0.0) is None
    admit(scheduler, lane, 5)
    assert len(scheduler.next_batch(0.0).items) == 2


def test_a_request_that_expires_while_its_batch_waits_fails():
    scheduler = make_scheduler(delay=1.0)
    ticket = admit(scheduler, make_lane(), 5, deadline=0.5)
    assert scheduler.next_batch(0.6) is None
    assert isinstance(ticket.error, DeadlineExceededError)
