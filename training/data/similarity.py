"""Texts that are similar: pairs, triplets with texts that are not, pairs with a score, and texts alone."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import DataConfig
from training.data.cells import unfolded
from training.data.classification import text_of
from training.data.documents import documents
from training.data.errors import DataError, EmptyTextError, MissingLabelError, Refuse, stop
from training.data.formats import Row, Table, format_of
from training.data.labels import number_of
from training.data.pairing import LOOKED_AT, Roles, roles_of
from training.data.remarks import Remark, remark
from training.data.set_aside import normal
from training.data.sources import Source
from training.data.tables import rows

log = logging.getLogger(__name__)

LEAST_WORDS = 6  # of a text that is cut into two halves

# The scales that people judge similarity on, the narrowest first.
SCALES = ((0, 1), (-1, 1), (0, 2), (0, 3), (1, 4), (0, 4), (1, 5), (0, 5), (1, 7), (0, 7), (1, 10), (0, 10), (0, 100))


@dataclass(frozen=True)
class SimilarityExample:
    """A text, a similar one, and texts that are not.

    `other` is None for a text alone. `score`: how similar both are, on any scale; None where they just are.
    """

    text: str
    other: str | None = None
    negatives: tuple[str, ...] = ()
    score: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text, *(() if self.other is None else (self.other,)), *self.negatives)

    def map(self, change: Callable[[str], str]) -> SimilarityExample:
        """Return the example with each text changed."""
        other = None if self.other is None else change(self.other)
        return SimilarityExample(change(self.text), other, tuple(map(change, self.negatives)), self.score)


def read_similarity(source: Source, data: DataConfig) -> list[SimilarityExample]:
    """Read all rows; raises `DataError` on one that cannot be used and on an empty file."""
    found = [example for _, example in similarity_examples(source, data)]
    if not found:
        raise DataError(f"{source}: holds no examples; it needs two texts in each row, or one")
    scores = {example.score for example in found}
    if len(found) > 1 and len(scores) == 1 and None not in scores:
        raise DataError(f"{source}: every score is {found[0].score:g}, so there is nothing to learn; add other scores")
    return found


def similarity_examples(
    source: Source, data: DataConfig, refuse: Refuse = stop
) -> Iterator[tuple[str, SimilarityExample]]:
    """Yield FILE:LINE and each example: of a row, or of each text in it that is similar to the first."""
    if isinstance(source, Path) and not isinstance(format_of(source, data), Table):
        yield from ((where, SimilarityExample(text)) for where, text in documents(source, data, refuse))
        return
    stream = rows(source, data, refuse)
    first = list(itertools.islice(stream, LOOKED_AT))
    if not first:
        return
    roles = roles_of(first, data)
    log.info("%s: %s.", source, roles)
    for row in itertools.chain(first, stream):
        yield from ((row.where, example) for example in examples_of(row, roles, refuse))


def examples_of(row: Row, roles: Roles, refuse: Refuse) -> Iterator[SimilarityExample]:
    if roles.listed is not None:
        yield from examples_of_list(row, roles.listed, refuse)
        return
    text = text_of(row, roles.anchor, "text_column", refuse)
    if text is None or roles.positive is None:
        yield from () if text is None else (SimilarityExample(text),)
        return
    others = texts_in(row, roles.positive, refuse)
    negatives = tuple(each for column in roles.negatives for each in optional_texts(row, column))
    if roles.score is None:
        yield from (SimilarityExample(text, other, negatives) for other in others)
    elif others and (score := score_of(row, roles.score, refuse)) is not None:
        yield from (SimilarityExample(text, other, score=score) for other in others)


def examples_of_list(row: Row, column: str, refuse: Refuse) -> Iterator[SimilarityExample]:
    texts = optional_texts(row, column)
    if len(texts) < 2:
        refuse(EmptyTextError(f"{row.where}: {column!r} needs two texts at least; add one, or remove the row"))
    yield from (SimilarityExample(texts[0], other) for other in texts[1:])


def texts_in(row: Row, column: str, refuse: Refuse) -> list[str]:
    """Return the text of a cell, or the texts of a list; nothing where that is refused."""
    found = unfolded(row.values.get(column))
    if not isinstance(found, list):
        text = text_of(row, column, "text_pair_column", refuse)
        return [] if text is None else [text]
    if not (texts := optional_texts(row, column)):
        refuse(EmptyTextError(f"{row.where}: {column!r} has no text; write one, or remove the row"))
    return texts


def optional_texts(row: Row, column: str) -> list[str]:
    """Return the text of a cell, or the texts of a list, blank ones left out."""
    value = row.values.get(column)
    found = unfolded(value)
    texts = found if isinstance(found, list) else [value]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def score_of(row: Row, column: str, refuse: Refuse) -> float | None:
    """Return the number in a column; None where that is refused."""
    value = row.values.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        refuse(MissingLabelError(f"{row.where}: {column!r} is empty; give the row a score, or remove it"))
        return None
    number = float(value) if isinstance(value, bool) else number_of(value)
    if number is None:
        remedy = "write how similar the texts are, or keep the rows of similar texts and leave the column out"
        refuse(DataError(f"{row.where}: {column!r} is {value!r}, which is no score; {remedy}"))
    return number


def in_halves(examples: Iterable[SimilarityExample]) -> list[SimilarityExample]:
    """Turn texts alone into pairs of their halves, which are to find each other; texts of a few words are left out."""
    found = []
    for example in examples:
        words = example.text.split()
        if example.other is not None:
            found.append(example)
        elif len(words) >= LEAST_WORDS:
            middle = len(words) // 2
            found.append(SimilarityExample(" ".join(words[:middle]), " ".join(words[middle:])))
    return found


def scale_of(scores: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the scale that scores are on: the narrowest usual one, or else what they reach."""
    low, high = min(scores), max(scores)
    known = ((bottom, top) for bottom, top in SCALES if bottom <= low and high <= top)
    return next(known, (low, high) if low >= 0 else (-max(-low, high), max(-low, high)))


def similarity_remarks(examples: Sequence[tuple[str, SimilarityExample]]) -> list[Remark]:
    """Return what is odd about pairs and triplets; `examples` with where they are."""
    pairs = [(where, each) for where, each in examples if each.other is not None and each.score is None]
    same = [where for where, each in pairs if normal(each.text) == normal(each.other or "")]
    unlike = [where for where, each in pairs if not set(map(normal, each.negatives)).isdisjoint(similar_in(each))]
    found = [
        remark("same text", same, "pairs of a text with itself", "Remove them: they teach nothing."),
        remark(
            "negative",
            unlike,
            "a negative that is the text itself, or its positive",
            "Remove it: the same text cannot be similar and not.",
        ),
    ]
    return [each for each in found if each is not None]


def similar_in(example: SimilarityExample) -> set[str]:
    return {normal(example.text), normal(example.other or "")}


def are_scored(examples: Sequence[SimilarityExample]) -> bool:
    return any(example.score is not None for example in examples)
