"""Labeled examples for a model that is there already: its labels are given, and the data must keep to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from training.config import DataConfig, ProblemType, Task
from training.data import (
    DataError,
    Source,
    labeled_texts,
    legal_iob2,
    read_documents,
    read_ner,
    tagged_words,
    to_example,
)


def read_examples(
    source: Source,
    data: DataConfig,
    task: Task,
    labels: Sequence[str],
    problem_type: ProblemType | None,
    limit: int | None = None,
) -> Sequence[Any]:
    """Read at most `limit` examples of the task's own type; NER's are rendered as ordinary text.

    Raises `DataError` when the source cannot be used, is empty, or has a label that is not among `labels`.
    """
    if task == "fill-mask":
        return read_documents(source, limit, data)
    if task == "token-classification":
        sentences = read_ner(source, "natural", limit=limit, data=data)
        places = [each.where[0] for each in itertools.islice(tagged_words(source, data), limit)]
        refuse_unknown(zip(places, (legal_iob2(each.tags) for each in sentences), strict=True), labels)
        return sentences
    kind = problem_type or "single_label_classification"
    found = list(itertools.islice(labeled_texts(source, data), limit))
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a text and a label in each row")
    examples = [to_example(each, kind, data) for each in found]
    refuse_unknown(((row.where, each.labels) for row, each in zip(found, examples, strict=True)), labels)
    return examples


def refuse_unknown(placed: Iterable[tuple[str, Iterable[str]]], labels: Sequence[str]) -> None:
    for where, found in placed:
        if unknown := sorted(set(found).difference(labels)):
            known = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
            raise DataError(f"{where}: the model does not know the label {unknown[0]!r}; it knows {known}")
