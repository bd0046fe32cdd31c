"""The engine with real threads: every caller is answered, whatever the model does."""

import asyncio
import sys
import time

import numpy as np
import pytest

from app.engine.engine import SWITCH_S
from app.errors import DrainingError, InferenceFailedError
from tests.app.builders import echo, make_lane, window
from tests.app.engines import (
    PATIENCE_S,
    POISON,
    Gate,
    PoisonGate,
    block,
    first_tokens,
    make_engine,
    play,
    running,
    submit,
    value,
)

# --- Answers --------------------------------------------------------------------------------------------


def test_the_outputs_of_a_request_are_in_its_own_order():
    """Three windows to a batch at most, of mixed lengths, so that they run in several batches and another order."""

    async def scenario():
        windows = [window(1 + (n * 7) % 20, token=n) for n in range(40)]
        ticket = await submit(engine, make_lane(budget=30), *windows)
        assert first_tokens(ticket) == list(range(40))
        assert [len(output) for output in ticket.outputs] == [len(w) for w in windows]
        assert ticket.queue_s >= 0
        assert ticket.forward_s > 0

    with running(2) as engine:
        play(scenario())


def test_a_lane_submits_to_its_engine():
    async def scenario():
        lane = make_lane(engine=engine)
        ticket = await lane.submit([window(3, token=7)], deadline=time.monotonic() + PATIENCE_S)
        assert first_tokens(ticket) == [7]

    with running() as engine:
        play(scenario())


def test_many_callers_are_all_answered_with_their_own():
    async def scenario():
        lanes = [make_lane(name="a"), make_lane(name="b")]
        tasks = [submit(engine, lanes[n % 2], window(1 + n % 9, token=n), window(3, token=n)) for n in range(300)]
        for n, ticket in enumerate(await asyncio.gather(*tasks)):
            assert first_tokens(ticket) == [n, n]

    with running(4) as engine:
        play(scenario())
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0


def test_batches_form_while_the_runner_is_busy():
    async def scenario():
        lane = make_lane(Gate())
        first = await block(engine, lane)
        others = [submit(engine, lane, window(1, token=n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        lane.run.open.set()
        await asyncio.gather(first, *others)
        assert lane.run.batches == [[1], [2, 3, 4]]
        return lane

    with running() as engine:
        lane = play(scenario())
    sample = lane.series.batch_sequences.collect()[0].samples  # the runner counts after it has answered
    assert {s.name: s.value for s in sample if s.name.endswith(("_sum", "_count"))} == {
        "roberta_batch_sequences_sum": 4,
        "roberta_batch_sequences_count": 2,
    }


# --- Failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, 7])
def test_only_the_failing_window_of_a_batch_errs(place):
    async def scenario():
        lane = make_lane(gate)
        first = await block(engine, lane)
        tokens = [POISON if n == place else 10 + n for n in range(8)]
        others = [submit(engine, lane, window(2, token=token)) for token in tokens]
        await asyncio.sleep(0)
        gate.open.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        assert len(gate.batches[1]) == 8
        for token, answer in zip([1, *tokens], answers, strict=True):
            if token == POISON:
                assert isinstance(answer, InferenceFailedError)
                assert "quotes" not in answer.message
            else:
                assert first_tokens(answer) == [token]
        assert lane.series.forward_failures._value.get() == 1

    gate = PoisonGate()
    with running(1, gate) as engine:
        play(scenario())


def test_one_bad_window_fails_its_request_and_frees_the_rest_of_it():
    async def scenario():
        lane = make_lane(gate, budget=4)
        with pytest.raises(InferenceFailedError):
            await submit(engine, lane, window(4, token=POISON), *[window(4, token=2)] * 50)
        assert len(gate.batches) < 51
        assert value(engine, "queue_tokens") == value(engine, "queue_requests") == 0

    gate = PoisonGate()
    gate.open.set()
    with running(1, gate) as engine:
        play(scenario())


@pytest.mark.parametrize("run", [lambda w, **_: echo(w)[1:], lambda w, **_: echo(w) * 2, lambda w, **_: None], ids=str)
def test_a_wrong_number_of_outputs_is_an_error_and_nobody_waits(run):
    async def scenario():
        lane = make_lane(run)
        answers = await asyncio.gather(
            *(submit(engine, lane, window(3), window(4)) for _ in range(5)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {InferenceFailedError}

    with running(2) as engine:
        play(scenario())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_fail_their_request_alone(value):
    def run(windows, **_):
        return [np.full((1, 2), value if w.input_ids[0] == POISON else 0.5, np.float32) for w in windows]

    async def scenario():
        lane = make_lane(run)
        answers = await asyncio.gather(
            *(submit(engine, lane, window(3, token=token)) for token in (1, POISON, 2)), return_exceptions=True
        )
        assert [isinstance(answer, InferenceFailedError) for answer in answers] == [False, True, False]

    with running(1) as engine:
        play(scenario())


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
