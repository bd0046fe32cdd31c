"""Deaths in a row: the pause before the next start, and when they are a loop."""

from itertools import pairwise

import pytest

from app.processes.restarts import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    LOOP_DEATHS,
    LOOP_S,
    LOOP_STARTS,
    PROVEN_S,
    Restarts,
    reason_of,
)


class Row:
    """Processes that die, one after the other, each started again after its pause."""

    def __init__(self):
        self.restarts, self.now = Restarts(), 1000.0

    def live(self, seconds):
        self.now += seconds
        pause_s = self.restarts.note_death(seconds, self.now)
        self.now += pause_s
        return pause_s


def test_pauses_double_up_to_the_longest_and_go_on_for_days():
    row = Row()
    pauses = [row.live(0.0) for _ in range(5000)]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE_S, LONGEST_PAUSE_S)
    assert all(later == min(2 * earlier, LONGEST_PAUSE_S) for earlier, later in pairwise(pauses))


def test_many_deaths_over_more_than_a_moment_are_a_loop():
    row = Row()
    while row.restarts.deaths < LOOP_DEATHS:
        row.live(0.1)
        assert not row.restarts.is_loop(row.now)
    assert row.restarts.is_loop(row.restarts.since + LOOP_S + 0.1)


def test_a_few_deaths_are_no_loop_however_slow_the_next_start_is():
    row = Row()
    for _ in range(LOOP_DEATHS - 1):
        row.live(1.0)
    assert not row.restarts.is_loop(row.now + 10 * LOOP_S)


def test_fewer_are_enough_of_processes_that_never_come_to_their_work():
    row = Row()
    row.live(1.0)
    for _ in range(LOOP_STARTS - 1):
        row.live(0.0)
    assert not row.restarts.is_loop(row.now + 10 * LOOP_S)
    row.live(0.0)
    assert row.restarts.is_loop(row.restarts.since + LOOP_S + 0.1)


def test_a_process_that_lives_ends_the_loop():
    row = Row()
    for _ in range(2 * LOOP_DEATHS):
        row.live(1.0)
    assert row.restarts.is_loop(row.now + 1)
    row.restarts.note_life(PROVEN_S - 1)
    assert row.restarts.is_loop(row.now + PROVEN_S - 1)
    row.restarts.note_life(PROVEN_S + 1)
    assert not row.restarts.is_loop(row.now + PROVEN_S + 1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1, "exit code 1"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63"), (None, "not started")],
)
def test_the_reason_is_said_in_words(code, expected):
    assert reason_of(code) == expected
