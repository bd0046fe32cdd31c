"""The three splits of a recipe as examples, read or made."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import ProblemType, Recipe
from training.data.classification import LabeledText, label_names, read_labeled_texts, to_example
from training.data.conll import TaggedWords, read_tagged_words, to_sentence
from training.data.documents import read_documents
from training.data.errors import DataError
from training.data.examples import Examples
from training.data.labels import choose_problem_type, label_values
from training.data.ner import render_all, tag_names
from training.data.parts import complete, train_source
from training.data.sources import Source
from training.data.tags import find_scheme, split_tag

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The examples of a recipe, and what the labels of its training split are.

    `labels`: names of the logits in order; the label column's name for regression, empty for fill-mask.
    `problem_type`: None for anything but classification.
    """

    train: Examples
    validation: Examples
    test: Examples
    labels: tuple[str, ...]
    problem_type: ProblemType | None = None


def read_splits(recipe: Recipe, data_dir: Path) -> Splits:
    """Read the recipe's splits, and set aside a share of train for those that it does not name.

    Classification: as the problem type says. NER: train is rendered by a seeded coin, so that the model takes
    either spacing; validation and test as ordinary text. Fill-mask: documents.
    Raises `DataError` when data cannot be used or has a label that train lacks, `RecipeError` when train is
    not named.
    """
    if recipe.task == "fill-mask":
        return fill_mask(recipe, data_dir)
    return (
        ner_splits(recipe, data_dir)
        if recipe.task == "token-classification"
        else classification_splits(recipe, data_dir)
    )


def classification_splits(recipe: Recipe, data_dir: Path) -> Splits:
    data = recipe.data

    def read(source: Source) -> list[LabeledText]:
        return read_labeled_texts(source, data, recipe.training.max_samples)

    def strata(row: LabeledText) -> Sequence[str]:
        return () if problem_type == "regression" else label_values(row.label, data.label_separator)

    source = train_source(recipe, data_dir)
    train = read(source)
    problem_type = choose_problem_type([row.label for row in train], data.label_separator, recipe.problem_type)
    rows = complete(recipe, data_dir, train, read, lambda row: row.words, strata)
    examples = rows.map(lambda row: to_example(row, problem_type, data))
    if problem_type == "regression":
        labels: tuple[str, ...] = (train[0].column,)
    else:
        labels = label_names(examples.train)
        refuse_too_few(source, labels, 1 if problem_type == "multi_label_classification" else 2)
        for part, found in ((rows.validation, examples.validation), (rows.test, examples.test)):
            placed = ((row.where, each.labels) for row, each in zip(part, found, strict=True))
            refuse_unseen(placed, labels, source)
    return Splits(examples.train, examples.validation, examples.test, labels, problem_type)


def ner_splits(recipe: Recipe, data_dir: Path) -> Splits:
    data = recipe.data

    def read(source: Source) -> list[TaggedWords]:
        return read_tagged_words(source, data, recipe.training.max_samples)

    source = train_source(recipe, data_dir)
    train = read(source)
    scheme = data.tag_scheme or find_scheme([each.tags for each in train])
    if data.tag_scheme is None:
        log.info("Tags: %s, found from the training split. To choose another scheme, set data.tag_scheme.", scheme)
    rows = complete(recipe, data_dir, train, read, lambda row: " ".join(row.words), entity_types)
    sentences = rows.map(lambda row: to_sentence(row, scheme))
    examples = render_all(sentences.train, None, recipe.seed)
    labels = tag_names(examples)
    if labels == ("O",):
        raise DataError(f"{source}: holds no entities, so there is nothing to learn; add tags such as B-PER")
    for part in (rows.validation, rows.test):
        refuse_unseen(((row.where[0], entity_types(row)) for row in part), entity_types(*rows.train), source)
    validation, test = render_all(sentences.validation, "natural"), render_all(sentences.test, "natural")
    return Splits(examples, validation, test, labels)


def fill_mask(recipe: Recipe, data_dir: Path) -> Splits:
    def read(source: Source) -> list[str]:
        return read_documents(source, recipe.training.max_samples, recipe.data)

    train = read(train_source(recipe, data_dir))
    documents = complete(recipe, data_dir, train, read, str, lambda document: ())
    return Splits(documents.train, documents.validation, documents.test, ())


def entity_types(*sentences: TaggedWords) -> list[str]:
    return sorted({split_tag(tag)[1] for each in sentences for tag in each.tags if tag != "O"})


def refuse_too_few(source: Source, labels: Sequence[str], least: int) -> None:
    if len(labels) < least:
        found = f"only the label {labels[0]!r}" if labels else "no label"
        raise DataError(f"{source}: holds {found}, so there is nothing to learn; add examples of other labels")


def refuse_unseen(placed: Iterable[tuple[str, Iterable[str]]], known: Collection[str], source: Source) -> None:
    for where, labels in placed:
        if unseen := sorted(set(labels).difference(known)):
            remedy = "add training examples of it, or remove these rows"
            raise DataError(f"{where}: label {unseen[0]!r} does not occur in {source}; {remedy}")
