"""The engine with real threads: every caller is answered, whatever the model or the caller does."""

import asyncio
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from app.engine.engine import Engine
from app.engine.scheduler import Limits
from app.errors import DeadlineExceededError, DrainingError, InferenceFailedError
from app.metrics import Metrics
from tests.app.builders import echo, make_lane, window

PATIENCE_S = 20.0  # of a test that would otherwise wait for ever
POISON = 666


class Gate:
    """A forward pass that waits to be let through, so that what comes after it is queued."""

    def __init__(self):
        self.entered, self.open = threading.Event(), threading.Event()
        self.batches, self.alone = [], []

    def __call__(self, windows, *, runner, alone):
        self.alone.append(alone)
        self.batches.append([int(w.input_ids[0]) for w in windows])
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        return self.answer(windows)

    def answer(self, windows):
        return echo(windows)


class PoisonGate(Gate):
    """Fails on a window of the poison token."""

    def answer(self, windows):
        if any((w.input_ids == POISON).any() for w in windows):
            raise ValueError("a message that quotes the text")
        return echo(windows)


@contextmanager
def running(runners=1, *gates, **limits):
    """An engine that runs; the gates open before it stops."""
    engine = make_engine(runners, **limits)
    engine.start()
    try:
        yield engine
    finally:
        for gate in gates:
            gate.open.set()
        engine.stop()


def make_engine(runners=1, tokens=10_000, **limits):
    metrics = Metrics(CollectorRegistry())
    engine = Engine(Limits(tokens, max_queue_age_s=10.0, runners=runners, **limits), metrics)
    engine.metrics = metrics
    return engine


def submit(engine, lane, *windows, timeout_s=PATIENCE_S, **fields):
    return asyncio.create_task(engine.submit(lane, windows, deadline=time.monotonic() + timeout_s, **fields))


async def block(engine, lane):
    """Occupy the only runner with the lane's gate; return the task that waits for it."""
    task = submit(engine, lane, window(1, token=1))
    assert await asyncio.to_thread(lane.run.entered.wait, PATIENCE_S)
    return task


def value(engine, series):
    return engine.metrics.registry.get_sample_value(f"roberta_{series}")


def first_tokens(ticket):
    return [int(output[0, 0]) for output in ticket.outputs]


def play(scenario):
    asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


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
        sample = lane.series.batch_sequences.collect()[0].samples
        assert {s.name: s.value for s in sample if s.name.endswith(("_sum", "_count"))} == {
            "roberta_batch_sequences_sum": 4,
            "roberta_batch_sequences_count": 2,
        }

    with running() as engine:
        play(scenario())


# --- Failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, 7])
def test_only_the_culprit_of_a_failing_batch_errs(place):
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


# --- Callers who leave, deadlines -----------------------------------------------------------------------


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


def test_a_batch_is_told_whether_it_has_the_machine_to_itself():
    """The first is alone, the second has the first beside it, the last is alone again."""

    async def scenario():
        lane, beside = make_lane(gate), make_lane(other, name="beside")
        first = await block(engine, lane)
        second = await block(engine, beside)
        gate.open.set()
        other.open.set()
        await asyncio.gather(first, second)
        await submit(engine, beside, window(5))
        assert gate.alone[0] is True
        assert other.alone == [False, True]

    gate, other = Gate(), Gate()
    with running(2, gate, other) as engine:
        play(scenario())


def test_a_batch_with_others_waiting_is_not_alone():
    async def scenario():
        lane = make_lane(gate, budget=10)
        first = await block(engine, lane)
        waiting = [submit(engine, lane, window(10, token=n)) for n in (2, 3)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *waiting)
        assert gate.batches == [[1], [2], [3]]
        assert gate.alone == [True, False, True]

    gate = Gate()
    with running(1, gate) as engine:
        play(scenario())


# --- Stopping and liveness ------------------------------------------------------------------------------


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_runner_whose_thread_died_is_a_stall_and_its_caller_is_answered():
    def die(windows, **where):
        raise SystemExit

    async def scenario():
        with pytest.raises(DeadlineExceededError):
            await submit(engine, make_lane(die), window(1), timeout_s=0.2)
        await asyncio.to_thread(engine.runners[0].join)
        assert engine.is_stalled(PATIENCE_S)

    with running() as engine:
        play(scenario())


def test_a_batch_waits_for_company_when_asked_to():
    """The first of two waits; the second fills the batch, which goes at once."""

    async def scenario():
        gate.open.set()
        lane = make_lane(gate, budget=10)
        await asyncio.gather(submit(engine, lane, window(5, token=1)), submit(engine, lane, window(5, token=2)))
        assert gate.batches == [[1, 2]]

    gate = Gate()
    with running(1, gate, max_queue_delay_s=PATIENCE_S) as engine:
        play(scenario())
