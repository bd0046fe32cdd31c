"""Which columns of a CoNLL file hold the words and their tags, by what stands in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# `O`, or a place in an entity with a type, in the spellings that `app.tasks.schemes` reads.
TAG = re.compile(r"[Oo]|[BIESLUMWbieslumw][-_.:/|]\S.*|.*\S[-_.:/|][BIESLUMW]")
INDEX = re.compile(r"\d+(?:[-.]\d+)?")  # of CoNLL-U: 3, 3-4 for what two words are written as, 3.1 for an omitted one
CONLLU_COLUMNS = 10
MISC = 9  # column of CoNLL-U with KEY=VALUE pairs
LEAST_SHARE = 0.5  # of the values of a column that are tags
SURE_SHARE = 0.9  # from which on a column is as good as any before it
MOST_TYPES = 0.25  # different values of a column of bare types, to its length

# What columns are usually called, in lower case.
WORD_COLUMNS = ("tokens", "token", "words", "word", "form")
TAG_COLUMNS = ("ner_tags", "ner_tag", "tags", "tag", "ner", "labels", "label", "bio", "iob")
SENTENCE_COLUMNS = (
    *("sentence #", "sentence_id", "sentence id", "sent_id", "sentence_idx", "sentence", "sentence number"),
    *("sentence_number", "sentence_no", "sent", "sid", "sentence#"),
)

Columns = Sequence[str]


@dataclass(frozen=True)
class Layout:
    """Where the parts of a line are. `word` and `tag` count from the line's end, as a word may hold a space.

    `width`: columns of most lines, `spaced_width` of those without a tab. `key`: that of the tag among the pairs of
    the MISC column.
    """

    width: int
    word: int
    tag: int
    key: str = ""
    is_indexed: bool = False
    spaced_width: int = 0

    @property
    def begins_with_word(self) -> bool:
        return self.word == -self.width

    def split(self, line: str) -> list[str]:
        """Return the columns of a line; where spaces part them, what is too much belongs to the first one."""
        columns = columns_of(line)
        surplus = len(columns) - (self.spaced_width or self.width)
        if surplus > 0 and "\t" not in line and self.begins_with_word:
            return [" ".join(columns[: surplus + 1]), *columns[surplus + 1 :]]
        return columns

    def read(self, columns: Columns) -> tuple[str, str] | None:
        """Return the word and the tag of a line; None where it lacks one of them."""
        if len(columns) < 2:
            return None
        is_first = self.begins_with_word or len(columns) < -self.word
        word = columns[0] if is_first else columns[self.word]
        tag = columns[self.tag] if len(columns) >= -self.tag else columns[-1]
        if self.key:
            tag = dict(pairs_of(tag)).get(self.key, "O")
        return (word, tag) if word and tag else None

    def is_no_word(self, columns: Columns) -> bool:
        """Say whether a line of CoNLL-U stands for several words, or for one that is not written."""
        return self.is_indexed and not columns[0].isdigit() and INDEX.fullmatch(columns[0]) is not None


def columns_of(line: str) -> list[str]:
    """Return the columns of a line: between tabs where it has one, and else between spaces of ASCII."""
    if "\t" in line:
        return [column.strip(" ") for column in line.strip("\r\n").split("\t")]
    return [column for column in re.split(r"[ \r\n]+", line) if column]


def is_header(columns: Columns) -> bool:
    """Say whether a line names the columns of words and tags, in a file that has no column for the sentence."""
    names = {column.lower() for column in columns}
    return (
        not names.isdisjoint(WORD_COLUMNS) and not names.isdisjoint(TAG_COLUMNS) and names.isdisjoint(SENTENCE_COLUMNS)
    )


def find_layout(rows: Sequence[Columns]) -> Layout | None:
    """Return the layout of lines that were cut into columns; None where no column holds tags.

    Of several columns of tags it is the last, as CoNLL-2003 has chunks before entities. Bare types such as `PER` are
    tags of the scheme IO: a column that has `O` and few different values.
    """
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    if width < 2:
        return None
    usual = [row for row in rows if len(row) == width]
    is_indexed = width > 2 and sum(INDEX.fullmatch(row[0]) is not None for row in usual) > 0.9 * len(usual)
    is_indexed = is_indexed and counts_up([row[0] for row in usual])
    if is_indexed and width == CONLLU_COLUMNS and (key := tag_key([row[MISC] for row in usual])):
        return Layout(width, 1 - width, MISC - width, key, is_indexed)
    first = 1 if is_indexed else 0
    columns = [[row[index] for row in usual] for index in range(width)]
    tag = tag_column(columns[first:])
    if tag is None:
        return None
    word = first + 1 if tag == 0 else first
    return Layout(width, word - width, first + tag - width, is_indexed=is_indexed)


def tag_column(columns: Sequence[Columns]) -> int | None:
    shares = [sum(map(is_tag, column)) / len(column) for column in columns]
    best = max(range(len(columns)), key=lambda index: (min(shares[index], SURE_SHARE), index))
    if shares[best] >= LEAST_SHARE and has_types(columns[best]):
        return best
    last = Counter(columns[-1])
    is_usual = last.most_common(1)[0][0] == "O" or len(last) <= MOST_TYPES * len(columns[-1])
    return len(columns) - 1 if "O" in last and is_usual and "_" not in last else None


def is_tag(value: str) -> bool:
    return TAG.fullmatch(value) is not None


def has_types(column: Columns) -> bool:
    """Say whether a column of tags has an entity, or is nothing but `O`."""
    return any(is_tag(value) and value not in "Oo" for value in column) or set(column) <= {"O", "o"}


def counts_up(values: Columns) -> bool:
    """Say whether numbers go on by one, or begin anew at 1 or 0, nearly everywhere."""
    numbers = [int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 10]
    steps = [later - earlier == 1 or later in (0, 1) for earlier, later in pairwise(numbers)]
    return bool(numbers) and numbers[0] in (0, 1) and sum(steps) >= 0.9 * len(steps)


def tag_key(values: Columns) -> str:
    """Return the key whose values are tags in a column of `KEY=VALUE|KEY=VALUE`; empty where there is none."""
    found: dict[str, list[str]] = {}
    for value in values:
        for key, each in pairs_of(value):
            found.setdefault(key, []).append(each)
    keys = [key for key, each in found.items() if all(map(is_tag, each)) and has_types(each)]
    return max(keys, key=lambda key: len(found[key]), default="")


def pairs_of(value: str) -> list[tuple[str, str]]:
    return [(key, each) for pair in value.split("|") for key, equals, each in [pair.partition("=")] if equals]
