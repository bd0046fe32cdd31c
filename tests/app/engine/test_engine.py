"""The engine with real threads: every caller is answered, whatever the model does."""

import asyncio
import time

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.errors import InferenceFailedError
from app.tracing import current
from tests.app.builders import echo, make_lane, window
from tests.app.engines import (
    PATIENCE_S,
    POISON,
    Gate,
    PoisonGate,
    block,
    first_tokens,
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


def test_the_time_of_a_batch_counts_once_for_all_windows_of_a_request():
    def slow(windows, **where):
        time.sleep(0.02)
        return echo(windows)

    async def scenario():
        started = time.monotonic()
        ticket = await submit(engine, make_lane(slow, budget=100), *(window(5) for _ in range(40)))
        assert 0 < ticket.forward_s <= time.monotonic() - started

    with running(1) as engine:
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


class Traced:
    """The trace of a request, of which nothing is asked but its name."""

    trace_id = "5" * 32

    def stage(self, *_, **__): ...

    def batch(self, *_, **__): ...


def test_the_line_of_a_failed_pass_names_the_trace_of_its_request():
    async def scenario(trace):
        token = current.set(trace)
        with capture_logs() as lines, pytest.raises(InferenceFailedError):
            await submit(engine, make_lane(gate), window(2, token=POISON))
        current.reset(token)
        return [line.get("trace_id") for line in lines if line["event"] == "forward_failed"]

    gate = PoisonGate()
    gate.open.set()
    with running(1, gate) as engine:
        assert play(scenario(Traced())) == [Traced.trace_id]
        assert play(scenario(None)) == [None]


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
