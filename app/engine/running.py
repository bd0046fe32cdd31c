"""The batches in hand: when each of them will have ended, and when the runners will have done more work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Running:
    """A batch that runs on a runner; `ends` is when it is predicted to end, in seconds of the engine's clock."""

    ends: float


class InHand:
    """What `runners` runners compute now. A batch that runs for longer than predicted counts as about to end."""

    def __init__(self, runners: int) -> None:
        self.runners = runners
        self._running: list[Running] = []

    def __len__(self) -> int:
        return len(self._running)

    @property
    def free_runners(self) -> int:
        return self.runners - len(self._running)

    def begin(self, ends: float) -> Running:
        self._running.append(running := Running(ends))
        return running

    def end(self, running: Running) -> None:
        """Take note that a batch has ended; once more does nothing."""
        if running in self._running:
            self._running.remove(running)

    def left_s(self, now: float) -> float:
        """Return the seconds that the batches in hand still take, of all runners together."""
        seconds = 0.0
        for running in self._running:
            if running.ends > now:
                seconds += running.ends - now
        return seconds

    def done_in_s(self, work_s: float, now: float) -> float:
        """Return in how many seconds the runners will have done `work_s` seconds of work beside what is in hand."""
        return done_in_s([max(0.0, running.ends - now) for running in self._running], self.runners, work_s)

    @property
    def ends(self) -> list[float]:
        """When each batch is predicted to end."""
        return [running.ends for running in self._running]


def done_in_s(left: Sequence[float], runners: int, work_s: float) -> float:
    """Return in how many seconds `runners` runners will have done `work_s` seconds of work beside what they have.

    `left` is how long each of their batches still takes. The work is spread over the runners as they become free: with
    the first m of them, all that they have is done after the m-th part of it, and the most useful m counts.
    """
    soonest = sorted(left)[:runners]
    sums, best = work_s, float("inf")
    free = max(0, runners - len(soonest))
    if free:
        best = work_s / free
    for number, seconds in enumerate(soonest, start=free + 1):
        if seconds >= best:
            break
        sums += seconds
        best = min(best, sums / number)
    return best
