"""Turns count what they cost: a cheap request is not behind expensive ones, and none of those waits for long by it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.builders import make_lane
from tests.app.queues import SLOW, admit, make_scheduler, runs_until

MOST_S = 1.0  # of an expensive window; a token takes 10 ms
EXPENSIVE = st.lists(st.integers(20, 100), min_size=1, max_size=40)


def run_until(scheduler, now, end):
    """Run batches one after the other until a time; return when the last of them ends."""
    while now < end and (batch := scheduler.next_batch(now)) is not None:
        now += sum(item.cost for item in batch.items)
        scheduler.ended(batch)
        for item in batch.items:
            item.ticket.fill(item.index, item.window.input_ids[:, None])
    return max(now, end)


@pytest.mark.parametrize("same_lane", [True, False], ids=["same-model", "other-model"])
@settings(max_examples=60, deadline=None)
@given(lengths=EXPENSIVE, arrives=st.floats(0, 1), age=st.sampled_from([0.5, 5.0, 1e9]), windows=st.integers(1, 5))
def test_a_cheap_request_waits_for_two_expensive_windows_at_most(same_lane, lengths, arrives, age, windows):
    """For the one that runs, and for one that waits for too long: however many there are or are left, and however old.

    `arrives` is when, of the time that all the others take.
    """
    scheduler, lane = make_scheduler(tokens=10**6, age=age), make_lane(budget=10, cost=SLOW)
    tickets = [admit(scheduler, lane, *[length] * windows, deadline=1e9) for length in lengths]
    arrives *= sum(ticket.cost for ticket in tickets)
    now = run_until(scheduler, 0.0, arrives)
    cheap = admit(scheduler, lane if same_lane else make_lane(budget=10, cost=SLOW), 1, now=arrives)
    assert now - arrives <= MOST_S
    assert runs_until(scheduler, cheap, now) <= 2 * MOST_S + 0.02


def by_equal_shares(arrivals, costs):
    """Return when each request would be done, were the runner divided equally among all that wait, at each moment."""
    left, done, now = dict(enumerate(costs)), {}, 0.0
    while left:
        now = max(now, min(arrivals[each] for each in left))
        here = [each for each in left if arrivals[each] <= now]
        first = min(here, key=left.__getitem__)
        end = now + left[first] * len(here)
        until = min([end, *(arrivals[each] for each in left if arrivals[each] > now)])
        for each in here:
            left[each] -= (until - now) / len(here)
        now = until
        if until == end:
            done[first] = end
            del left[first]
    return [done[each] for each in range(len(costs))]


REQUESTS = st.lists(
    st.tuples(st.floats(0, 3), st.lists(st.integers(1, 100), min_size=1, max_size=4)), min_size=1, max_size=25
)


@settings(max_examples=100, deadline=None)
@given(requests=REQUESTS)
def test_nobody_is_later_than_by_equal_shares_with_a_window_more(requests):
    """And but for one window that cannot be interrupted: whatever comes when."""
    scheduler, lane = make_scheduler(tokens=10**6, age=1e9), make_lane(budget=1, cost=SLOW)
    waiting = sorted(requests)
    arrivals = [arrival for arrival, _ in waiting]
    tickets, now, done = [], 0.0, {}
    while len(done) < len(arrivals):
        while len(tickets) < len(arrivals) and (arrivals[len(tickets)] <= now or len(done) == len(tickets)):
            now = max(now, arrivals[len(tickets)])
            arrival, lengths = waiting[len(tickets)]
            tickets.append(admit(scheduler, lane, *lengths, now=arrival, deadline=1e9))
        batch = scheduler.next_batch(now)
        [item] = batch.items
        now += item.cost
        scheduler.ended(batch)
        if item.ticket.fill(item.index, item.window.input_ids[:, None]):
            done[tickets.index(item.ticket)] = now
    for place, ticket in enumerate(tickets):
        costs = [each.cost for each in tickets]
        costs[place] += max(ticket.costs)
        assert done[place] <= by_equal_shares(arrivals, costs)[place] + MOST_S + 1e-6


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 100), min_size=1, max_size=40), waits=st.lists(st.floats(0, 0.2), min_size=40))
def test_requests_of_equal_cost_go_in_the_order_of_their_arrival(lengths, waits):
    """Whatever else comes in between."""
    scheduler, lane = make_scheduler(tokens=10**6, age=1e9), make_lane(budget=1, cost=SLOW)
    now, alike, order = 0.0, [], []
    for length, wait in zip(lengths, waits, strict=False):
        admit(scheduler, lane, length, now=now)
        alike.append(admit(scheduler, lane, 30, now=now))
        now += wait
        if (batch := scheduler.next_batch(now)) is not None:
            scheduler.ended(batch)
            order.append(batch.items[0].ticket)
    while (batch := scheduler.next_batch(now)) is not None:
        scheduler.ended(batch)
        order.append(batch.items[0].ticket)
    assert [ticket for ticket in order if ticket in alike] == alike


@pytest.mark.parametrize("age", [0.5, 2.0])
def test_an_expensive_request_is_not_starved_by_cheap_ones(age):
    scheduler, lane = make_scheduler(tokens=10**6, age=age), make_lane(budget=1, cost=SLOW)
    expensive, now = admit(scheduler, lane, 100), 0.0
    while expensive in scheduler._queue.requests:
        for _ in range(2):  # as fast as they are done, and more
            admit(scheduler, lane, 1, now=now)
        batch = scheduler.next_batch(now)
        now += sum(item.cost for item in batch.items)
        scheduler.ended(batch)
    assert now - 1.0 <= age + 0.05
