"""How many cores a batch uses while nothing else runs: learned from the time that batches take on few and on all.

Learned while serving and not while loading: a machine that is busy at that moment would be misjudged for good.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from app.runtime.packing import Feed
from app.window import Floats

Compute = Callable[[Feed], Floats]

LEAST_GAIN = 0.9  # share of the time on few cores; where all cores take more than this, few are used
FIRST_PAUSE, LONGEST_PAUSE = 16, 1024  # batches between two trials of the slower way
TRIAL = 3  # batches in a trial: the first finds none of its weights in a cache
FORGETTING = 0.05  # weight of a run that is slower than those before: noise only makes a run slower


class Pace:
    """Seconds per token that batches of about one size take on few and on all cores, and which comes next."""

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}  # by whether every core is used
        self._pause = self._until_trial = FIRST_PAUSE
        self._tried, self._trials_left = False, 0  # the way on trial, and the number of batches left in the trial

    @property
    def gains(self) -> bool:
        """Whether every core is worth using; assumed until both ways have been tried."""
        few, every = self._seconds.get(False), self._seconds.get(True)
        return few is None or every is None or every <= LEAST_GAIN * few

    def choose(self) -> bool:
        """Return whether the next batch uses every core."""
        return self.gains if self._trials_left == 0 else self._tried

    def learn(self, every_core: bool, seconds: float) -> None:
        """Record a batch's seconds per token. After a pause the other way is tried; a trial that changes nothing
        doubles the next pause."""
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


class IdleCores:
    """Computes batches by one of two sessions of the same graph: on few cores, or on every one."""

    def __init__(self, on_few: Compute, on_every: Compute) -> None:
        self._ways = {False: on_few, True: on_every}
        self._paces: dict[int, Pace] = defaultdict(Pace)

    def compute(self, feed: Feed, tokens: int) -> Floats:
        """Return the output for a batch of so many tokens; both sessions answer the same."""
        pace = self._paces[tokens.bit_length()]  # one for all sizes within a factor of two
        every_core = pace.choose()
        started = time.perf_counter()
        output = self._ways[every_core](feed)
        pace.learn(every_core, (time.perf_counter() - started) / tokens)
        return output
