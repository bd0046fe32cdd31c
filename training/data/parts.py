"""Train, validation and test as they are read, before they are examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from training.config import Recipe, RecipeError
from training.data.errors import DataError
from training.data.set_aside import set_aside
from training.data.sources import Source, source_of

log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Parts(Generic[T]):
    """The three splits, of whatever a row is; test may be empty."""

    train: list[T]
    validation: list[T]
    test: list[T]

    def map(self, change: Callable[[T], U]) -> Parts[U]:
        """Return the splits with each row changed."""
        return Parts(*([change(row) for row in rows] for rows in (self.train, self.validation, self.test)))


def train_source(recipe: Recipe, data_dir: Path) -> Source:
    """Return where the training split lies; raises `RecipeError` when the recipe does not say."""
    source = source_of(recipe.data, data_dir, "train")
    if source is None:
        raise RecipeError("data.train names no file; give one with --train FILE or in the recipe")
    return source


def complete(
    recipe: Recipe,
    data_dir: Path,
    train: list[T],
    read: Callable[[Source], list[T]],
    text: Callable[[T], str],
    labels: Callable[[T], Sequence[str]],
) -> Parts[T]:
    """Read validation and test where the recipe names them, and else set their shares of `train` aside.

    Raises `RecipeError` when the shares leave nothing to train on, and `DataError` when `train` is too small.
    """
    shares = {"test": recipe.data.test_share, "validation": recipe.data.validation_share}
    sources = {split: source_of(recipe.data, data_dir, split) for split in shares}
    if sum(share for split, share in shares.items() if sources[split] is None) >= 1:
        raise RecipeError("data.validation_share and data.test_share leave nothing to train on; lower one of them")
    found: dict[str, list[T]] = {}
    left = 1.0
    for split, share in shares.items():
        source = sources[split]
        if source is not None:
            found[split] = read(source)
        elif share == 0:
            found[split] = []
        else:
            train, found[split] = take_share(split, train, share / left, recipe, text, labels)
            left -= share
    return Parts(train, found["validation"], found["test"])


def take_share(
    split: str,
    train: list[T],
    share: float,
    recipe: Recipe,
    text: Callable[[T], str],
    labels: Callable[[T], Sequence[str]],
) -> tuple[list[T], list[T]]:
    stay, aside = set_aside(train, share, recipe.seed, text, labels)
    if not aside:
        counts = f"its {len(train)} examples are too few to set some aside for {split}"
        raise DataError(f"{recipe.data.train or recipe.data.dataset}: {counts}; add examples, or name data.{split}")
    message = "No %s split is named: %d of the %d training examples are set aside for it, stratified, seed %d."
    log.info(message, split, len(aside), len(train), recipe.seed)
    return stay, aside
