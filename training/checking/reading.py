"""Reads splits to their ends, whatever is wrong with single rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.config import ProblemType, Recipe, TagScheme
from training.data import (
    DataError,
    Source,
    documents,
    find_problem_type,
    find_scheme,
    labeled_texts,
    render,
    source_of,
    tagged_words,
    to_example,
    to_sentence,
)

SPLITS = ("train", "validation", "test")
LEAST_LABELS: dict[ProblemType, int] = {
    "single_label_classification": 2,
    "multi_label_classification": 1,
    "regression": 0,
}


@dataclass(frozen=True)
class Item:
    """One text and where it is.

    `text_pair`: the second text of a pair. `labels`: its labels, or the entity types in it. `answer`: what
    must be equal for the same text everywhere: the labels, the number, or the entities. `target`: the number of a
    regression example. `bare`: an entity begins with I- although the scheme is IOB2.
    """

    where: str
    text: str
    labels: tuple[str, ...]
    answer: tuple[str, ...] = ()
    text_pair: str | None = None
    target: float | None = None
    bare: bool = False

    @property
    def words(self) -> str:
        """Return all the text that there is."""
        return self.text if self.text_pair is None else f"{self.text}\n{self.text_pair}"


@dataclass
class Part:
    """One split as far as it can be read: its texts, what was refused, and how many labels training needs of it."""

    split: str
    items: list[Item] = field(default_factory=list)
    refused: list[DataError] = field(default_factory=list)
    least_labels: int = 0


def read_parts(recipe: Recipe, data_dir: Path) -> list[Part]:
    """Read the splits that the recipe names; raises `RecipeError` when it names no training split."""
    parts = []
    convention = Convention(recipe)
    for split in SPLITS:
        source = source_of(recipe.data, data_dir, split)
        if source is not None:
            parts.append(read(split, source, convention, recipe))
    return parts


class Convention:
    """What validation and test take over from the training split: the problem type, or the scheme of the tags."""

    def __init__(self, recipe: Recipe) -> None:
        self.problem_type = recipe.problem_type
        self.scheme: TagScheme | None = recipe.data.tag_scheme


def read(split: str, source: Source, convention: Convention, recipe: Recipe) -> Part:
    part = Part(split)
    readers = {"text-classification": texts, "token-classification": sentences, "fill-mask": document_items}
    try:
        part.items.extend(readers[recipe.task](source, convention, recipe, part))
        if not part.items and not part.refused:
            part.refused.append(DataError(f"{source}: holds no examples"))
    except DataError as error:  # the file as a whole
        part.refused.append(error)
    return part


def texts(source: Source, convention: Convention, recipe: Recipe, part: Part) -> Iterator[Item]:
    data = recipe.data
    found = list(labeled_texts(source, data, part.refused.append))
    problem_type = convention.problem_type
    if problem_type is None:
        problem_type, _ = find_problem_type([each.label for each in found], data.label_separator)
        convention.problem_type = problem_type
    part.least_labels = LEAST_LABELS[problem_type]
    for each in found:
        try:
            example = to_example(each, problem_type, data)
        except DataError as error:
            part.refused.append(error)
            continue
        answer = tuple(sorted(example.labels)) if example.target is None else (str(example.target),)
        yield Item(each.where, each.text, example.labels, answer, each.text_pair, example.target)


def sentences(source: Source, convention: Convention, recipe: Recipe, part: Part) -> Iterator[Item]:
    found = list(tagged_words(source, recipe.data, part.refused.append))
    scheme = convention.scheme or find_scheme([each.tags for each in found])
    convention.scheme = scheme
    part.least_labels = 1
    for each in found:
        try:
            sentence = to_sentence(each, scheme)
        except DataError as error:
            part.refused.append(error)
            continue
        example = render(sentence, "natural")
        kinds = tuple(kind for _, _, kind in example.spans)
        entities = tuple(f"{example.text[start:end].casefold()}/{kind}" for start, end, kind in example.spans)
        bare = scheme == "IOB2" and sentence.tags != each.tags
        yield Item(each.where[0], example.text, kinds, entities, bare=bare)


def document_items(source: Source, convention: Convention, recipe: Recipe, part: Part) -> Iterator[Item]:
    yield from (Item(where, text, ()) for where, text in documents(source, recipe.data, part.refused.append))
