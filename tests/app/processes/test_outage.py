"""Liveness with several processes: red only where no engine takes the place of those that were lost."""

from dataclasses import dataclass

import pytest

from app.processes.outage import HEAL_S, Outage

STALL_S = 60.0


@dataclass
class Engine:
    is_connected: bool = True
    has_loaded: bool = True
    problem: str | None = None


WELL, LOADING, AWAY = Engine(), Engine(has_loaded=False), Engine(is_connected=False, has_loaded=False)
SILENT, STALLED = Engine(problem="engine silent"), Engine(problem="stalled")


def problem_after(*looks, stall_timeout_s=STALL_S):
    """Return the problem once the engines have been so for so many seconds, one look after the other."""
    outage = Outage(stall_timeout_s)
    for engines, seconds in looks:
        outage.pass_time(engines, seconds)
    return outage.problem(looks[-1][0])


@pytest.mark.parametrize(
    ("engine", "expected"),
    [(WELL, None), (LOADING, None), (AWAY, "engine lost"), (SILENT, "engine silent"), (STALLED, "stalled")],
    ids=["well", "loading", "away", "silent", "stalled"],
)
def test_what_lasts_for_longer_than_the_limit_is_a_problem(engine, expected):
    assert problem_after(([engine], STALL_S)) is None
    assert problem_after(([engine], STALL_S), ([engine], 1.0)) == expected


def test_the_limit_leaves_time_to_start_a_process():
    assert problem_after(([AWAY], HEAL_S), stall_timeout_s=1.0) is None
    assert problem_after(([AWAY], HEAL_S + 1), stall_timeout_s=1.0) == "engine lost"


def test_one_engine_that_is_well_is_enough():
    assert problem_after(([AWAY, SILENT, WELL], 10 * STALL_S)) is None


def test_an_engine_that_has_loaded_ends_the_outage():
    assert problem_after(([AWAY], STALL_S), ([LOADING], 5), ([WELL], 1), ([AWAY], STALL_S)) is None


def test_engines_that_die_while_they_load_are_an_outage():
    cycle = [([AWAY], 10.0), ([LOADING], 20.0)]
    assert problem_after(*cycle * 6) is None
    assert problem_after(*cycle * 7, ([AWAY], 0.0)) == "engine lost"
