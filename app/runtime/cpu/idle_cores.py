"""One core or all of them, for batches that have the machine to themselves: learned from what both take.

One measurement while loading would misjudge a machine that is busy at that moment, and for good.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from app.window import Floats, Window

Run = Callable[[Sequence[Window]], list[Floats]]

LEAST_GAIN = 0.9  # share of the time on one core; what gains less is not worth all of them
FIRST_PAUSE, LONGEST_PAUSE = 16, 1024  # batches between two trials of the way that was slower
TRIAL = 3  # batches in a trial: the first finds its weights in no cache
FORGETTING = 0.05  # weight of a run that took longer than others did: noise makes a run slower, never faster


class Pace:
    """What both ways take for batches of about one size, in seconds per token, and which of them is next."""

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}  # by whether every core works
        self._pause = self._until_trial = FIRST_PAUSE
        self._tried, self._trials_left = False, 0  # the way that is on trial, and for how many batches more

    @property
    def gains(self) -> bool:
        """Whether every core is worth it: yes, until both ways have been tried."""
        one, every = self._seconds.get(False), self._seconds.get(True)
        return one is None or every is None or every <= LEAST_GAIN * one

    def choose(self) -> bool:
        """Return whether every core works on the next batch."""
        return self.gains if self._trials_left == 0 else self._tried

    def learn(self, every_core: bool, seconds: float) -> None:
        """Take note of what a batch took. After a pause the other way is tried; trials that change nothing get rare."""
        known = self._seconds.get(every_core, seconds)
        self._seconds[every_core] = min(seconds, known + FORGETTING * (seconds - known))
        if self._trials_left == 0:
            self._until_trial -= 1
            if self._until_trial == 0:
                self._tried, self._trials_left = not self.gains, TRIAL
            return
        self._trials_left -= 1
        if self._trials_left == 0:
            is_better = self._tried == self.gains
            self._pause = FIRST_PAUSE if is_better else min(2 * self._pause, LONGEST_PAUSE)
            self._until_trial = self._pause


class Alone:
    """Runs batches by one of two sessions of one graph."""

    def __init__(self, on_one: Run, on_every: Run) -> None:
        self._ways = {False: on_one, True: on_every}
        self._paces: dict[int, Pace] = defaultdict(Pace)

    def run(self, windows: Sequence[Window]) -> list[Floats]:
        """Return what either session answers: (rows, width) for each window."""
        tokens = sum(map(len, windows))
        pace = self._paces[tokens.bit_length()]  # sizes within a factor of two
        every_core = pace.choose()
        started = time.perf_counter()
        outputs = self._ways[every_core](windows)
        pace.learn(every_core, (time.perf_counter() - started) / tokens)
        return outputs
