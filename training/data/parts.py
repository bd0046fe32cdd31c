"""Train, validation and test as they are read, before they are examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from training.config import Recipe, RecipeError
from training.data.dialects import describe
from training.data.errors import DataError
from training.data.sample import sample
from training.data.set_aside import normal, set_aside
from training.data.sources import Source, source_of

log = logging.getLogger(__name__)

SHARED = ("validation", "test")  # splits that may be a share of train

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

    With `training.max_samples`, each split is a sample. What was found about the files is said. Raises `RecipeError`
    when the shares leave nothing to train on, and `DataError` when `train` is too small.
    """
    say_found(source_of(recipe.data, data_dir, "train"), recipe)
    every = sample_of_train(train, recipe, labels)
    train, found = take_shares(recipe, every, text, labels)
    say_set_aside(len(every), found, recipe.seed)
    for split in SHARED:
        if (source := source_of(recipe.data, data_dir, split)) is not None:
            say_found(source, recipe)
            found[split] = sample(read(source), recipe.training.max_samples, recipe.seed, labels)
    return Parts(train, found["validation"], found["test"])


def take_shares(
    recipe: Recipe, train: list[T], text: Callable[[T], str], labels: Callable[[T], Sequence[str]]
) -> tuple[list[T], dict[str, list[T]]]:
    """Return what stays of train, and the splits that are set aside because the recipe names none; raises as above."""
    shares = {"test": recipe.data.test_share, "validation": recipe.data.validation_share}
    shares = {split: share for split, share in shares.items() if getattr(recipe.data, split) is None}
    if sum(shares.values()) >= 1:
        raise RecipeError("data.validation_share and data.test_share leave nothing to train on; lower one of them")
    found: dict[str, list[T]] = {}
    left = 1.0
    for split, share in shares.items():
        found[split] = []
        if share:
            train, found[split] = take_share(split, train, share / left, recipe, text, labels)
            left -= share
    return train, found


def say_found(source: Source | None, recipe: Recipe) -> None:
    if source is not None and (found := describe(source, recipe.data)):
        log.info("%s: %s.", source, found)


def say_set_aside(count: int, found: Mapping[str, Sequence[object]], seed: int) -> None:
    """Say how many of `count` training examples were taken for other splits, which `found` has in their order."""
    message = "No %s split is named: %d of the %d training examples are set aside for it, stratified, seed %d."
    for split, aside in found.items():
        if aside:
            log.info(message, split, len(aside), count, seed)
            count -= len(aside)


def sample_of_train(everything: list[T], recipe: Recipe, labels: Callable[[T], Sequence[str]]) -> list[T]:
    """Return a sample that has every label; raises `DataError` where `training.max_samples` are too few for it."""
    most = recipe.training.max_samples
    train = sample(everything, most, recipe.seed, labels)
    left_out = {label for row in everything for label in labels(row)}
    left_out = left_out.difference(*map(labels, train))
    if left_out:
        counts = f"training.max_samples {most} leaves out {len(left_out)} labels, such as {min(left_out)!r}"
        raise DataError(f"{train_name(recipe)}: {counts}; raise it")
    return train


def train_name(recipe: Recipe) -> str:
    return recipe.data.train or str(recipe.data.dataset)


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
        counts = f"its {len(train)} examples are" if len(train) != 1 else "its only example is"
        counts = f"{counts} too few to set some aside for {split}"
        reason = why_none(train, text, labels)
        raise DataError(f"{train_name(recipe)}: {counts}{reason}; add examples, or name data.{split}")
    return stay, aside


def why_none(train: Sequence[T], text: Callable[[T], str], labels: Callable[[T], Sequence[str]]) -> str:
    """Say what is common to examples of which none can be set aside; nothing where they are just few."""
    if len(train) == 1:
        return ", as the whole file is one"
    texts = {normal(text(row)) for row in train}
    if len(texts) == 1:
        return ", as all have the same text"
    found = [label for row in train for label in labels(row)]
    if found and len(found) == len(set(found)):
        return ", as each label has one text"
    return ""
