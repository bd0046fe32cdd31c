"""Labels that are written as 0 or 1 for each class: in a list, or in a column of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from training.config import DataConfig
from training.data.errors import DataError, MissingColumnError, MissingLabelError, Refuse, nearest
from training.data.examples import LabeledText
from training.data.formats import Row
from training.data.labels import are_indicators
from training.data.sources import Source
from training.data.spelling import NO_CLASS, as_label, stands_for_none

YES = frozenset({"1", "1.0", "true", "yes"})
NO = frozenset({"0", "0.0", "false", "no"})


def from_lists(found: list[LabeledText], source: Source, names: Sequence[str]) -> list[LabeledText]:
    """Return texts with the names of their labels where these are lists of 0 and 1; others as they are.

    Raises `DataError` where such lists are not explained by as many names.
    """
    if not are_indicators([each.label for each in found], len(names)):
        return found
    width = len(found[0].label) if isinstance(found[0].label, list) else 0
    if len(names) != width:
        given = f"data.label_names has {len(names)}" if names else "nothing says what they stand for"
        raise DataError(
            f"{source}: the labels are lists of {width} times 0 or 1, and {given}; set data.label_names to "
            f"{width} names in their order"
        )
    return [replace(each, label=chosen(each.label, names)) for each in found]


def chosen(flags: object, names: Sequence[str]) -> list[str]:
    values = flags if isinstance(flags, list) else []
    return [name for name, value in zip(names, values, strict=True) if str(value).lower() in YES]


def from_columns(found: LabeledText, row: Row, data: DataConfig, refuse: Refuse) -> Iterator[LabeledText]:
    """Yield a text with the names of the label columns that say yes; refuses a cell that says neither."""
    labels: list[str] = []
    for name in data.label_columns:
        if name not in row.values:
            hint = f", perhaps {like!r}" if (like := nearest(name, row.values)) else ""
            refuse(MissingColumnError(f"{row.where}: no column {name!r}; correct data.label_columns{hint}"))
            return
        value = as_label("" if row.values[name] is None else row.values[name])
        if value.lower() in YES:
            labels.append(name)
        elif stands_for_none(value) or value in NO_CLASS:
            if not data.drop_unlabeled:
                remedy = "write 0 or 1, remove the row, or set data.drop_unlabeled"
                refuse(MissingLabelError(f"{row.where}: {name!r} says neither yes nor no; {remedy}"))
            return
        elif value.lower() not in NO:
            refuse(DataError(f"{row.where}: {name!r} must be 0 or 1, found {value[:40]!r}; correct it"))
            return
    yield replace(found, label=labels)
