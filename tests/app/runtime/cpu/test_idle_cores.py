"""A batch on an idle machine runs on few cores or on all, by the time that batches took on both."""

from itertools import pairwise

import numpy as np
import pytest

from app.runtime.cpu.idle_cores import FIRST_PAUSE, LONGEST_PAUSE, TRIAL, IdleCores, Pace


def run(pace, batches, *, few, every):
    """Run so many batches, which take the given seconds on few cores and on every one; return which were used."""
    ways = []
    for _ in range(batches):
        way = pace.choose()
        pace.learn(way, every if way else few)
        ways.append(way)
    return ways


# --- What is learned ----------------------------------------------------------------------------------------


def test_every_core_is_used_until_few_have_proved_as_fast():
    pace = Pace()
    ways = run(pace, FIRST_PAUSE + TRIAL + 10, few=1.0, every=0.95)
    assert ways == [True] * FIRST_PAUSE + [False] * TRIAL + [False] * 10


def test_trials_that_change_nothing_become_rare_and_do_not_end():
    pace = Pace()
    ways = run(pace, 5 * LONGEST_PAUSE, few=2.0, every=1.0)
    tried = [number for number, way in enumerate(ways) if not way]
    starts = tried[::TRIAL]
    pauses = [start - before - TRIAL for before, start in pairwise(starts)]
    assert starts[0] == FIRST_PAUSE
    assert pauses[:3] == [2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert max(pauses) == LONGEST_PAUSE


def test_a_machine_that_was_busy_at_first_is_not_misjudged_for_good():
    pace = Pace()
    assert run(pace, FIRST_PAUSE + TRIAL + 5, few=2.0, every=6.0)[-1] is False
    assert run(pace, 2 * FIRST_PAUSE + TRIAL, few=2.0, every=1.0)[-1] is True


def test_a_machine_that_becomes_busy_is_noticed():
    pace = Pace()
    run(pace, 10 * FIRST_PAUSE, few=2.0, every=1.0)
    assert run(pace, 100, few=2.0, every=6.0)[-1] is False


def test_one_slow_run_changes_nothing():
    pace = Pace()
    run(pace, FIRST_PAUSE + TRIAL + 1, few=2.0, every=1.0)
    pace.learn(True, 10.0)
    assert pace.choose() is True


# --- How it is used -----------------------------------------------------------------------------------------


class Way:
    """Takes so many seconds for each token, by a clock of its own."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.lengths = clock, seconds, []

    def __call__(self, feed):
        tokens = len(feed["input_ids"])
        self.lengths.append(tokens)
        self.clock[0] += self.seconds(tokens) * tokens
        return np.zeros((1, 2), np.float32)


def compute(idle_cores, tokens):
    return idle_cores.compute({"input_ids": np.zeros(tokens)}, tokens)


def test_sizes_are_judged_apart(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("app.runtime.cpu.idle_cores.time.perf_counter", lambda: clock[0])
    few, every = Way(clock, lambda tokens: 1.0), Way(clock, lambda tokens: 2.0 if tokens < 16 else 0.5)
    idle_cores = IdleCores(few, every)
    for _ in range(FIRST_PAUSE + TRIAL):
        for tokens in (8, 64):
            compute(idle_cores, tokens)
    few.lengths.clear()
    every.lengths.clear()
    for tokens in (8, 15, 64, 100):
        compute(idle_cores, tokens)
    assert (few.lengths, every.lengths) == ([8, 15], [64, 100])


def test_a_run_that_fails_teaches_nothing():
    def fails(feed):
        raise RuntimeError("no memory")

    idle_cores = IdleCores(fails, fails)
    for _ in range(FIRST_PAUSE * 2):
        with pytest.raises(RuntimeError, match="no memory"):
            compute(idle_cores, 8)
    assert idle_cores._paces[(8).bit_length()].choose() is True
