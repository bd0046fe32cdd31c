"""Labeled texts and pairs of texts, from the rows of a table."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.bundle import ProblemType
from training.config import DataConfig
from training.data.annotations import annotated, say_skipped, tool_of
from training.data.annotations.base import are_marks
from training.data.cells import unfolded
from training.data.errors import (
    DataError,
    EmptyTextError,
    MissingColumnError,
    MissingLabelError,
    Refuse,
    nearest,
    stop,
)
from training.data.examples import ClassificationExample, LabeledText
from training.data.formats import Row
from training.data.indicators import from_columns, from_lists
from training.data.labels import find_problem_type, label_values, number_of
from training.data.sample import sample
from training.data.sources import Source
from training.data.spelling import NO_CLASS, as_label, stands_for_none
from training.data.tables import rows

log = logging.getLogger(__name__)

DEFAULT_LABEL_COLUMNS = ("label", "labels")


def labeled_texts(
    source: Source, data: DataConfig, refuse: Refuse = stop, problem_type: ProblemType | None = None
) -> list[LabeledText]:
    """Return the texts of a table with their labels; refuses rows without one or the other.

    Lists of 0 and 1 become lists of labels. With `data.drop_unlabeled`, rows without a label are left out; -1 is no
    label unless the problem is a regression, which is found out where `problem_type` does not say.
    """
    found = from_lists(list(each_labeled(source, data, refuse)), source, data.label_names)
    if not data.drop_unlabeled:
        return found
    kind = problem_type or find_problem_type([each.label for each in found], data.label_separator)[0]
    missing = MissingIn(kind)
    kept = [each for each in found if not missing(each.label)]
    if len(kept) < len(found):
        log.info("%s: %d rows without a label are left out.", source, len(found) - len(kept))
    return kept


@dataclass(frozen=True)
class MissingIn:
    """Says of the labels of a problem whether they stand for none."""

    problem_type: ProblemType

    def __call__(self, label: object) -> bool:
        if isinstance(label, list):
            return bool(label) and all(map(self, label))
        name = as_label(label)
        return stands_for_none(name) or (name in NO_CLASS and self.problem_type != "regression")


def each_labeled(source: Source, data: DataConfig, refuse: Refuse) -> Iterator[LabeledText]:
    skipped: Counter[str] = Counter()
    for row in rows(source, data, refuse):
        is_table = data.label_columns or data.text_pair_column
        chosen = None if is_table else of_tool(row, data, refuse, skipped)
        if chosen is not None:
            yield from chosen
            continue
        text = text_of(row, data.text_column, "text_column", refuse)
        pair = text_of(row, data.text_pair_column, "text_pair_column", refuse) if data.text_pair_column else None
        if text is None or (data.text_pair_column and pair is None):
            continue
        if data.label_columns:
            yield from from_columns(LabeledText(row.where, text, pair, None, "label"), row, data, refuse)
            continue
        column = find_label_column(row, data, refuse)
        if column is None:
            continue
        label = unfolded(row.values[column])
        if not is_missing(label, data):
            yield LabeledText(row.where, text, pair, label, column)
        elif not data.drop_unlabeled:
            remedy = "give the row a label, remove it, or set data.drop_unlabeled"
            refuse(MissingLabelError(f"{row.where}: {column!r} is empty; {remedy}"))
    say_skipped(source, skipped)


def of_tool(row: Row, data: DataConfig, refuse: Refuse, skipped: Counter[str]) -> list[LabeledText] | None:
    """Return the texts with their choices of an annotation tool's row; None for a row of an ordinary table."""
    tool = tool_of(row)
    if tool is None or (tool.verdict is not None and tool.verdict == data.label_column):
        return None
    texts = annotated(row, data, refuse) or []
    found = [LabeledText(row.where, each.text, None, list(each.choices), "label") for each in texts if each.choices]
    has_marks = any(each.marks for each in texts)
    is_table = data.text_column in row.values and find_label_column(row, data, ignore) is not None
    if found or not texts:
        skipped.update([tool.name] if not texts else [])
        return found
    if has_marks and not (is_table and tool.is_general and not are_marks(label_in(row, data))):
        refuse(DataError(f"{row.where}: holds marked spans, no label of the text; train it with --task ner"))
        return []
    return None


def label_in(row: Row, data: DataConfig) -> object:
    column = find_label_column(row, data, ignore)
    return None if column is None else row.values[column]


