"""A split made where a recipe names none: stratified, seeded, no text on both sides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def set_aside(
    items: Sequence[T], share: float, seed: int, text: Callable[[T], str], labels: Callable[[T], Sequence[str]]
) -> tuple[list[T], list[T]]:
    """Return the items that stay and those, about `share` of them, that are set aside, both in order.

    Items of one text, case and spacing apart, go together. A text counts as of its rarest label; of the texts so
    grouped and shuffled every 1/share-th is taken, so that each label gives its share to within one text. What
    would leave a label without an example stays, so a label with a single text is not set aside.
    """
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(normal(text(item)), []).append(index)
    counts = Counter(label for item in items for label in set(labels(item)))
    units = list(groups.values())
    random.Random(seed).shuffle(units)
    units.sort(key=lambda unit: rarest(labels(items[unit[0]]), counts))  # stable: shuffled within a label
    chosen = every(units, share, random.Random(seed).random())
    taken = {index for unit in chosen for index in unit}
    kept = {label for index, item in enumerate(items) if index not in taken for label in labels(item)}
    back = [unit for unit in chosen if any(not kept.issuperset(labels(items[index])) for index in unit)]
    taken -= {index for unit in back for index in unit}
    stay = [item for index, item in enumerate(items) if index not in taken]
    return stay, [items[index] for index in sorted(taken)]


def normal(text: str) -> str:
    """Return a text as it is compared with others: case and spacing aside."""
    return " ".join(text.casefold().split())


def rarest(labels: Sequence[str], counts: Counter[str]) -> tuple[int, str]:
    return min(((counts[label], label) for label in labels), default=(0, ""))


def every(units: Sequence[T], share: float, start: float) -> list[T]:
    """Return units at even distances, at least one of two; `start` in 0..1 moves the first one."""
    if len(units) < 2:
        return []
    if share * len(units) < 1:
        return [units[int(start * len(units))]]
    return [unit for i, unit in enumerate(units) if int(start + (i + 1) * share) > int(start + i * share)]
