"""A part of a split for a quick trial: seeded, stratified, every label in it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from training.data.set_aside import rarest

T = TypeVar("T")


def sample(items: Sequence[T], count: int | None, seed: int, labels: Callable[[T], Sequence[str]]) -> list[T]:
    """Return `count` items in order, all of them where they are not more.

    One item of each label comes first, of the rarest labels where there are more of these than items; the others are
    taken at even distances from all, sorted by label, so that each label gives its share.
    """
    if count is None or len(items) <= count:
        return list(items)
    generator = random.Random(seed)
    counts = Counter(label for item in items for label in set(labels(item)))
    order = list(range(len(items)))
    generator.shuffle(order)
    order.sort(key=lambda index: rarest(labels(items[index]), counts))  # stable: shuffled within a label
    chosen: set[int] = set()
    covered: set[str] = set()
    for index in order:
        if len(chosen) < count and not covered.issuperset(labels(items[index])):
            chosen.add(index)
            covered.update(labels(items[index]))
    rest = [index for index in order if index not in chosen]
    wanted = count - len(chosen)
    start = generator.random()
    chosen |= {rest[int((number + start) * len(rest) / wanted)] for number in range(wanted)}
    return [items[index] for index in sorted(chosen)]
