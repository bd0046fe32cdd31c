"""How an engine stops, goes on after a failure of its own, and says that it makes no progress."""

import asyncio
import sys
import time

import pytest

from app.engine.engine import SWITCH_S
from app.errors import DrainingError, InferenceFailedError
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

# --- Stopping and liveness ------------------------------------------------------------------------------


def test_a_runner_waits_for_the_gil_for_less_than_a_batch_takes():
    before = sys.getswitchinterval()
    try:
        with running(1, Gate()):
            assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)


def test_stop_answers_everyone():
    """What runs is finished, what is queued is refused, what comes later too."""

    async def scenario():
        lane = make_lane(gate)
        running = await block(engine, lane)
        queued = [submit(engine, lane, window(2), window(3)) for _ in range(20)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(asyncio.to_thread(engine.stop))
        refused = await asyncio.gather(*queued, return_exceptions=True)
        assert {type(answer) for answer in refused} == {DrainingError}
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0
        with pytest.raises(DrainingError):
            await submit(engine, lane, window(2))
        gate.open.set()
        assert first_tokens(await running) == [1]
        await stopping

    gate = Gate()
    engine = make_engine()
    engine.start()
    play(scenario())


def test_a_stuck_batch_does_not_hold_up_the_stop():
    async def scenario():
        task = await block(engine, make_lane(gate))
        await asyncio.to_thread(engine.stop, 0.05)
        assert not task.done()
        gate.open.set()
        assert first_tokens(await task) == [1]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def test_a_batch_that_does_not_end_is_a_stall():
    async def scenario():
        assert not engine.is_stalled(0.0)
        task = await block(engine, make_lane(gate))
        assert engine.is_stalled(0.0)
        assert not engine.is_stalled(PATIENCE_S)
        assert engine.runners[0].busy_seconds(time.monotonic()) > 0
        gate.open.set()
        await task

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


def fails_once(error, call):
    """Wrap a function so that its first call raises."""
    errors = [error]

    def wrapped(*arguments, **named):
        if errors:
            raise errors.pop()
        return call(*arguments, **named)

    return wrapped


def test_a_runner_that_fails_outside_of_the_forward_pass_answers_its_batch_and_goes_on():
    """`SystemExit` is no `Exception`: nothing halves a batch for it."""

    async def scenario():
        lane = make_lane(fails_once(SystemExit(), echo))
        tasks = [submit(engine, lane, window(1, token=n), window(2, token=n)) for n in range(3)]
        await asyncio.sleep(0)
        engine.start()
        for task in tasks:
            with pytest.raises(InferenceFailedError):
                await task
        assert first_tokens(await submit(engine, lane, window(1, token=7))) == [7]
        assert not engine.is_stalled(PATIENCE_S)
        assert value(engine, "runner_restarts_total") == 1
        assert value(engine, "queue_tokens") == 0

    engine = make_engine()
    try:
        play(scenario())
    finally:
        engine.stop()


@pytest.mark.parametrize("place", ["take", "complete"])
def test_a_runner_without_memory_leaves_nobody_waiting(place):
    async def scenario():
        lane = make_lane()
        asked = submit(engine, lane, window(1, token=3))
        if place == "take":
            assert first_tokens(await asked) == [3]
        else:
            with pytest.raises(InferenceFailedError):
                await asked
        assert first_tokens(await submit(engine, lane, window(1, token=7))) == [7]
        assert value(engine, "runner_restarts_total") == 1

    engine = make_engine()
    setattr(engine, place, fails_once(MemoryError(), getattr(engine, place)))
    engine.start()
    try:
        play(scenario())
    finally:
        engine.stop()


def test_what_is_counted_after_the_answer_changes_no_answer():
    async def scenario():
        lane = make_lane()
        object.__setattr__(lane.series, "tokens", None)  # counting it fails
        assert first_tokens(await submit(engine, lane, window(1, token=7))) == [7]
        assert first_tokens(await submit(engine, lane, window(1, token=8))) == [8]
        while value(engine, "runner_restarts_total") < 2:
            await asyncio.sleep(0)

    with running() as engine:
        play(scenario())


def test_a_runner_whose_thread_ended_is_a_stall():
    engine = make_engine()
    engine.start()
    engine.stop()
    assert engine.is_stalled(PATIENCE_S)


def test_a_batch_waits_for_more_requests_when_told_to():
    """The first of two waits; the second fills the batch, which goes at once."""

    async def scenario():
        gate.open.set()
        lane = make_lane(gate, budget=10)
        await asyncio.gather(submit(engine, lane, window(5, token=1)), submit(engine, lane, window(5, token=2)))
        assert gate.batches == [[1, 2]]

    gate = Gate()
    with running(1, gate, max_queue_delay_s=PATIENCE_S) as engine:
        play(scenario())


def test_the_engine_says_while_answers_wait_for_the_event_loop():
    """New requests can leave them their turn then."""

    async def scenario():
        lane = make_lane(gate)
        task = await block(engine, lane)
        assert not engine.is_answering
        gate.open.set()
        while engine._scheduler.running_batches:  # the loop does not get a turn
            time.sleep(0.001)
        assert engine.is_answering
        await task
        assert not engine.is_answering

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())
