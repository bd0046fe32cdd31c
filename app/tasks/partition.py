"""What each word adds to a score: Owen values over a balanced tree of words, from scores of what is left by masking.

A group of words is split into two halves, and each half gets what it adds, with the other half there and without it;
then the halves are split. So what the words of a group get adds up to what the group got, and that of all words to the
score's difference between the whole text and one without any word, however soon the splitting ends.

Source: G. Owen, Values of games with a priori unions, 1977; S. Lundberg's `shap`, whose partition explainer has the
same values where its budget is as great.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.tasks.pausing import pause

Values = NDArray[np.float64]


class Share(NamedTuple):
    """Part of what a group of words gets, `start:end` among all words: the score of a set of words, times `factor`."""

    start: int
    end: int
    set: int
    factor: float


class Context(NamedTuple):
    """A set of words beside which a group is there or not, as bits, and how much that counts."""

    words: int
    weight: float


class Group(NamedTuple):
    """Neighboring words that have not been split yet. Larger groups go first, then those nearer to the beginning."""

    size: int  # negative
    start: int
    depth: int
    contexts: tuple[Context, ...]

    @property
    def end(self) -> int:
        return self.start - self.size


@dataclass
class Plan:
    """Sets of words to score, as bits: a text of which the others are masked. `shares` make values of the scores.

    `windows` are the words that each window of the text has, as bits; `passes` counts the windows that differ.
    """

    words: int
    windows: Sequence[int]
    budget: int
    depth: int  # down to which a group is tried with its other half and without
    sets: dict[int, int] = field(default_factory=dict)  # bits, with their order
    shares: list[Share] = field(default_factory=list)
    groups: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._take((0, range_of(0, self.words)))
        waiting = [Group(-self.words, 0, 0, (Context(0, 1.0),))] if self.words else []
        while waiting and waiting[0].size < -1 and self._split(waiting):
            pass
        self.groups = len(waiting)
        for group in waiting:
            for context in group.contexts:
                whole = context.words | range_of(group.start, group.end)
                self._share(group.start, group.end, whole, context.weight)
                self._share(group.start, group.end, context.words, -context.weight)

    @property
    def passes(self) -> int:
        return len(self._seen)

    @property
    def everything(self) -> int:
        """The number of the set of all words; that of the set of none is 0."""
        return self.sets[range_of(0, self.words)]

    @property
    def is_by_word(self) -> bool:
        return self.groups == self.words

    def _split(self, waiting: list[Group]) -> bool:
        """Split the first group, unless that takes more passes than are left."""
        pause()
        group = waiting[0]
        middle = (group.start + group.end) // 2
        left, right = range_of(group.start, middle), range_of(middle, group.end)
        if not self._take([context.words | half for context in group.contexts for half in (left, right)]):
            return False
        heappop(waiting)
        if group.depth < self.depth:
            halves = [Context(c.words, c.weight / 2) for c in group.contexts]
            lefts = (*halves, *(Context(c.words | right, c.weight) for c in halves))
            rights = (*halves, *(Context(c.words | left, c.weight) for c in halves))
        else:
            lefts = tuple(Context(c.words | right, c.weight) for c in group.contexts)
            rights = tuple(Context(c.words | left, c.weight) for c in group.contexts)
            for context in group.contexts:
                self._share_interaction(group, context, left, right)
        heappush(waiting, Group(group.start - middle, group.start, group.depth + 1, lefts))
        heappush(waiting, Group(middle - group.end, middle, group.depth + 1, rights))
        return True

    def _share_interaction(self, group: Group, context: Context, left: int, right: int) -> None:
        """Share among all words of a group what both halves, each beside the other, get too much together."""
        both = context.words | left | right
        factors = {both: -1.0, context.words | left: 1.0, context.words | right: 1.0, context.words: -1.0}
        for words, factor in factors.items():
            self._share(group.start, group.end, words, factor * context.weight)

    def _take(self, sets: Sequence[int]) -> bool:
        """Add sets of words, unless their windows are more than are left."""
        new = {(number, words & window) for words in sets for number, window in enumerate(self.windows)} - self._seen
        if len(self._seen) + len(new) > self.budget and self._seen:
            return False
        self._seen |= new
        for words in sets:
            self.sets.setdefault(words, len(self.sets))
        return True

    def _share(self, start: int, end: int, words: int, factor: float) -> None:
        self.shares.append(Share(start, end, self.sets[words], factor))

    def values(self, scores: Values) -> Values:
        """Return what each word adds, (words, targets), from the scores of the sets, (sets, targets)."""
        if not self.words:
            return np.zeros((0, scores.shape[1]))
        starts, ends, sets, factors = (np.array(column) for column in zip(*self.shares, strict=True))
        each = scores[sets] * (factors / (ends - starts))[:, None]
        steps = np.zeros((self.words + 1, scores.shape[1]))
        np.add.at(steps, starts, each)
        np.subtract.at(steps, ends, each)
        values: Values = steps.cumsum(axis=0)[:-1]
        return values


def best_plan(words: int, windows: Sequence[int], budget: int) -> Plan:
    """Return the plan that has a value for each word and tries each group beside the most others, within the budget.

    Where the budget does not suffice for each word, words share what their group gets.
    """
    for depth in depths(words):
        if len(windows) > 1 or cost_of(words, depth) <= budget:
            plan = Plan(words, windows, budget, depth)
            if plan.is_by_word:
                return plan
    return Plan(words, windows, budget, 0)


def depths(words: int) -> Iterator[int]:
    """Yield how deep groups may be tried with their other half and without, the deepest first."""
    yield from range(max(0, (words - 1).bit_length() - 1), -1, -1)


def cost_of(words: int, depth: int) -> int:
    """Return how many sets of words are scored for a value for each word."""
    levels = range((words - 1).bit_length()) if words > 1 else range(0)
    return 2 + sum(min(1 << level, words - (1 << level)) << (1 + min(level, depth)) for level in levels)


def range_of(start: int, end: int) -> int:
    """Return the words `start:end` as bits."""
    return ((1 << (end - start)) - 1) << start


def bits_of(words: int, count: int) -> NDArray[np.bool_]:
    """Return which of `count` words are in a set, (count,)."""
    packed = np.frombuffer(words.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)
