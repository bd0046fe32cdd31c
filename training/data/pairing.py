"""Which columns of a table hold a text, what is similar to it, what is not, and how similar: by name, or by content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from training.config import DataConfig
from training.data.cells import unfolded
from training.data.errors import MissingColumnError
from training.data.formats import Row
from training.data.labels import number_of

LOOKED_AT = 100  # rows by which columns are told apart

# A text and what is similar to it, as data sets call their columns; lower case, with underscores.
POSITIVES = ("positive", "positives", "pos", "entailment")  # names that say that the second text is similar
ANCHORS = ("anchor", "query", "question", "sentence", "text", "premise", "sent0")
OTHER_PAIRS = (
    *(("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("sentence_a", "sentence_b"), ("sent1", "sent2")),
    *(("sent0", "sent1"), ("text1", "text2"), ("text_1", "text_2"), ("text_a", "text_b"), ("text", "text_pair")),
    *(("question1", "question2"), ("question_1", "question_2"), ("premise", "hypothesis"), ("s1", "s2")),
    *(("query", "answer"), ("query", "passage"), ("query", "document"), ("query", "text"), ("question", "answer")),
    *(("question", "passage"), ("question", "context"), ("title", "abstract"), ("title", "body"), ("title", "text")),
    *(("document", "summary"), ("text", "summary"), ("text", "simplified"), ("sentence", "paraphrase")),
)
PAIRS = (*((anchor, positive) for positive in POSITIVES for anchor in ANCHORS), *OTHER_PAIRS)
NEGATIVE = re.compile(r"(hard_?)?neg(ative)?s?_?(text|passage|document|sentence|\d+)?|contradiction|hard_neg")
SCORES = (
    *("score", "similarity_score", "similarity", "relatedness_score", "relatedness", "gold_score", "rating"),
    *("label", "labels", "is_duplicate", "gold_label"),
)
LISTS = ("set", "texts", "sentences")  # of a list with a text, what is similar to it, and what is not
NUMBERING = re.compile(r"(.*_)?(id|idx|index|number|no|line|row|year|count|length)\d?|unnamed:?_?\d*|")


@dataclass(frozen=True)
class Roles:
    """What the columns are. `listed`: the one that has all texts of a row as a list, which then is the only one."""

    anchor: str
    positive: str | None = None
    negatives: tuple[str, ...] = ()
    score: str | None = None
    listed: str | None = None

    def __str__(self) -> str:
        """Say it, as a log does."""
        if self.listed is not None:
            return f"lists of similar texts in {self.listed!r}"
        if self.positive is None:
            return f"texts alone, in {self.anchor!r}"
        parts = [f"{self.anchor!r} with {self.positive!r}"]
        parts += [f"unlike {', '.join(map(repr, self.negatives))}"] if self.negatives else []
        parts += [f"as similar as {self.score!r} says"] if self.score is not None else []
        return "pairs: " + ", ".join(parts)


def roles_of(found: Sequence[Row], data: DataConfig) -> Roles:
    """Return what the columns of some rows are. Raises `MissingColumnError` where nothing says it."""
    columns = list(dict.fromkeys(name for row in found for name in row.values))
    named = {as_name(column): column for column in reversed(columns)}
    negatives = tuple(column for column in columns if NEGATIVE.fullmatch(as_name(column)))
    if data.text_pair_column is not None:
        return Roles(data.text_column, data.text_pair_column, negatives, score_among(named, data))
    for anchor, positive in PAIRS:
        if anchor in named and positive in named:
            says_so = positive in POSITIVES and (negatives or data.label_column is None)
            score = None if says_so else score_among(named, data)
            return Roles(named[anchor], named[positive], negatives if score is None else (), score)
    for name in LISTS:
        if name in named and all(isinstance(unfolded(row.values.get(named[name])), list) for row in found):
            return Roles(named[name], listed=named[name])
    return by_content(found, columns, data)


def as_name(column: str) -> str:
    return re.sub(r"[\s.-]+", "_", column.strip().lower())


def score_among(named: Mapping[str, str], data: DataConfig) -> str | None:
    """Return the column of scores, that of the recipe before any other."""
    if data.label_column is not None:
        return data.label_column
    return next((named[name] for name in SCORES if name in named), None)


def by_content(found: Sequence[Row], columns: Sequence[str], data: DataConfig) -> Roles:
    """Tell columns of texts from columns of numbers: a text alone, a pair, a pair with a score, or a triplet."""
    if data.text_column != "text":  # which is the default
        return Roles(data.text_column)
    texts = [name for name in columns if is_text(values_of(found, name))]
    numbers = [name for name in columns if is_score(name, values_of(found, name))]
    if len(texts) == 1:
        return Roles(texts[0])
    score = data.label_column or (numbers[0] if len(numbers) == 1 else None)
    if len(texts) == 2 and len(numbers) <= 1:
        return Roles(texts[0], texts[1], score=score)
    if len(texts) == 3 and not numbers:
        return Roles(texts[0], texts[1], (texts[2],))
    where, names = (found[0].where, ", ".join(map(repr, columns[:20]))) if found else ("the file", "nothing")
    raise MissingColumnError(
        f"{where}: no pair of texts among the columns {names}; call them anchor, positive and negative, or sentence1, "
        "sentence2 and score, or name them with data.text_column, data.text_pair_column and data.label_column"
    )


def values_of(found: Iterable[Row], column: str) -> list[object]:
    """Return what some rows have in a column, empty cells left out."""
    values = (row.values.get(column) for row in found)
    return [value for value in values if value is not None and value != ""]


def is_text(values: Sequence[object]) -> bool:
    """Whether a column has texts: of several words in half of its rows, and not the same everywhere."""
    texts = [value for value in values if isinstance(value, str) and number_of(value) is None]
    spaced = [text for text in texts if len(text.split()) > 1 or len(text) > 40]  # languages without spaces
    return bool(texts) and len(texts) > 0.9 * len(values) and len(spaced) >= 0.5 * len(texts) and varies(texts)


def varies(texts: Sequence[str]) -> bool:
    return len(texts) == 1 or len(set(texts)) > 1


def is_score(column: str, values: Sequence[object]) -> bool:
    """Whether a column has numbers that do not count rows."""
    return bool(values) and NUMBERING.fullmatch(as_name(column)) is None and None not in map(number_of, values)
