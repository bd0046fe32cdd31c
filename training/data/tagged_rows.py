"""Sentences in tables: lists of words and tags in a row, a word in each row, or a text with marked spans."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from training.config import DataConfig
from training.data.annotations import annotated, say_skipped, tool_of
from training.data.cells import unfolded
from training.data.columns import SENTENCE_COLUMNS, TAG_COLUMNS, WORD_COLUMNS, is_tag
from training.data.errors import DataError, EmptyTextError, MissingColumnError, Refuse
from training.data.examples import TaggedWords
from training.data.formats import Row
from training.data.spans import of_marks


def of_rows(rows: Iterator[Row], data: DataConfig, refuse: Refuse) -> Iterator[TaggedWords]:
    """Yield the sentences of a table; refuses rows that hold none."""
    for first in itertools.islice(rows, 1):
        rows = itertools.chain([first], rows)
        word, tag = columns_of(first, data)
        sentence = sentence_column(first, data)
        if word and tag and sentence and is_one_word(first.values[word], first.values[tag]):
            yield from of_words(rows, word, tag, sentence, refuse)
            return
        skipped: Counter[str] = Counter()
        for row in rows:
            yield from of_row(row, data, refuse, skipped)
        say_skipped(first.where.rpartition(":")[0], skipped)


def columns_of(row: Row, data: DataConfig) -> tuple[str | None, str | None]:
    """Return the columns of words and tags: those that the recipe names, or else such as are usual."""
    return (
        named(row, data.tokens_column, WORD_COLUMNS, "tokens"),
        named(row, data.tags_column, TAG_COLUMNS, "ner_tags"),
    )


def named(row: Row, wanted: str, usual: Sequence[str], default: str) -> str | None:
    if wanted in row.values:
        return wanted
    lower = {name.lower(): name for name in reversed([*row.values])} if wanted == default else {}
    return next((lower[name] for name in usual if name in lower), None)


def sentence_column(row: Row, data: DataConfig) -> str | None:
    if data.sentence_column is not None:
        return data.sentence_column if data.sentence_column in row.values else None
    lower = {name.lower(): name for name in row.values}
    return next((lower[name] for name in SENTENCE_COLUMNS if name in lower), None)


def is_one_word(word: object, tag: object) -> bool:
    return isinstance(word, str) and isinstance(tag, str) and is_tag(tag.strip()) and not tag.strip().startswith("[")


def of_words(rows: Iterator[Row], word: str, tag: str, sentence: str, refuse: Refuse) -> Iterator[TaggedWords]:
    """Yield the sentences of a table with a word in each row; an empty number goes on with the sentence before."""
    current: object = None
    found: list[tuple[str, str, str]] = []
    for row in rows:
        number = row.values.get(sentence)
        if number not in (None, "") and number != current:
            yield from ended(found)
            current, found = number, []
        pair = text_in(row.values, word), text_in(row.values, tag).strip()
        if pair[0].strip() and pair[1]:
            found.append((*pair, row.where))
        else:
            refuse(DataError(f"{row.where}: expected a word in {word!r} and its tag in {tag!r}; write both"))
    yield from ended(found)


def ended(found: list[tuple[str, str, str]]) -> Iterator[TaggedWords]:
    if found:
        words, tags, places = zip(*found, strict=True)
        yield TaggedWords(words, tags, places)


def text_in(values: Mapping[str, object], column: str) -> str:
    value = values.get(column)
    return "" if value is None else str(value)


def of_row(row: Row, data: DataConfig, refuse: Refuse, skipped: Counter[str]) -> Iterator[TaggedWords]:
    word, tag = columns_of(row, data)
    listed = tag is not None and isinstance(unfolded(row.values[tag]), list)
    is_named = data.tokens_column in row.values and data.tags_column in row.values
    if word is not None and tag is not None and (listed or is_named) and not has_marks(row, data):
        yield from of_lists(row, word, tag, refuse)
    elif (texts := annotated(row, data, refuse)) is not None:
        if not texts and (tool := tool_of(row)) is not None:
            skipped[tool.name] += 1
        for each in texts:
            if each.marks is None:
                refuse(DataError(f"{row.where}: holds labels of whole texts, no spans; train it as a classification"))
            else:
                yield from of_marks(row.where, each.text, each.marks, refuse)
    else:
        refuse(no_columns(row, data))


def has_marks(row: Row, data: DataConfig) -> bool:
    """Say whether a row has a text with marked spans beside the words that were made of it."""
    return data.tags_column not in row.values and data.text_column in row.values and annotated(row, data) is not None


def no_columns(row: Row, data: DataConfig) -> MissingColumnError:
    names = ", ".join(repr(name[:40]) for name in list(row.values)[:20])
    wanted = ((data.tokens_column, "tokens_column"), (data.tags_column, "tags_column"))
    missing, setting = next(((name, key) for name, key in wanted if name not in row.values), wanted[0])
    hint = ""
    word, tag = columns_of(row, data)
    if word and tag and sentence_column(row, data) is None:
        hint = "; where each row is a word, set data.sentence_column too"
    return MissingColumnError(f"{row.where}: no column {missing!r}; found {names}: set data.{setting}{hint}")


def of_lists(row: Row, word: str, tag: str, refuse: Refuse) -> Iterator[TaggedWords]:
    words, tags = unfolded(row.values[word]), unfolded(row.values[tag])
    if isinstance(words, str) and isinstance(tags, list):
        words = words.split()  # a text whose words are between spaces
    elif isinstance(words, str) and isinstance(tags, str) and len(words.split()) == len(tags.split()) > 1:
        words, tags = words.split(), tags.split()
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        refuse(DataError(f"{row.where}: {word!r} and {tag!r} must be lists of one length"))
    elif not all_texts(words) or not words:
        refuse(EmptyTextError(f"{row.where}: {word!r} must hold words that are not empty"))
    elif not all_texts(tags):
        kind = "class names are not in the data, so write" if any(isinstance(each, int) for each in tags) else "write"
        refuse(DataError(f"{row.where}: {tag!r} holds {tags[0]!r}: {kind} tags such as O and B-PER"))
    else:
        yield TaggedWords(tuple(words), tuple(tags), (row.where,) * len(words))


def all_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
