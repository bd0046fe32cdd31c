"""What is found out before a model serves: how many tokens a batch may have, and which batches a GPU replays."""

import numpy as np
import pytest

from app.engine.cost import CostModel, Shape
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.session import Session, SessionError
from app.serving.warmup import (
    capture_small_batches,
    choose_budget,
    greatest_difference,
    is_faster,
    largest_batches,
    synthetic_windows,
    unlike_windows,
    warm_up_shapes,
)


def test_a_gpu_is_timed_over_thousands_of_tokens_and_the_fit_recovers_its_cost():
    shapes = [Shape.of([length] * count) for count, length in warm_up_shapes("cuda", 512)]
    assert max(shape.tokens for shape in shapes) == 16_384
    true = CostModel(2e-3, 1e-6, 1e-10)
    fitted = CostModel.fit([(shape, true.predict(shape)) for shape in shapes])
    assert fitted.predict(Shape(30_000, 10**7)) == pytest.approx(true.predict(Shape(30_000, 10**7)), rel=1e-3)


def test_the_largest_batches_are_of_the_longest_and_of_the_shortest_windows():
    assert [(len(b), len(b[0])) for b in largest_batches(16_384, 512)] == [(32, 512), (1024, 16)]
    assert [(len(b), len(b[0])) for b in largest_batches(256, 512)] == [(1, 512), (16, 16)]


class LimitedSession(CudaSession):
    """A GPU on which batches up to a number of tokens fit."""

    has_replayers = False

    def __init__(self, fits):
        self.fits, self.options, self.proved = fits, CudaOptions(gpus=(0,), runners=2), []

    def prove(self, windows):
        self.proved.append(sum(map(len, windows)))
        return self.proved[-1] <= self.fits


def test_a_budget_that_was_found_is_halved_until_it_fits():
    cost = CostModel(fixed=5e-3, per_token=1e-6)  # 20,000 tokens
    session = LimitedSession(6000)
    assert choose_budget(session, cost, 500, None) == 5000
    assert max(session.proved) == 20_000
    assert choose_budget(LimitedSession(10**6), cost, 500, None) == 20_000


class CrowdedSession(LimitedSession):
    """A GPU on which more fits once there are no replayers."""

    has_replayers = True

    def close_replayers(self):
        self.has_replayers, self.fits = False, 2 * self.fits


@pytest.mark.parametrize(("fits", "budget", "replays"), [(20_000, 20_000, True), (10_000, 20_000, False)])
def test_replays_give_way_before_a_budget_is_halved(fits, budget, replays):
    session = CrowdedSession(fits)
    assert choose_budget(session, CostModel(fixed=5e-3, per_token=1e-6), 500, None) == budget
    assert session.has_replayers is replays
    assert choose_budget(CrowdedSession(5000), CostModel(), 500, 10_000) == 10_000


def test_a_budget_that_was_set_or_cannot_be_less_is_an_error():
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 8192 tokens at once"):
        choose_budget(LimitedSession(6000), CostModel(), 512, 8192)
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 192 tokens at once"):
        choose_budget(LimitedSession(100), CostModel(), 512, None)


def test_nothing_is_proved_on_a_cpu(fp32_bundle):
    assert choose_budget(Session(fp32_bundle, "fp32"), CostModel(), 64, 2048) == 2048


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
    monkeypatch.setattr("app.serving.warmup.time.perf_counter", lambda: clock[0])
    idle, session = Timed(clock, *idle_times), Timed(clock, *times)
    assert is_faster(idle.run, session.run, synthetic_windows(1, 8)) is expected
    assert idle.runs == session.runs == runs


# --- CUDA graphs --------------------------------------------------------------------------------------------


class RecordingSession:
    """A GPU that remembers what was captured, and with which batch."""

    def __init__(self, drift=0.0):
        self.rooms, self.drift = {}, drift

    def capture(self, room, windows):
        assert room.holds(windows)
        assert room.windows * room.longest >= room.tokens
        self.rooms[room] = windows

    def forget(self, room):
        del self.rooms[room]

    def run(self, windows):
        return [answer + self.drift for answer in self.run_uncaptured(windows)]

    def run_uncaptured(self, windows):
        return [window.input_ids[:1, None].astype(np.float32) for window in windows]


def capture(session, max_length=512, *, has_labels=True):
    capture_small_batches(session, max_length, has_labels=has_labels, tolerance=0.1)


@pytest.fixture
def always_faster(monkeypatch):
    monkeypatch.setattr("app.serving.warmup.is_faster", lambda other, usual, windows: True)


@pytest.mark.parametrize(("gains", "largest"), [(193, 192), (0, None), (10**6, 1024)])
def test_batches_are_replayed_up_to_where_that_gains_nothing(gains, largest, monkeypatch):
    monkeypatch.setattr("app.serving.warmup.is_faster", lambda other, usual, windows: sum(map(len, windows)) < gains)
    session = RecordingSession()
    capture(session)
    assert max((room.tokens for room in session.rooms), default=None) == largest


@pytest.mark.parametrize("max_length", [8, 12, 100, 512])
def test_a_room_is_timed_with_the_least_that_comes_to_it(max_length, always_faster):
    session = RecordingSession()
    capture(session, max_length)
    tokens = [room.tokens for room in session.rooms]
    least = [1, *(n + 1 for n in tokens[:-1])]
    assert [sum(map(len, windows)) for windows in session.rooms.values()] == least
    assert {room.longest for room in session.rooms} == {min(n, max_length) for n in tokens}


def test_a_replay_that_answers_otherwise_is_an_error(always_faster):
    capture(RecordingSession(drift=0.09))
    for drift in (0.11, np.nan):
        with pytest.raises(SessionError, match="a replay of 16 tokens differs"):
            capture(RecordingSession(drift))


@pytest.mark.parametrize("has_labels", [True, False])
def test_labels_have_a_row_for_each_token_and_a_vocabulary_one_for_each_window(has_labels, always_faster):
    session = RecordingSession()
    capture(session, has_labels=has_labels)
    assert all(room.rows == (room.tokens if has_labels else room.windows) for room in session.rooms)


def test_unlike_windows():
    windows = unlike_windows(50, 4)
    assert [len(window) for window in windows] == [12, 12, 13, 13]
    assert len({tuple(window.input_ids[:12]) for window in windows}) == 4


def test_the_greatest_difference_is_infinite_where_an_answer_is_not_a_number():
    zeros = [np.zeros(3), np.zeros(3)]
    assert greatest_difference(zeros, [np.array([0, -2, 1]), np.zeros(3)]) == 2
    assert greatest_difference(zeros, [np.ones(3), np.array([0, np.nan, 0])]) == np.inf
