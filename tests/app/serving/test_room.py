"""What a model learns of its own requests, and that a request is refused before it is tokenized where it can be."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from app.errors import DeadlineUnmeetableError, DisplacedError, QueueFullError
from app.serving.memory import AnswerMemory
from app.serving.pipeline import Pipeline, Shared
from app.serving.pool import Pool
from app.serving.room import MOMENT_S, OVERLOAD_S, Asked, Density, Margin, Refusals
from app.tasks.classify import ClassifyRequest

FULL = QueueFullError("the queue is full; try again later", retry_after_s=4.5)
UNMEETABLE = DeadlineUnmeetableError("the answer would take about 3 s")


def refuses(refusals, now=0.001, *, tokens=10.0, deadline=1.0, priority=0):
    try:
        refusals.check(Asked(tokens, deadline, priority), now)
    except (QueueFullError, DeadlineUnmeetableError) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("fields", "is_refused"),
    [
        ({}, True),
        ({"tokens": 100.0}, True),
        ({"tokens": 6.0}, True),  # about as large
        ({"tokens": 4.0}, False),
        ({"deadline": 0.5}, True),
        ({"deadline": 1.5}, False),  # it has more time
        ({"priority": -1}, True),
        ({"priority": 1}, False),
        ({"now": 0.031}, False),  # that was a moment ago
    ],
    ids=str,
)
def test_a_request_like_one_that_was_refused_a_moment_ago_is_refused(fields, is_refused):
    refusals = Refusals()
    refusals.note(Asked(10.0, 1.0, 0), 0.0, UNMEETABLE)
    error = refuses(refusals, **fields)
    assert (error is not None) is is_refused
    assert error is not UNMEETABLE  # which refers to the request that got it


def test_a_full_queue_is_full_whatever_the_deadline():
    refusals = Refusals()
    refusals.note(Asked(10.0, 30.0, 0), 0.0, FULL)
    error = refuses(refusals, MOMENT_S / 2, deadline=3600.0)
    assert (error.message, error.retry_after_s) == (FULL.message, FULL.retry_after_s)
    assert refuses(refusals, 2 * MOMENT_S, deadline=30.0) is None


def test_in_an_overload_what_is_like_a_request_in_preparation_is_refused():
    """There is room for one of those that ask: the others would be tokenized for nothing."""
    refusals, later = Refusals(), 2 * MOMENT_S
    with refusals.preparing(Asked(10.0, 30.0, 0)):
        assert refuses(refusals, later, deadline=30.0) is None  # nothing has been refused
        refusals.note(Asked(10.0, 30.0, 0), 0.0, FULL)
        refusals.forget()
        assert refuses(refusals, later, deadline=30.0).message == FULL.message
        assert refuses(refusals, later, deadline=30.0, priority=1) is None
        assert refuses(refusals, later, deadline=30.0, tokens=4.0) is None  # a much smaller one
        assert refuses(refusals, 1.1 * OVERLOAD_S, deadline=30.0) is None
    assert refuses(refusals, later, deadline=30.0) is None


def test_a_refusal_for_want_of_time_says_nothing_of_those_that_have_more():
    refusals = Refusals()
    refusals.note(Asked(10.0, 0.01, 0), 0.0, UNMEETABLE)
    with refusals.preparing(Asked(10.0, 30.0, 0)):
        assert refuses(refusals, 2 * MOMENT_S, deadline=30.0) is None


def test_only_a_few_refusals_are_remembered():
    refusals = Refusals()
    for number in range(100):
        refusals.note(Asked(1000.0 - number, 30.0, 0), 0.0, FULL)
    assert len(refusals._refusals) <= 8
    assert refuses(refusals, tokens=460.0) is not None


def test_the_margin_is_what_nearly_every_answer_needs():
    margin = Margin()
    for number in range(3000):
        margin.learn(0.05 if number % 10 == 0 else 0.001, 0.005 * number)
    assert 0.03 < margin.seconds < 0.05
    assert margin.before(10.0, 0.0) == pytest.approx(10.0 - margin.seconds)
    assert margin.before(0.04, 0.0) == pytest.approx(0.02)  # half of the time at most


@pytest.mark.parametrize("per_s", [1, 1000])
def test_the_margin_is_forgotten_within_seconds_and_not_before_whatever_the_number_of_answers(per_s):
    margin = Margin()
    for _ in range(100):
        margin.learn(0.1, 0.0)
    for number in range(60 * per_s):
        margin.learn(0.001, number / per_s)
        if number == 2 * per_s:
            assert margin.seconds > 0.07
    assert margin.seconds < 0.002


def test_the_density_follows_the_texts():
    density = Density()
    for _ in range(500):
        density.learn(100, 90)
    assert density.tokens_per_character == pytest.approx(0.9, rel=1e-3)


# --- A pipeline ---------------------------------------------------------------------------------------------


class Lane:
    """Answers with an error, where it is given one."""

    def __init__(self, error=None):
        self.error, self.submitted, self.checked = error, [], []
        self.series, self.max_batch_tokens = None, 64

    async def submit(self, windows, *, deadline, priority=0):
        self.submitted.append((windows, deadline))
        if self.error is not None:
            raise self.error
        return SimpleNamespace(outputs=[None], queue_s=0.0, forward_s=0.0, ended=time.monotonic() - 0.2)

    def check_room(self, tokens, *, deadline, priority=0):
        self.checked.append(tokens)


class Task:
    """Counts what it is asked to encode."""

    priority = 0
    encoder = SimpleNamespace(special=SimpleNamespace(prefix=[0], suffix=[2]))

    def __init__(self):
        self.encoded = 0

    def encode(self, request):
        self.encoded += 1
        return SimpleNamespace(windows=[range(12)] * request.count_inputs(), state=None, answer_bytes=0)

    def render(self, request, state, outputs):
        return b"[]"


def make_pipeline(error=None):
    return Pipeline(Task(), Lane(error), None)


def answer(pipeline, text="a text of some characters", timeout_s=10.0):
    request = ClassifyRequest(inputs=text)
    work = pipeline.answer(request, Shared(Pool(1, 2**20), AnswerMemory(2**20)), deadline=time.monotonic() + timeout_s)
    return asyncio.run(work)


@pytest.fixture
def one_output(monkeypatch):
    monkeypatch.setattr("app.serving.pipeline.size_of", lambda *_: 0)


@pytest.mark.parametrize("error", [FULL, UNMEETABLE], ids=lambda error: error.code)
def test_once_one_was_refused_the_next_is_not_tokenized(error):
    pipeline = make_pipeline(error)
    for _ in range(3):
        with pytest.raises(type(error), match=error.message):
            answer(pipeline)
    assert pipeline.task.encoded == len(pipeline.lane.submitted) == 1


def test_who_gave_way_is_not_the_next_ones_refusal():
    pipeline = make_pipeline(DisplacedError(retry_after_s=1.0))
    for _ in range(2):
        with pytest.raises(DisplacedError):
            answer(pipeline)
    assert pipeline.task.encoded == 2


def test_the_lane_is_asked_before_a_long_text_is_tokenized():
    pipeline = make_pipeline()

    def refuse(tokens, **_):
        assert tokens == 3 * 2  # the special tokens of three texts
        raise QueueFullError("the queue is full")

    pipeline.lane.check_room = refuse
    with pytest.raises(QueueFullError):
        answer(pipeline, ["one", "two", "three " * 200])
    assert pipeline.task.encoded == 0


@pytest.mark.usefixtures("one_output")
def test_windows_are_to_run_earlier_by_what_sending_takes():
    pipeline = make_pipeline()
    for _ in range(60):
        answer(pipeline)
    before = time.monotonic()
    answer(pipeline)
    _, deadline = pipeline.lane.submitted[-1]
    assert before + 9.75 < deadline < before + 9.95  # every answer was ready 0.2 s before it was delivered
