"""Whose turn it is: priority, age, and large requests among the others. The clock is an argument."""

import random

import pytest

from tests.app.builders import make_lane
from tests.app.queues import SLOW, admit, lengths_of, make_scheduler, run_next, runs_until


def test_priority_then_age():
    """Deadlines order nothing that can be answered in time in any order."""
    scheduler, lane = make_scheduler(), make_lane(budget=10)
    ranks = [(0, 50.0), (0, 40.0), (5, 90.0), (-3, 10.0), (5, 80.0), (0, 40.0)]
    tickets = [admit(scheduler, lane, 10, priority=p, deadline=d) for p, d in ranks]
    order = [tickets.index(scheduler.next_batch(0.0).items[0].ticket) for _ in ranks]
    assert order == [2, 4, 0, 1, 5, 3]


def test_one_that_waited_too_long_goes_before_all():
    scheduler, lane = make_scheduler(age=0.5), make_lane(budget=10)
    old = admit(scheduler, lane, 10, priority=-10, now=0.0)
    urgent = [admit(scheduler, lane, 10, priority=10, now=0.4) for _ in range(2)]
    assert scheduler.next_batch(0.5).items[0].ticket is urgent[0]
    assert scheduler.next_batch(0.51).items[0].ticket is old


def test_a_cheap_one_waits_for_no_second_window_of_many_that_all_wait_too_long():
    """They have their turns without a rule of their own, since what goes next is one of them."""
    scheduler, cheap, lane = (
        make_scheduler(tokens=10**6, age=0.5),
        make_lane(budget=10),
        make_lane(budget=10, cost=SLOW),
    )
    for length in range(10, 50):
        admit(scheduler, lane, *[length] * 10, deadline=1e9)
    now = 0.0
    for count in range(300):
        now += run_next(scheduler, now).items[0].cost
        if count % 7 == 0:
            ticket = admit(scheduler, cheap, 1, now=now, deadline=1e9)
            assert run_next(scheduler, now).items[0].ticket is ticket
            now += run_next(scheduler, now).items[0].cost


def test_what_waits_too_long_goes_before_a_flood_of_higher_priority_that_waits_too_long_as_well():
    scheduler, lane = make_scheduler(tokens=10**6, age=0.5), make_lane(budget=10)
    flood = [admit(scheduler, lane, 10, priority=5) for _ in range(10)]
    olds = [admit(scheduler, lane, 10) for _ in range(2)]
    flood += [admit(scheduler, lane, 10, priority=5, now=0.1) for _ in range(10)]
    started = [scheduler.next_batch(1.0).items[0].ticket for _ in range(22)]
    assert set(olds) < set(started[:14])


@pytest.mark.parametrize("deadline", [15.0, 30.0])
@pytest.mark.parametrize("age", [0.05, 1e9])
def test_a_request_of_many_windows_takes_turns_with_the_others(age, deadline):
    """Ten seconds of work by one request; another that comes after four waits for a window or two, not for six.

    That the large one is due first does not matter while it can be answered in time.
    """
    scheduler, lane = make_scheduler(tokens=10**6, age=age), make_lane(budget=10, cost=SLOW)
    many = admit(scheduler, lane, *[10] * 100, deadline=deadline)
    now = 0.0
    for _ in range(40):
        now += run_next(scheduler, now).items[0].cost
    one = admit(scheduler, lane, 10, now=now, deadline=now + 30.0)
    assert runs_until(scheduler, one, now) < 0.4
    assert not many.finished


@pytest.mark.parametrize("slower", [1.0, 3.0])
def test_a_new_request_goes_next_however_far_the_service_has_fallen_behind(slower):
    """Batches take longer than was predicted; the rest of a large request is not overdue because of that."""
    scheduler, lane = make_scheduler(tokens=10**6, age=1e9), make_lane(budget=10, cost=SLOW)
    admit(scheduler, lane, *[10] * 100, deadline=60.0)
    now = 0.0
    for _ in range(40):
        now += slower * run_next(scheduler, now).items[0].cost
    one = admit(scheduler, lane, 10, now=now, deadline=now + 60.0)
    assert one in [item.ticket for _ in range(2) for item in scheduler.next_batch(now).items]


