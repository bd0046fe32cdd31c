"""Labeled texts and pairs of texts, from the rows of a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.bundle import ProblemType
from training.config import DataConfig
from training.data.errors import (
    DataError,
    EmptyTextError,
    MissingColumnError,
    MissingLabelError,
    Refuse,
    nearest,
    stop,
)
from training.data.examples import ClassificationExample
from training.data.labels import find_problem_type, label_values, number_of
from training.data.sources import Source
from training.data.tables import Row, rows

DEFAULT_LABEL_COLUMNS = ("label", "labels")


@dataclass(frozen=True)
class LabeledText:
    """A text, or a pair, with its label as the file has it, a text, a number, or a list, and that label's column."""

    where: str
    text: str
    text_pair: str | None
    label: object
    column: str

    @property
    def words(self) -> str:
        """Return all the text that there is."""
        return self.text if self.text_pair is None else f"{self.text}\n{self.text_pair}"


def labeled_texts(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[LabeledText]:
    """Yield the texts of a table with their labels; refuses rows without one or the other."""
    for row in rows(source, data, refuse):
        text = text_of(row, data.text_column, "text_column", refuse)
        pair = text_of(row, data.text_pair_column, "text_pair_column", refuse) if data.text_pair_column else None
        if text is None or (data.text_pair_column and pair is None):
            continue
        column = find_label_column(row, data, refuse)
        if column is None:
            continue
        label = row.values[column]
        if is_missing(label, data):
            refuse(MissingLabelError(f"{row.where}: {column!r} is empty; give the row a label, or remove it"))
        else:
            yield LabeledText(row.where, text, pair, label, column)


def read_classification(
    source: Source, data: DataConfig, limit: int | None = None, problem_type: ProblemType | None = None
) -> list[ClassificationExample]:
    """Read at most `limit` rows of a problem type (found out where not given).

    Raises `DataError` on a row that cannot be used and on an empty table.
    """
    found = read_labeled_texts(source, data, limit)
    problem_type = problem_type or find_problem_type([each.label for each in found], data.label_separator)[0]
    return [to_example(each, problem_type, data) for each in found]


def read_labeled_texts(source: Source, data: DataConfig, limit: int | None = None) -> list[LabeledText]:
    """Read at most `limit` rows; raises `DataError` on one that cannot be used and on an empty table."""
    found = list(itertools.islice(labeled_texts(source, data), limit))
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a text and a label in each row")
    return found


def to_example(found: LabeledText, problem_type: ProblemType, data: DataConfig) -> ClassificationExample:
    """Read the label as the problem type says; raises `DataError` when it is no such label."""
    if problem_type == "regression":
        number = number_of(found.label)
        if number is None:
            raise DataError(f"{found.where}: {found.label!r} is no number; correct it, or set problem_type")
        return ClassificationExample(found.text, (), found.text_pair, number)
    labels = label_values(found.label, data.label_separator)
    if problem_type == "single_label_classification" and len(labels) != 1:
        hint = "set problem_type to multi_label_classification if a text may have any number"
        raise DataError(f"{found.where}: expected one label, found {len(labels)}; {hint}")
    if not all(labels):
        raise MissingLabelError(f"{found.where}: a label is empty; give it a name, or remove it")
    return ClassificationExample(found.text, labels, found.text_pair)


def label_names(examples: Iterable[ClassificationExample]) -> tuple[str, ...]:
    """Return the labels in use, sorted, so that ids do not depend on the order of the rows."""
    return tuple(sorted({label for example in examples for label in example.labels}))


def text_of(row: Row, column: str, setting: str, refuse: Refuse = stop) -> str | None:
    """Return the text in a column; None where that is refused."""
    if column not in row.values:
        refuse(no_column(row, repr(column), column, setting))
        return None
    value = row.values[column]
    if isinstance(value, str) and value.strip():
        return value
    refuse(EmptyTextError(f"{row.where}: {column!r} must be a text that is not empty; write one, or remove the row"))
    return None


def find_label_column(row: Row, data: DataConfig, refuse: Refuse) -> str | None:
    wanted = DEFAULT_LABEL_COLUMNS if data.label_column is None else (data.label_column,)
    column = next((name for name in wanted if name in row.values), None)
    if column is None:
        refuse(no_column(row, " or ".join(map(repr, wanted)), wanted[0], "label_column"))
    return column


def no_column(row: Row, wanted: str, name: str, setting: str) -> MissingColumnError:
    columns = list(row.values)
    message = f"{row.where}: no column {wanted}; found {', '.join(map(repr, columns))}"
    mark = next((mark for mark in ";\t|" if len(columns) == 1 and mark in columns[0]), None)
    if mark:
        return MissingColumnError(f"{message}: the cells seem to be parted by {mark!r}; save it with commas")
    hint = f", perhaps to {like!r}" if (like := nearest(name, columns)) else ""
    return MissingColumnError(f"{message}; set data.{setting}{hint}")


def is_missing(label: object, data: DataConfig) -> bool:
    """Say whether there is no label; an empty cell that may hold several holds none of them, which is an answer."""
    if isinstance(label, str):
        return not label.strip() and data.label_separator is None
    return label is None or (isinstance(label, float) and math.isnan(label))
