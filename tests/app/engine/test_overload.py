"""Under overload, what can be answered in time is answered. Simulated with the scheduler; see tests/app/overload."""

import pytest

from tests.app.overload import Kind, Simulation, machine, mixed

pytestmark = pytest.mark.no_cover  # a simulation of many seconds; other tests go through the same lines

WANTED = 0.95  # of the capacity, or of what is sent where that is less

CASES = [(1, 0.3, 1), (1, 3, 4), (6, 0.3, 0.5), (6, 3, 2), (20, 0.3, 0.1), (20, 3, 1), (20, 30, 10)]
cases = pytest.mark.parametrize(("windows", "deadline_s", "scale"), CASES)
guesses = pytest.mark.parametrize("guess", [1.0, 1.5, 1 / 1.5], ids="guess-{:.2f}".format)


def simulate(kinds, load, deadline_s, runners=2, **fields):
    """Send `load` times the capacity; count when the queue has filled, and wait for what was counted."""
    simulation = Simulation(kinds, runners=runners, **fields)
    filled = 1.2 * deadline_s
    counted = filled, filled + max(2 * deadline_s, 150 * simulation.mean_work / runners)
    simulation.run(load, counted[1] + deadline_s, counted)
    return simulation


@cases
def test_nearly_all_is_answered_in_time_just_below_the_capacity(windows, deadline_s, scale):
    simulation = simulate([Kind(machine(scale), (128,) * windows, deadline_s)], 0.9, deadline_s)
    assert simulation.share_sent >= WANTED


@cases
@pytest.mark.parametrize("load", [1.5, 4, 10])
def test_the_capacity_is_answered_in_time_at_any_load(load, windows, deadline_s, scale):
    simulation = simulate([Kind(machine(scale), (128,) * windows, deadline_s)], load, deadline_s)
    assert simulation.share_useful >= WANTED


@guesses
@pytest.mark.parametrize("runners", [1, 2, 4])
@pytest.mark.parametrize("load", [1.5, 4])
def test_so_it_is_with_mixed_requests_and_with_wrong_predictions_that_are_refined(load, runners, guess):
    assert simulate(mixed(1.0, guess), load, 1.0, runners).share_useful >= WANTED


@guesses
def test_wrong_predictions_cost_little_while_they_are_refined(guess):
    """Counted from the first request on; the queue is filled only once of the seconds."""
    simulation = Simulation([Kind(machine(guess=guess), (128,) * 6, 3.0)])
    simulation.run(4, seconds=15, counted=(0, 12))
    assert simulation.share_useful >= 0.9


def test_what_is_accepted_is_answered_in_time():
    simulation = simulate([Kind(machine(), (128,) * 6, 3.0)], 4, 3.0)
    (tally,) = simulation.tallies
    assert tally.errors["deadline_exceeded"] <= 0.02 * tally.in_time
    assert tally.errors["deadline_unmeetable"] > tally.in_time


@pytest.mark.parametrize("load", [1.5, 3, 10])
def test_nearly_all_that_is_accepted_is_in_time_where_a_full_batch_takes_as_long_as_the_deadline_allows(load):
    """A batch that ends later than predicted is late for all in it that were due by what was predicted."""
    lane = machine(25)
    assert lane.full_batch_s > 0.3
    simulation = Simulation([Kind(lane, (12,), 0.5)], noise=0.15)
    simulation.run(load, seconds=12, counted=(1, 11))
    (tally,) = simulation.tallies
    assert tally.errors["deadline_exceeded"] <= 0.03 * tally.in_time
    assert simulation.share_useful >= WANTED


def test_few_requests_of_high_priority_are_all_answered_however_long_the_queue_is():
    lane = machine(2)
    kinds = [Kind(lane, (128,), 30.0, share=0.95), Kind(lane, (128,), 1.0, priority=10, share=0.05)]
    simulation = Simulation(kinds, max_queue_s=5.0)
    simulation.run(4, seconds=24, counted=(0, 18))
    low, high = simulation.tallies
    assert high.in_time >= 0.99 * high.sent
    assert max(high.waits) < 0.5
    assert low.errors["queue_full"] > 0
    assert simulation.share_useful >= 0.9


@pytest.mark.parametrize("runners", [1, 2])
def test_so_they_are_where_they_have_the_time_of_two_full_batches(runners):
    lane = machine(40)
    assert 0.4 < lane.full_batch_s < 0.6
    kinds = [Kind(lane, (12,), 5.0, share=0.96), Kind(lane, (12,), 1.0, priority=10, share=0.04)]
    simulation = Simulation(kinds, runners=runners, noise=0.15)
    simulation.run(3, seconds=24, counted=(4, 20))
    _, high = simulation.tallies
    assert high.in_time >= 0.98 * high.sent
    assert simulation.share_useful >= 0.9


def test_high_priority_goes_first_where_low_priority_fills_every_deadline():
    """The requests of high priority have time; those of low priority give way although they do not."""
    lane = machine(2)
    kinds = [Kind(lane, (128,), 0.5, share=0.9), Kind(lane, (128,), 30.0, priority=1, share=0.1)]
    simulation = simulate(kinds, 4, 3.0)
    low, high = simulation.tallies
    assert high.in_time >= 0.98 * high.sent
    assert max(high.waits) < 0.5
    assert low.errors["displaced"] > 0
    assert simulation.share_useful >= WANTED


def test_the_work_ahead_stays_within_its_bound():
    simulation = Simulation([Kind(machine(2), (128,), 30.0)], max_queue_s=2.0)
    simulation.run(4, seconds=16, counted=(4, 13))
    (tally,) = simulation.tallies
    assert tally.errors["queue_full"] > 0
    assert max(tally.waits) < 2.5
    assert simulation.share_useful >= WANTED


def test_after_an_overload_the_capacity_is_back_at_once():
    simulation = Simulation([Kind(machine(), (128,) * 6, 3.0)])
    simulation.run(10, seconds=10, counted=(0, 0))
    simulation.run(0.8, seconds=9, counted=(3, 6))
    assert simulation.share_sent >= 0.99