def test_a_waiting_request_shares_the_next_batch_before_a_large_request_fills_it():
    """The windows of the large request are as long as any; if only length counted, they would fill every batch."""
    scheduler, lane = make_scheduler(tokens=10**6), make_lane(budget=120, cost=SLOW)
    many = admit(scheduler, lane, *range(10, 40), deadline=60.0)
    scheduler.next_batch(0.0)
    others = [admit(scheduler, lane, length, now=0.1, deadline=60.0) for length in (10, 39, 20)]
    tickets = [item.ticket for item in scheduler.next_batch(0.2).items]
    assert set(others) < set(tickets)
    assert many in tickets


def test_no_request_has_a_second_window_in_a_batch_while_anothers_first_would_fit():
    scheduler, lane = make_scheduler(), make_lane(budget=30)
    pair = admit(scheduler, lane, 10, 10)
    one = admit(scheduler, lane, 20)
    assert [item.ticket for item in scheduler.next_batch(0.0).items] == [pair, one]
    assert [item.ticket for item in scheduler.next_batch(0.0).items] == [pair]


def test_a_batch_is_filled_by_priority_before_anything_else():
    """Not with the first windows of others, nor with the nearest in length."""
    scheduler, lane = make_scheduler(), make_lane(budget=40)
    low = admit(scheduler, lane, 14, priority=0)
    admit(scheduler, lane, 10, 15, 10, priority=1)
    assert lengths_of(scheduler.next_batch(0.0)) == [15, 10, 10]
    assert scheduler.next_batch(0.0).items[0].ticket is low


def test_a_request_of_many_windows_is_not_starved_by_others():
    """New requests take all that the machine can do; the large one still gets its turns among those that wait.

    By equal shares, and with a window more, it has `n` of its windows after the time of `n + 1` squared.
    """
    scheduler, lane = make_scheduler(tokens=10**6, age=1e9), make_lane(budget=10, cost=SLOW)
    many = admit(scheduler, lane, *[10] * 20, deadline=60.0)
    now = 0.0
    for _ in range(21**2):
        admit(scheduler, lane, 10, now=now, deadline=now + 30.0)
        for item in run_next(scheduler, now).items:
            now += item.cost
            item.ticket.fill(item.index, item.window.input_ids[:, None])
    assert many.finished


def longest_wait(age):
    """Run 600 arrivals of every priority, length and model at nine tenths of the capacity of one runner."""
    generator = random.Random(11)
    scheduler = make_scheduler(tokens=10**6, age=age)
    lanes = [make_lane(name="a", budget=64), make_lane(name="b", budget=64)]
    arrivals, now, waits = [], 0.0, []
    for _ in range(600):
        now += generator.expovariate(1.0) * 30 / 64 / 0.9  # 64 tokens run in one second
        arrivals.append((now, generator.choice(lanes), generator.randint(1, 60), generator.randint(-10, 10)))
    now = 0.0
    while arrivals or len(scheduler):
        while arrivals and arrivals[0][0] <= now:
            arrival, lane, length, priority = arrivals.pop(0)
            admit(scheduler, lane, length, now=arrival, priority=priority, deadline=1e9)
        batch = run_next(scheduler, now)
        if batch is None:
            now = arrivals[0][0]
            continue
        waits += [now - item.ticket.arrival for item in batch.items]
        now += sum(lengths_of(batch)) / 64
    assert len(waits) == 600
    return max(waits)


def test_nothing_starves():
    assert longest_wait(age=5.0) < 0.5 * longest_wait(age=1e9)
    assert longest_wait(age=5.0) < 20
