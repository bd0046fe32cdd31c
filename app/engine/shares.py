"""How much of the runners each request would have had, if all that wait shared them equally from their arrival on."""

from __future__ import annotations

from bisect import bisect_left, insort


class EqualShares:
    """`each_s` is what a request would have had that waits since the queue was last empty, in seconds of runners.

    Real windows run one after the other, so that a request leaves the queue earlier than it would by equal shares, and
    `ends` keeps it until then: without it, the last of many would seem to have had too little.
    Source: Parekh and Gallager, A generalized processor sharing approach to flow control, IEEE/ACM Transactions on
    Networking, 1993.
    """

    def __init__(self) -> None:
        self.each_s = 0.0
        self.ends: list[float] = []  # the `each_s` at which each request would be done; sorted

    def join(self, cost_s: float) -> float:
        """Let a request share from now on, and return the `each_s` at which it would be done."""
        end = self.each_s + cost_s
        insort(self.ends, end)
        return end

    def leave(self, end: float) -> None:
        """Let a request that would be done at `end` share no longer, if it still does."""
        place = bisect_left(self.ends, end)
        if place < len(self.ends) and self.ends[place] == end:
            del self.ends[place]

    def spend(self, seconds: float) -> None:
        """Divide the time of a window among all who share."""
        done = 0
        for done, end in enumerate(self.ends):
            needed = (end - self.each_s) * (len(self.ends) - done)
            if seconds < needed:
                self.each_s += seconds / (len(self.ends) - done)
                break
            seconds -= needed
            self.each_s = end
        else:
            done = len(self.ends)
        del self.ends[:done]

    def clear(self) -> None:
        """Have nobody share: nothing waits."""
        self.ends.clear()
