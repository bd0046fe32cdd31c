"""Texts, or pairs of texts, with labels or numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from app.bundle import ProblemType
from app.tasks.classify import Classify
from training.config import DataConfig, Recipe
from training.data import (
    ClassificationExample,
    Convention,
    DataError,
    Item,
    LabeledText,
    Labeling,
    Part,
    Source,
    Splits,
    choose_problem_type,
    find_problem_type,
    label_names,
    label_remarks,
    label_values,
    labeled_texts,
    raw_labels,
    read_labeled_texts,
    sample,
    say,
    to_example,
)
from training.data.parts import complete, train_source
from training.data.splits import refuse_too_few, refuse_unknown, refuse_unseen
from training.reading.base import Reading

LEAST_LABELS: dict[ProblemType, int] = {
    "single_label_classification": 2,
    "multi_label_classification": 1,
    "regression": 0,
}


class ClassifyReading(Reading[ClassificationExample]):
    """Reads examples of the task; see `training.tasks.classify`."""

    serving = Classify

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        data = recipe.data
        source = train_source(recipe, data_dir)
        train = read_labeled_texts(source, data, recipe.problem_type)
        kind = choose_problem_type([row.label for row in train], data.label_separator, recipe.problem_type)
        say(label_remarks(spelled(train, data), are_numbers=kind == "regression"))

        def strata(row: LabeledText) -> Sequence[str]:
            return () if kind == "regression" else label_values(row.label, data.label_separator)

        read = partial(read_labeled_texts, data=data, problem_type=kind)
        rows = complete(recipe, data_dir, train, read, lambda row: row.words, strata)
        examples = rows.map(lambda row: to_example(row, kind, data))
        if kind == "regression":
            return Splits(examples.train, examples.validation, examples.test, Labeling((train[0].column,), kind))
        labels = label_names(examples.train)
        refuse_too_few(source, labels, LEAST_LABELS[kind])
        for part, found in ((rows.validation, examples.validation), (rows.test, examples.test)):
            placed = ((row.where, each.labels) for row, each in zip(part, found, strict=True))
            refuse_unseen(placed, labels, source)
        return Splits(examples.train, examples.validation, examples.test, Labeling(labels, kind))

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[ClassificationExample]:
        kind = kind_of(labeling)
        everything = read_labeled_texts(source, data, kind)
        found = sample(everything, limit, seed, lambda row: label_values(row.label, data.label_separator))
        examples = [to_example(each, kind, data) for each in found]
        placed = ((row.where, each.labels) for row, each in zip(found, examples, strict=True))
        refuse_unknown(placed, labeling.labels)
        return examples

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        data = recipe.data
        found = labeled_texts(source, data, part.refused.append, convention.problem_type)
        kind = convention.problem_type
        if kind is None:
            kind, _ = find_problem_type([each.label for each in found], data.label_separator)
            convention.problem_type = kind
        part.least_labels, part.are_numbers = LEAST_LABELS[kind], kind == "regression"
        part.spelled.update(spelled(found, data))
        for each in found:
            try:
                example = to_example(each, kind, data)
            except DataError as error:
                part.refused.append(error)
                continue
            answer = tuple(sorted(example.labels)) if example.target is None else (str(example.target),)
            yield Item(each.where, each.text, example.labels, answer, each.text_pair, example.target)

    def text_of(self, example: ClassificationExample) -> str:
        return example.text


def spelled(found: Sequence[LabeledText], data: DataConfig) -> Counter[str]:
    return Counter(label for row in found for label in raw_labels(row.label, data.label_separator))


def kind_of(labeling: Labeling) -> ProblemType:
    return labeling.problem_type or "single_label_classification"