def ignore(error: DataError) -> None:
    """Take no notice of what is refused."""


def read_classification(
    source: Source,
    data: DataConfig,
    limit: int | None = None,
    problem_type: ProblemType | None = None,
    seed: int = 0,
) -> list[ClassificationExample]:
    """Read a table, or a sample of `limit` of its rows, of a problem type (found out where not given).

    Raises `DataError` on a row that cannot be used and on an empty table.
    """
    found = read_labeled_texts(source, data, problem_type)
    kind = problem_type or find_problem_type([each.label for each in found], data.label_separator)[0]
    examples = [to_example(each, kind, data) for each in found]
    return sample(examples, limit, seed, lambda example: example.labels)


def read_labeled_texts(source: Source, data: DataConfig, problem_type: ProblemType | None = None) -> list[LabeledText]:
    """Read all rows; raises `DataError` on one that cannot be used and on an empty table."""
    found = labeled_texts(source, data, problem_type=problem_type)
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a text and a label in each row")
    return found


def to_example(found: LabeledText, problem_type: ProblemType, data: DataConfig) -> ClassificationExample:
    """Read the label as the problem type says; raises `DataError` when it is no such label."""
    if problem_type == "regression":
        return ClassificationExample(found.text, (), found.text_pair, target_of(found))
    labels = label_values(found.label, data.label_separator)
    if problem_type == "single_label_classification" and len(labels) != 1:
        hint = "set problem_type to multi_label_classification if a text may have any number"
        raise DataError(f"{found.where}: expected one label, found {len(labels)}; {hint}")
    if not all(labels):
        raise MissingLabelError(f"{found.where}: a label is empty; give it a name, or remove it")
    return ClassificationExample(found.text, labels, found.text_pair)


def target_of(found: LabeledText) -> float:
    number = number_of(found.label)
    if number is not None:
        return number
    if stands_for_none(str(found.label)):
        remedy = "give the row a number, remove it, or set data.drop_unlabeled"
        raise MissingLabelError(f"{found.where}: {found.label!r} stands for no number; {remedy}")
    remedy = "correct it, or set problem_type to single_label_classification"
    raise DataError(f"{found.where}: {found.label!r} is no number; {remedy}")


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
    if value is None or isinstance(value, str):
        reason = f"{column!r} must be a text that is not empty; write one, or remove the row"
    else:
        reason = f"{column!r} must be a text, found {kind_of(value)}; write it in quotation marks, or remove the row"
    refuse(EmptyTextError(f"{row.where}: {reason}"))
    return None


def kind_of(value: object) -> str:
    """Name a value that is no text."""
    if isinstance(value, bool | int | float):
        return f"{'true or false' if isinstance(value, bool) else 'the number'} {value}"
    return f"{'a list' if isinstance(value, list) else 'an object'}"


def find_label_column(row: Row, data: DataConfig, refuse: Refuse) -> str | None:
    wanted = DEFAULT_LABEL_COLUMNS if data.label_column is None else (data.label_column,)
    column = next((name for name in wanted if name in row.values), None)
    if column is None:
        refuse(no_column(row, " or ".join(map(repr, wanted)), wanted[0], "label_column"))
    return column


def no_column(row: Row, wanted: str, name: str, setting: str) -> MissingColumnError:
    columns = list(row.values)
    message = f"{row.where}: no column {wanted}; found {', '.join(repr(each[:40]) for each in columns[:20])}"
    hint = f", perhaps to {like!r}" if (like := nearest(name, columns)) else ""
    return MissingColumnError(f"{message}; set data.{setting}{hint}{indicator_hint(row, setting)}")


def indicator_hint(row: Row, setting: str) -> str:
    """Name data.label_columns where a row has no label but several columns of 0 and 1."""
    columns = [name for name, value in row.values.items() if str(value) in ("0", "1", "True", "False", "0.0", "1.0")]
    if setting != "label_column" or len(columns) < 2:
        return ""
    named = ", ".join(f'"{name}"' for name in columns[:3]) + (", ..." if len(columns) > 3 else "")
    return f", or data.label_columns to [{named}]"


def is_missing(label: object, data: DataConfig) -> bool:
    """Say whether there is no label; an empty cell that may hold several holds none of them, which is an answer."""
    if isinstance(label, str):
        return not label.strip() and data.label_separator is None
    return label is None or (isinstance(label, float) and math.isnan(label))
