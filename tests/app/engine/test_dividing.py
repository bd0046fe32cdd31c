"""A window whose head takes long is computed in several passes, and answered as if in one."""

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.engine.admission import Limits
from app.engine.cost import CostModel
from app.engine.dividing import PASS_S, divide, divided, joined
from app.engine.engine import Engine
from app.engine.work import Ticket
from app.metrics import Metrics
from app.window import Ranking, Window
from tests.app.builders import make_lane, window
from tests.app.queues import make_scheduler, runs_until

WIDE = CostModel(per_token=1e-4, per_head_row=1e-3)
MANY = 10**9


def rows_of(windows):
    return [len(each.head_rows) for each in windows]


def answered(windows, **where):
    """A forward pass that answers each head row with its token and its place."""
    return [np.stack([w.input_ids[w.head_rows], w.head_rows], axis=1).astype(np.float32) for w in windows]


@pytest.mark.parametrize(
    ("length", "rows", "expected"),
    [
        (100, 1, 1),
        (100, 30, 1),  # 40 ms
        (100, 100, 4),  # 10 ms of tokens, and 100 of rows
        (400, 40, 1),  # its rows take no longer than its tokens, which each pass computes again
        (400, 100, 3),
        (500, 500, 10),
    ],
)
def test_a_pass_takes_so_long_at_most_or_as_long_again_as_its_tokens(length, rows, expected):
    lane = make_lane(cost=WIDE)
    windows, passes = divide(lane, [window(length, head_rows=rows)], MANY)
    assert len(windows) == expected
    assert (passes is None) == (expected == 1)
    for each in windows:
        tokens_s = lane.window_s(length)
        assert lane.window_s(length, len(each.head_rows) - 1) <= max(PASS_S, 2 * tokens_s) + 1e-9


def test_only_rows_that_take_time_are_divided():
    whole = [window(500, head_rows=500)]
    assert divide(make_lane(cost=CostModel(per_token=1.0)), whole, MANY) == (whole, None)
    assert divide(make_lane(cost=CostModel(per_token=1.0, per_head_row=1e-9)), whole, MANY) == (whole, None)


def test_what_would_not_fit_into_the_queue_any_more_is_left_whole():
    whole = [window(100, head_rows=100)]
    assert divide(make_lane(cost=WIDE), whole, 399) == (whole, None)
    assert divide(make_lane(cost=WIDE), whole, 400)[1] == [4]


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.integers(0, 60), min_size=1, max_size=6), passes=st.integers(1, 9))
def test_passes_have_the_rows_of_the_window_in_order(rows, passes):
    ranking = Ranking(3, 1.0)
    windows = [Window(np.arange(60), np.arange(60)[::-1][:count], ranking=ranking) for count in rows]
    counts = [min(passes, max(1, count)) for count in rows]
    parts = [part for each, count in zip(windows, counts, strict=True) for part in divided(each, count)]
    assert all(part.ranking is ranking and len(part) == 60 for part in parts)
    outputs = joined(answered(parts), counts)
    for output, expected in zip(outputs, answered(windows), strict=True):
        np.testing.assert_array_equal(output, expected)


def test_a_request_is_answered_as_if_it_had_not_been_divided():
    ran = []

    def run(windows, **where):
        ran.extend(rows_of(windows))
        return answered(windows)

    async def play():
        engine = Engine(Limits(10**6, 1.0, runners=2), Metrics(CollectorRegistry()))
        engine.start()
        lane = make_lane(run, cost=replace(WIDE), engine=engine, budget=100)
        try:
            windows = [Window(np.arange(80) + 5, np.arange(rows)) for rows in (1, 75, 30)]
            ticket = await lane.submit(windows, deadline=time.monotonic() + 60)
            return windows, ticket.outputs
        finally:
            engine.stop()

    windows, outputs = asyncio.run(play())
    assert sorted(ran) == [1, 25, 25, 25, 30]
    for output, expected in zip(outputs, answered(windows), strict=True):
        np.testing.assert_array_equal(output, expected)


def test_a_short_request_waits_for_two_bounded_passes_at_most():
    """For the one that runs, and for one whose turn is too long ago."""
    scheduler, lane = make_scheduler(tokens=10**6), make_lane(cost=WIDE, budget=100)
    for _ in range(20):
        windows, passes = divide(lane, [window(100, head_rows=100)], MANY)
        scheduler.admit(Ticket(lane, windows, 0.0, 1000.0, passes=passes))
    running = scheduler.next_batch(0.0)
    ends = sum(item.cost for item in running.items)
    short = Ticket(lane, [window(4)], 0.001, 1000.0)
    scheduler.admit(short)
    scheduler.ended(running)
    assert runs_until(scheduler, short, ends) <= 2 * PASS_S + 0.01
