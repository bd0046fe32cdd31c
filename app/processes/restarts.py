"""When a process that died is started again, and when its deaths have become a loop that nothing inside can end."""

from __future__ import annotations

import signal
from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0  # before a process that died is started again; doubled each time
MOST_DOUBLINGS = 16  # of the pause; a loop may go on for days
PROVEN_S = 30.0  # after a process that was at work this long, the next death is the first one again
LOOP_S = 30.0  # deaths in a row over more than this are a loop, where there are so many of them:
LOOP_DEATHS = 6
LOOP_STARTS = 3  # the last of which ended before they began to work


@dataclass
class Restarts:
    """The deaths in a row of the processes of one place: until one of them has been at work for `PROVEN_S`."""

    deaths: int = 0
    starts_failed: int = 0  # how many of the last of them ended before they began to work
    since: float = 0.0  # when the first of them was

    def note_death(self, worked_s: float, now: float) -> float:
        """Count the death of a process that was at work so long, and return the seconds until the next start."""
        self.note_life(worked_s)
        if self.deaths == 0:
            self.since = now
        self.deaths += 1
        self.starts_failed = 0 if worked_s else self.starts_failed + 1
        return min(FIRST_PAUSE_S * 2.0 ** min(self.deaths - 1, MOST_DOUBLINGS), LONGEST_PAUSE_S)

    def note_life(self, worked_s: float) -> None:
        """Take note of a process that has been at work so long."""
        if worked_s > PROVEN_S:
            self.deaths = self.starts_failed = 0

    def is_loop(self, now: float) -> bool:
        are_many = self.deaths >= LOOP_DEATHS or self.starts_failed >= LOOP_STARTS
        return are_many and now - self.since > LOOP_S


def reason_of(code: int | None) -> str:
    """Return in words why a process ended. `code` is negative for a signal, None where it was not started."""
    if code is None:
        return "not started"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
