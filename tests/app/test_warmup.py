"""What is found out before a model serves: how many tokens a batch may have, and which batches a GPU replays."""

import pytest

from app.engine.cost import CostModel, Shape
from app.runtime.cuda import CudaOptions, CudaSession
from app.runtime.session import Session, SessionError
from app.warmup import capture_small_batches, choose_budget, largest_batches, split_evenly, warm_up_shapes


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


def test_a_budget_that_was_set_or_cannot_be_less_is_an_error():
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 8192 tokens at once"):
        choose_budget(LimitedSession(6000), CostModel(), 512, 8192)
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 192 tokens at once"):
        choose_budget(LimitedSession(100), CostModel(), 512, None)


def test_nothing_is_proved_on_a_cpu(fp32_bundle):
    assert choose_budget(Session(fp32_bundle, "fp32"), CostModel(), 64, 2048) == 2048


# --- CUDA graphs --------------------------------------------------------------------------------------------


class RecordingSession:
    """A GPU that remembers what was captured, and with which batch it was timed."""

    def __init__(self):
        self.is_open, self.rooms, self.timed = False, {}, []

    def open_replayers(self):
        self.is_open = True

    def capture(self, room, windows):
        assert self.is_open
        assert room.holds(windows)
        self.rooms[room] = sum(map(len, windows))

    def forget(self, room):
        del self.rooms[room]

    def run(self, windows):
        self.timed.append(len(windows))

    run_uncaptured = run


@pytest.mark.parametrize(("gains", "largest"), [(193, 192), (0, None), (10**6, 1024)])
def test_batches_are_replayed_up_to_where_that_gains_nothing(gains, largest, monkeypatch):
    monkeypatch.setattr("app.warmup.is_faster", lambda other, usual, windows: sum(map(len, windows)) < gains)
    session = RecordingSession()
    capture_small_batches(session, 512, has_labels=True)
    assert max((room.tokens for room in session.rooms), default=None) == largest


def test_a_room_is_timed_with_the_least_that_comes_to_it(monkeypatch):
    monkeypatch.setattr("app.warmup.is_faster", lambda other, usual, windows: True)
    session = RecordingSession()
    capture_small_batches(session, 100, has_labels=True)
    tokens = [room.tokens for room in session.rooms]
    assert list(session.rooms.values()) == [1, *(n + 1 for n in tokens[:-1])]
    assert {room.longest for room in session.rooms} == {16, 32, 48, 64, 96, 100}


@pytest.mark.parametrize("has_labels", [True, False])
def test_labels_have_a_row_for_each_token_and_a_vocabulary_one_for_each_window(has_labels, monkeypatch):
    monkeypatch.setattr("app.warmup.is_faster", lambda other, usual, windows: True)
    session = RecordingSession()
    capture_small_batches(session, 512, has_labels=has_labels)
    assert all(room.rows == (room.tokens if has_labels else room.windows) for room in session.rooms)


@pytest.mark.parametrize(("tokens", "most", "expected"), [(1, 512, [1]), (512, 512, [512]), (513, 512, [256, 257])])
def test_tokens_are_split_evenly(tokens, most, expected):
    assert split_evenly(tokens, most) == expected
    assert max(split_evenly(1025, 100)) <= 100
