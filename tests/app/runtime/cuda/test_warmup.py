"""Before a GPU serves: which batches are timed, which are captured, and which prove that memory suffices."""

import numpy as np
import pytest

from app.engine.cost import CostModel, Shape
from app.runtime.cuda.warmup import (
    LEAST_WIDE,
    TIMED_SHAPES,
    capture_small_batches,
    distinct_windows,
    greatest_difference,
    is_faster,
    largest_batches,
)
from app.runtime.session import SessionError
from app.runtime.warmup import shortened, synthetic_windows


def test_a_gpu_is_timed_over_thousands_of_tokens_and_the_fit_recovers_its_cost():
    shapes = [Shape.of([length] * count) for count, length in shortened(TIMED_SHAPES, 512)]
    assert max(shape.tokens for shape in shapes) == 16_384
    true = CostModel(2e-3, 1e-6, 1e-10)
    fitted = CostModel.fit([(shape, true.predict(shape)) for shape in shapes])
    assert fitted.predict(Shape(30_000, 10**7)) == pytest.approx(true.predict(Shape(30_000, 10**7)), rel=1e-3)


def test_the_largest_batches_are_of_the_longest_and_of_the_shortest_windows():
    assert [(len(b), len(b[0])) for b in largest_batches(16_384, 512)] == [(32, 512), (1024, 16)]
    assert [(len(b), len(b[0])) for b in largest_batches(256, 512)] == [(1, 512), (16, 16)]


# --- Timing -------------------------------------------------------------------------------------------------


class Timed:
    """Takes as long as it is told: the last time, once the others are used up."""

    def __init__(self, clock, *seconds):
        self.clock, self.seconds, self.runs = clock, list(seconds), 0

    def run(self, windows):
        self.clock[0] += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        self.runs += 1


@pytest.mark.parametrize(
    ("idle_times", "times", "expected", "runs"),
    [
        ((5.0,), (10.0,), True, 5),
        ((9.5,), (10.0,), False, 15),
        ((20.0,) * 8 + (5.0,), (10.0,), True, 9),
        ((9.5,), (30.0, 10.0), False, 15),
    ],
    ids=["a gain", "too small a gain", "a gain that others hid at first", "a gain that only others' load would make"],
)
def test_a_gain_is_what_the_fastest_runs_show(idle_times, times, expected, runs, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("app.runtime.cuda.warmup.time.perf_counter", lambda: clock[0])
    idle, session = Timed(clock, *idle_times), Timed(clock, *times)
    assert is_faster(idle.run, session.run, synthetic_windows(1, 8)) is expected
    assert idle.runs == session.runs == runs


# --- CUDA graphs --------------------------------------------------------------------------------------------


class RecordingSession:
    """A GPU that remembers what was captured, and with which batch."""

    def __init__(self, drift=0.0, width=1):
        self.buckets, self.drift, self.width = {}, drift, width

    def capture(self, bucket, windows):
        assert bucket.holds(windows)
        assert bucket.windows * bucket.longest >= bucket.tokens
        self.buckets[bucket] = windows

    def forget(self, bucket):
        del self.buckets[bucket]

    def run(self, windows):
        return [answer + self.drift for answer in self.run_uncaptured(windows)]

    def run_uncaptured(self, windows):
        return [np.full((1, self.width), window.input_ids[0], np.float32) for window in windows]


def capture(session, max_length=512):
    capture_small_batches(session, max_length, tolerance=0.1)


@pytest.fixture
def always_faster(monkeypatch):
    monkeypatch.setattr("app.runtime.cuda.warmup.is_faster", lambda other, usual, windows: True)


@pytest.mark.parametrize(("gains", "largest"), [(193, 192), (0, None), (10**6, 1024)])
def test_batches_are_captured_up_to_the_size_at_which_that_gains_nothing(gains, largest, monkeypatch):
    monkeypatch.setattr("app.runtime.cuda.warmup.is_faster", lambda _, __, windows: sum(map(len, windows)) < gains)
    session = RecordingSession()
    capture(session)
    assert max((bucket.tokens for bucket in session.buckets), default=None) == largest


@pytest.mark.parametrize("max_length", [8, 12, 100, 512])
def test_a_bucket_is_timed_with_the_smallest_batch_that_uses_it(max_length, always_faster):
    session = RecordingSession()
    capture(session, max_length)
    tokens = [bucket.tokens for bucket in session.buckets]
    least = [1, *(n + 1 for n in tokens[:-1])]
    assert [sum(map(len, windows)) for windows in session.buckets.values()] == least
    assert {bucket.longest for bucket in session.buckets} == {min(n, max_length) for n in tokens}


def test_a_replay_that_answers_otherwise_is_an_error(always_faster):
    capture(RecordingSession(drift=0.09))
    for drift in (0.11, np.nan):
        with pytest.raises(SessionError, match="a replay of 16 tokens differs"):
            capture(RecordingSession(drift))


@pytest.mark.parametrize(("width", "is_wide"), [(1, False), (LEAST_WIDE - 1, False), (LEAST_WIDE, True)])
def test_narrow_outputs_have_a_row_for_each_token_and_wide_ones_a_row_for_each_window(width, is_wide, always_faster):
    session = RecordingSession(width=width)
    capture(session)
    assert session.buckets
    assert all(bucket.rows == (bucket.windows if is_wide else bucket.tokens) for bucket in session.buckets)


def test_distinct_windows():
    windows = distinct_windows(50, 4)
    assert [len(window) for window in windows] == [12, 12, 13, 13]
    assert len({tuple(window.input_ids[:12]) for window in windows}) == 4


def test_the_greatest_difference_is_infinite_where_an_answer_is_not_a_number():
    zeros = [np.zeros(3), np.zeros(3)]
    assert greatest_difference(zeros, [np.array([0, -2, 1]), np.zeros(3)]) == 2
    assert greatest_difference(zeros, [np.ones(3), np.array([0, np.nan, 0])]) == np.inf
