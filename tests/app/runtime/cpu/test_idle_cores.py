"""A batch that has the machine to itself runs on one core or on all, by what both were seen to take."""

from itertools import pairwise

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.bundle import read_bundle
from app.runtime.cpu.idle_cores import FIRST_PAUSE, LONGEST_PAUSE, TRIAL, Alone, Pace
from app.runtime.session import Session, SessionError
from app.serving.warmup import synthetic_windows
from tests.app.builders import write_bundle
from tests.app.registries import make_registry, states


def run(pace, batches, *, one, every):
    """Run so many batches, which take what they are told to by the way they are run; return the ways."""
    ways = []
    for _ in range(batches):
        way = pace.choose()
        pace.learn(way, every if way else one)
        ways.append(way)
    return ways


# --- What is learned ----------------------------------------------------------------------------------------


def test_every_core_works_until_one_has_proved_as_good():
    pace = Pace()
    ways = run(pace, FIRST_PAUSE + TRIAL + 10, one=1.0, every=0.95)
    assert ways == [True] * FIRST_PAUSE + [False] * TRIAL + [False] * 10


def test_trials_that_change_nothing_become_rare_and_do_not_end():
    pace = Pace()
    ways = run(pace, 5 * LONGEST_PAUSE, one=2.0, every=1.0)
    tried = [number for number, way in enumerate(ways) if not way]
    starts = tried[::TRIAL]
    pauses = [start - before - TRIAL for before, start in pairwise(starts)]
    assert starts[0] == FIRST_PAUSE
    assert pauses[:3] == [2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert max(pauses) == LONGEST_PAUSE


def test_a_machine_that_was_busy_at_first_is_not_misjudged_for_good():
    pace = Pace()
    assert run(pace, FIRST_PAUSE + TRIAL + 5, one=2.0, every=6.0)[-1] is False
    assert run(pace, 2 * FIRST_PAUSE + TRIAL, one=2.0, every=1.0)[-1] is True


def test_a_machine_that_becomes_busy_is_noticed():
    pace = Pace()
    run(pace, 10 * FIRST_PAUSE, one=2.0, every=1.0)
    assert run(pace, 100, one=2.0, every=6.0)[-1] is False


def test_one_slow_run_changes_nothing():
    pace = Pace()
    run(pace, FIRST_PAUSE + TRIAL + 1, one=2.0, every=1.0)
    pace.learn(True, 10.0)
    assert pace.choose() is True


# --- How it is used -----------------------------------------------------------------------------------------


class Way:
    """Takes so many seconds for each token, by a clock of its own, and more where it is told."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.lengths = clock, seconds, []

    def __call__(self, windows):
        tokens = sum(map(len, windows))
        self.lengths.append(tokens)
        self.clock[0] += self.seconds(tokens) * tokens
        return [np.zeros((1, 2), np.float32)] * len(windows)


def test_sizes_are_judged_apart(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("app.runtime.cpu.idle_cores.time.perf_counter", lambda: clock[0])
    one, every = Way(clock, lambda tokens: 1.0), Way(clock, lambda tokens: 2.0 if tokens < 16 else 0.5)
    alone = Alone(one, every)
    for _ in range(FIRST_PAUSE + TRIAL):
        for length in (8, 64):
            alone.run(synthetic_windows(1, length))
    one.lengths.clear()
    every.lengths.clear()
    for length in (8, 15, 64, 100):
        alone.run(synthetic_windows(1, length))
    assert (one.lengths, every.lengths) == ([8, 15], [64, 100])


def test_a_run_that_fails_teaches_nothing():
    def fails(windows):
        raise RuntimeError("no memory")

    alone = Alone(fails, fails)
    for _ in range(FIRST_PAUSE * 2):
        with pytest.raises(RuntimeError, match="no memory"):
            alone.run(synthetic_windows(1, 8))
    assert alone._paces[(8).bit_length()].choose() is True


@pytest.fixture
def session(tiny_models):
    return Session(read_bundle(tiny_models / "tiny-classify" / "1", name="tiny-classify", version=1), "int8")


def test_both_ways_answer_the_same_and_only_batches_that_are_alone_choose(session, monkeypatch):
    chosen, choose = [], Pace.choose
    monkeypatch.setattr(Pace, "choose", lambda self: chosen.append(choose(self)) or chosen[-1])
    session.use_idle_cores(2)
    windows = synthetic_windows(3, 20)
    (expected, *_) = session.run(windows)
    assert not chosen
    for _ in range(FIRST_PAUSE + TRIAL):
        (answer, *_) = session.run(windows, alone=True)
        np.testing.assert_array_equal(answer, expected)
    assert set(chosen) == {True, False}


@pytest.mark.parametrize(("threads", "opened"), [(2, [2]), (1, [])])
def test_a_model_is_opened_for_idle_cores_where_there_may_be_more_than_one(
    threads, opened, tmp_path, byte_level, monkeypatch
):
    asked, use = [], Session.use_idle_cores
    monkeypatch.setattr(Session, "use_idle_cores", lambda self, n: asked.append(n) or use(self, n))
    write_bundle(tmp_path, byte_level)
    make_registry(tmp_path, idle_threads=threads).load()
    assert asked == opened


def test_a_model_that_cannot_be_opened_twice_is_served_on_one_core(tmp_path, byte_level, monkeypatch):
    def fails(self, threads):
        raise SessionError("no memory")

    monkeypatch.setattr(Session, "use_idle_cores", fails)
    write_bundle(tmp_path, byte_level)
    registry = make_registry(tmp_path, idle_threads=2)
    with capture_logs() as logs:
        registry.load()
    assert states(registry) == {"toy": "toy:1"}
    assert "idle_threads_not_used" in [line["event"] for line in logs]
