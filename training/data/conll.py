"""Sentences of words and tags: CoNLL columns, or lists in the rows of a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import DataConfig, TagScheme
from training.data.errors import DataError, EmptyTextError, IllegalTagError, MissingColumnError, Refuse, stop
from training.data.examples import Sentence
from training.data.files import lines
from training.data.sources import HubSplit, Source
from training.data.tables import Row, rows
from training.data.tags import TagError, find_scheme, respelled, split_tag, to_iob2


@dataclass(frozen=True)
class TaggedWords:
    """Words with their tags, in whatever scheme; `where`: FILE:LINE of each word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: tuple[str, ...]


def tagged_words(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[TaggedWords]:
    """Yield sentences as the source has them; refuses lines and rows that hold no word with a tag."""
    if isinstance(source, HubSplit) or data.format_of(source) not in ("conll", "text"):
        for row in rows(source, data, refuse):
            yield from of_row(row, data, refuse)
    else:
        yield from of_lines(source, refuse)


def read_sentences(
    source: Source,
    limit: int | None = None,
    data: DataConfig | None = None,
    scheme: TagScheme | None = None,
) -> list[Sentence]:
    """Read at most `limit` sentences, their tags turned from `scheme` (found out where not given) into IOB2.

    CoNLL: the token in the first column, its tag in the last; blank lines end sentences; `-DOCSTART-` lines and
    `#` comments before a sentence are skipped. Raises `DataError` on any other line, on a tag that the scheme
    does not have at its place, and when there is no sentence.
    """
    data = data or DataConfig(format="conll")
    found = read_tagged_words(source, data, limit)
    scheme = scheme or data.tag_scheme or find_scheme([each.tags for each in found])
    return [to_sentence(each, scheme) for each in found]


def read_tagged_words(source: Source, data: DataConfig, limit: int | None = None) -> list[TaggedWords]:
    """Read at most `limit` sentences as they are; raises `DataError` on an unusable line and when there is none."""
    found = list(itertools.islice(tagged_words(source, data), limit))
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a token and its tag on each line, or in each row")
    return with_usual_tags(found)


def with_usual_tags(found: Sequence[TaggedWords]) -> list[TaggedWords]:
    """Return sentences with tags as `respelled` writes them."""
    tags = respelled(each.tags for each in found)
    return [replace(each, tags=usual) for each, usual in zip(found, tags, strict=True)]


def to_sentence(found: TaggedWords, scheme: TagScheme) -> Sentence:
    """Return words with IOB2 tags; raises `DataError` at a tag that is illegal in the scheme."""
    try:
        return Sentence(found.words, to_iob2(found.tags, scheme))
    except TagError as error:
        where = found.where[error.index]
        raise IllegalTagError(f"{where}: {error}; correct it, or name the scheme in data.tag_scheme") from None


def of_lines(path: Path, refuse: Refuse) -> Iterator[TaggedWords]:
    sentence: list[tuple[str, str, str]] = []  # word, tag, where
    for number, line in enumerate(itertools.chain(lines(path, refuse), [""]), start=1):
        columns = line.strip("\r\n").split("\t") if "\t" in line else line.split()
        columns = [column.strip() for column in columns]
        if not sentence and is_comment(line, columns):
            continue
        if not any(columns) or columns[0] == "-DOCSTART-":
            if sentence:
                yield TaggedWords(*map(tuple, zip(*sentence, strict=True)))
            sentence = []
        elif len(columns) > 1 and columns[0] and columns[-1]:
            sentence.append((columns[0], columns[-1], f"{path}:{number}"))
        else:
            refuse(DataError(f"{path}:{number}: expected a token and a tag, found {line.strip()!r}"))


def is_comment(line: str, columns: Sequence[str]) -> bool:
    """Whether a line before a sentence is about it, as `# text = ...`, and not a word such as #Berlin with its tag."""
    begins = line.startswith("# ") or (line.startswith("#") and len(columns) == 1)
    return begins and "\t" not in line and columns[1:] != ["O"] and split_tag(columns[-1])[0] == ""


def of_row(row: Row, data: DataConfig, refuse: Refuse) -> Iterator[TaggedWords]:
    columns = []
    for name, setting in ((data.tokens_column, "tokens_column"), (data.tags_column, "tags_column")):
        if name not in row.values:
            names = ", ".join(map(repr, row.values))
            refuse(MissingColumnError(f"{row.where}: no column {name!r}; found {names}: set data.{setting}"))
            return
        columns.append(row.values[name])
    words, tags = columns
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        refuse(DataError(f"{row.where}: {data.tokens_column!r} and {data.tags_column!r} must be lists of one length"))
    elif not all_texts(words) or not words:
        refuse(EmptyTextError(f"{row.where}: {data.tokens_column!r} must hold words that are not empty"))
    elif not all_texts(tags):
        kind = "class names are not in the data, so write" if any(isinstance(each, int) for each in tags) else "write"
        refuse(DataError(f"{row.where}: {data.tags_column!r} holds {tags[0]!r}: {kind} tags such as O and B-PER"))
    else:
        yield TaggedWords(tuple(words), tuple(tags), (row.where,) * len(words))


def all_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
