"""What is told of answers, so that they can be counted: their labels, and how sure the model is of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from app.tasks.schemes import OUTSIDE

# Is told of each label that is answered, and how sure the model is of it: 0 to 1, or not a number.
Tell = Callable[[str, float], None]
NOTHING = "(none)"  # is told in place of a label where a text has none

EntityT = TypeVar("EntityT", bound=Mapping[str, Any])


def tell_best(tell: Tell, labels: list[str], logits: list[float], temperature: float) -> None:
    """Tell the best of labels that exclude each other, with its probability."""
    greatest = max(logits)
    sureness = 1 / sum([math.exp((logit - greatest) / temperature) for logit in logits])
    tell(labels[logits.index(greatest)], sureness)


def tell_reached(tell: Tell, scores: Iterable[tuple[str, float]], least: Mapping[str, float]) -> None:
    """Tell each label whose score reaches its own threshold."""
    found = [(label, score) for label, score in scores if score >= least[label]]
    for label, score in found or [(NOTHING, math.nan)]:
        tell(label, score)


def telling(found: Iterable[EntityT], tell: Tell) -> Iterator[EntityT]:
    """Yield the entities of a text, each of which is told by its type, or that there is none."""
    is_empty = True
    for entity in found:
        if (kind := entity["entity_group"]) != OUTSIDE:
            is_empty = False
            tell(kind, entity["score"])
        yield entity
    if is_empty:
        tell(NOTHING, math.nan)
