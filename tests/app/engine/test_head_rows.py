"""Rows of a wide head take time: in what a window costs, in what fits into a batch, and in who is admitted."""

import pytest

from app.engine.cost import CostModel, Shape
from app.engine.work import Ticket
from app.errors import DeadlineUnmeetableError
from tests.app.builders import make_lane, window
from tests.app.overload import Kind, Simulation, machine
from tests.app.queues import make_scheduler

WIDE = CostModel(per_token=0.001, per_head_row=0.004)  # a head row takes as long as four tokens


def ask(scheduler, lane, *windows, arrival=0.0, deadline=1000.0):
    ticket = Ticket(lane, windows, arrival, deadline)
    scheduler.admit(ticket)
    return ticket


def lengths_of(batch):
    return sorted((item.length, item.head_rows) for item in batch.items)


def test_a_head_row_beyond_the_first_has_its_cost():
    assert WIDE.predict(Shape.of([10], 5)) == pytest.approx(0.010 + 5 * 0.004)
    assert WIDE.amortized(10, 100, 5) == pytest.approx(0.010 + 5 * 0.004)
    assert WIDE.tokens_of(5) == 20
    assert CostModel(per_token=0.001).tokens_of(500) == 0


@pytest.mark.parametrize(
    ("head_rows", "together"),
    [([1, 1, 1, 1], 4), ([21, 1, 1], 2), ([21, 21], 1), ([500, 500], 1), ([21, 500, 1], 2)],
    ids=str,
)
def test_a_batch_has_as_many_head_rows_as_take_the_time_of_its_tokens(head_rows, together):
    """Of 100 tokens, a window of 10 tokens and 21 rows takes 90."""
    scheduler, lane = make_scheduler(), make_lane(budget=100, cost=WIDE)
    for rows in head_rows:
        ask(scheduler, lane, window(10, head_rows=rows))
    assert len(scheduler.next_batch(0.0).items) == together


def test_a_deadline_that_head_rows_do_not_leave_is_refused():
    scheduler, lane = make_scheduler(), make_lane(budget=100, cost=WIDE)
    ask(scheduler, lane, window(10), deadline=0.05)
    with pytest.raises(DeadlineUnmeetableError, match=r"0\.4"):
        ask(scheduler, lane, window(10, head_rows=100), deadline=0.3)


def test_batches_in_order_of_deadlines_count_head_rows_too():
    scheduler, lane = make_scheduler(), make_lane(budget=100, cost=WIDE)
    for _ in range(3):
        ask(scheduler, lane, window(10, head_rows=21), deadline=0.6)
    while (batch := scheduler.next_batch(0.0)) is not None:
        assert lengths_of(batch) == [(10, 20)]
        scheduler.ended(batch)


@pytest.mark.parametrize("load", [1.5, 4])
def test_the_capacity_is_answered_in_time_where_head_rows_take_most_of_it(load):
    lane = machine(per_head_row=1e-3)
    kinds = [Kind(lane, (64,), 1.0, head_rows=60), Kind(lane, (64,), 1.0)]
    simulation = Simulation(kinds)
    simulation.run(load, seconds=9, counted=(2, 7))
    assert simulation.share_useful >= 0.95


def test_short_texts_are_not_behind_batches_of_wide_rows():
    """Each batch of them is one window, so that a short text of another model waits for the batches in hand."""
    kinds = [Kind(machine(per_head_row=1e-3), (64,), 30.0, head_rows=60), Kind(machine(name="other"), (16,), 30.0)]
    simulation = Simulation(kinds)
    simulation.run(0.5, seconds=20, counted=(2, 15))
    _, short = simulation.tallies
    assert max(short.waits) < 0.5
