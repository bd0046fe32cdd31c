"""The three splits of a recipe as examples, and what their labels must keep to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.data.errors import DataError
from training.data.labeling import Labeling
from training.data.sources import Source


@dataclass(frozen=True)
class Splits:
    """The examples of a recipe, of its task's own type, and what the labels of its training split are."""

    train: list[Any]
    validation: list[Any]
    test: list[Any]
    labeling: Labeling = field(default_factory=Labeling)


def refuse_too_few(source: Source, labels: Sequence[str], least: int) -> None:
    """Raise `DataError` when there is nothing to tell apart."""
    if len(labels) < least:
        found = f"only the label {labels[0]!r}" if labels else "no label"
        raise DataError(f"{source}: holds {found}, so there is nothing to learn; add examples of other labels")


def refuse_unseen(placed: Iterable[tuple[str, Iterable[str]]], known: Collection[str], source: Source) -> None:
    """Raise `DataError` at the first place whose labels the training split lacks."""
    for where, labels in placed:
        if unseen := sorted(set(labels).difference(known)):
            remedy = "add training examples of it, or remove these rows"
            raise DataError(f"{where}: label {unseen[0]!r} does not occur in {source}; {remedy}")


def refuse_unknown(placed: Iterable[tuple[str, Iterable[str]]], labels: Sequence[str]) -> None:
    """Raise `DataError` at the first place with a label that a model was not trained for."""
    for where, found in placed:
        if unknown := sorted(set(found).difference(labels)):
            known = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
            raise DataError(f"{where}: the model does not know the label {unknown[0]!r}; it knows {known}")
