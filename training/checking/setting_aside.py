"""Whether a split without a file can be made of the training split."""

from __future__ import annotations

from collections.abc import Sequence

from training.checking.findings import Finding
from training.config import Recipe, RecipeError
from training.data import DataError, Item, Part
from training.data.parts import sample_of_train, take_shares


def too_few_to_set_aside(parts: Sequence[Part], recipe: Recipe) -> list[Finding]:
    """Find that training would stop where it takes a sample of train, or sets a share of it aside."""
    items = parts[0].items
    if not items:
        return []
    try:
        take_shares(recipe, sample_of_train(items, recipe, labels_of), lambda item: item.kept_together, labels_of)
    except (DataError, RecipeError) as error:
        return [Finding("error", "too few examples", "train", len(items), "training would stop", (str(error),))]
    return []


def labels_of(item: Item) -> Sequence[str]:
    return item.labels
