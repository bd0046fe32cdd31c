"""Callers of the engine who leave, and deadlines that pass: windows leave the queue, other callers are answered."""

import asyncio
import time

import pytest

from app.engine.cost import CostModel
from app.errors import DeadlineExceededError, DrainingError
from tests.app.builders import echo, make_lane, window
from tests.app.engines import (
    PATIENCE_S,
    Gate,
    block,
    first_tokens,
    make_engine,
    play,
    running,
    submit,
    value,
)


def test_a_cancelled_caller_leaves_the_queue():
    async def scenario():
        lane = make_lane(gate)
        first = await block(engine, lane)
        gone = submit(engine, lane, window(5, token=2), window(5, token=3))
        await asyncio.sleep(0)
        assert value(engine, "queue_tokens") == 10
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0
        assert value(engine, "cancelled_total") == 1
        gate.open.set()
        await first
        assert gate.batches == [[1]]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_caller_cancelled_during_the_forward_pass_harms_nobody():
    async def scenario():
        lane = make_lane(gate)
        gone = await block(engine, lane)
        other = submit(engine, lane, window(5, token=2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open.set()
        assert first_tokens(await other) == [2]
        assert value(engine, "cancelled_total") == 1
        assert value(engine, "deadline_missed_total") == 0

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_deadline_behind_a_blocked_runner_is_answered_in_time():
    async def scenario():
        lane = make_lane(gate)
        first = await block(engine, lane)
        with pytest.raises(DeadlineExceededError):
            await submit(engine, lane, window(5, token=2), timeout_s=0.2)
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0
        assert value(engine, "deadline_missed_total") == 1
        gate.open.set()
        await first
        assert gate.batches == [[1]]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_deadline_during_the_forward_pass_is_answered_in_time():
    async def scenario():
        with pytest.raises(DeadlineExceededError):
            await submit(engine, make_lane(gate), window(5), timeout_s=0.2)
        assert value(engine, "deadline_missed_total") == 1

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_deadline_that_the_runner_finds_first_is_counted_too():
    """The event loop is kept busy past the deadline, so that its timer cannot fire before the runner looks."""

    async def scenario():
        lane, after = make_lane(gate), make_lane(Gate(), name="after")
        first = await block(engine, lane)
        late = submit(engine, lane, window(5, token=2), timeout_s=0.1)
        last = submit(engine, after, window(1), priority=-1)
        await asyncio.sleep(0)
        deadline = time.monotonic() + 0.1
        while time.monotonic() <= deadline:
            pass
        gate.open.set()
        assert after.run.entered.wait(PATIENCE_S)  # the runner has passed over the late one
        after.run.open.set()
        with pytest.raises(DeadlineExceededError):
            await late
        await asyncio.gather(first, last)
        assert value(engine, "deadline_missed_total") == 1
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0
        assert gate.batches == [[1]]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_refused_request_leaves_nothing_behind():
    async def scenario():
        with pytest.raises(DrainingError):
            await submit(engine, make_lane(), window(5))
        assert value(engine, "queue_tokens") == 0
        assert value(engine, "cancelled_total") == 0

    engine = make_engine()
    engine.start()
    engine.stop()
    play(scenario())


@pytest.fixture
def settled(monkeypatch):
    """The machine counts as idle as soon as it is."""
    monkeypatch.setattr("app.engine.engine.IDLE_AFTER_S", 0.0)


def test_a_batch_is_told_whether_the_machine_is_idle(settled):
    """The first runs by itself, the second beside the first, the last by itself again."""

    async def scenario():
        lane, beside = make_lane(gate), make_lane(other, name="beside")
        first = await block(engine, lane)
        second = await block(engine, beside)
        gate.open.set()
        other.open.set()
        await asyncio.gather(first, second)
        await submit(engine, beside, window(5))
        assert gate.idle_machine[0] is True
        assert other.idle_machine == [False, True]

    gate, other = Gate(), Gate()
    with running(2, gate, other) as engine:
        play(scenario())


def test_a_machine_is_not_idle_while_the_second_half_of_a_failed_batch_runs(settled):
    """The first half is completed, and its runner goes on."""

    class FailsWhole(Gate):
        def __call__(self, windows, **where):
            if len(windows) > 1:
                raise ValueError
            return super().__call__(windows, **where) if windows[0].input_ids[0] == 3 else echo(windows)

    async def scenario():
        whole = CostModel(fixed=1e-3, per_token=1e-6)  # so that two runners do not divide the batch
        lane, beside = make_lane(gate, cost=whole), make_lane(other, name="beside")
        halves = submit(engine, lane, window(1), window(1, token=3))
        assert await asyncio.to_thread(gate.entered.wait, PATIENCE_S)
        await submit(engine, beside, window(5))
        assert other.idle_machine == [False]
        gate.open.set()
        await halves

    gate, other = FailsWhole(), Gate()
    other.open.set()
    with running(2, gate) as engine:
        play(scenario())


def test_a_machine_is_not_idle_while_others_wait(settled):
    async def scenario():
        lane = make_lane(gate, budget=10)
        first = await block(engine, lane)
        waiting = [submit(engine, lane, window(10, token=n)) for n in (2, 3)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *waiting)
        assert gate.batches == [[1], [2], [3]]
        assert gate.idle_machine == [True, False, True]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_machine_that_was_shared_just_now_is_not_idle(monkeypatch):
    """Under load there are moments with one batch only; those that come next should find a core free."""

    async def scenario():
        lane, beside = make_lane(gate), make_lane(other, name="beside")
        first, second = await block(engine, lane), await block(engine, beside)
        gate.open.set()
        other.open.set()
        await asyncio.gather(first, second)
        await submit(engine, beside, window(5))
        assert gate.idle_machine == [True]
        assert other.idle_machine == [False, False]

    monkeypatch.setattr("app.engine.engine.IDLE_AFTER_S", PATIENCE_S)
    gate, other = Gate(), Gate()
    with running(2, gate, other) as engine:
        play(scenario())
