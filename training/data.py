"""Reads labelled text into examples: raw text, with labels for all of it or for character spans of it."""

import csv
import gzip
import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO, TypeVar

from training.config import DataConfig
from training.detokenise import natural_gaps

T = TypeVar("T")
Style = Literal["spaced", "natural"]
ModelInput = str | tuple[str, str]  # a text, or a pair of texts
Span = tuple[int, int, str]  # start, end (code points, end exclusive), entity type

_TAG = re.compile(r"O|[BI]-\S+")


class DataError(ValueError):
    """A data file that cannot be used; the message names the file and, where there is one, the line."""


@dataclass(frozen=True)
class ClassificationExample:
    """A text, or a pair of texts, and its labels: exactly one, or any number for multi-label data."""

    text: str
    labels: tuple[str, ...]
    text_pair: str | None = None
    multi_label: bool = False

    @property
    def model_input(self) -> ModelInput:
        """Return what a tokenizer takes: the text, or the pair of texts."""
        return self.text if self.text_pair is None else (self.text, self.text_pair)


@dataclass(frozen=True)
class Sentence:
    """Words of one sentence with their IOB2 tags, as a CoNLL file has them."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class NerExample:
    """Raw text with its entities; the words and tags that it was rendered from serve evaluation.

    ``spans``: (start, end, type) per entity, in code points, end exclusive.
    ``word_offsets``: (start, end) per word. ``tags``: the IOB2 tag per word.
    """

    text: str
    spans: tuple[Span, ...]
    word_offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]


def read_classification(path: Path, data: DataConfig, limit: int | None = None) -> list[ClassificationExample]:
    """Read JSONL or CSV rows, at most ``limit``; raises ``DataError`` on an unusable row or an empty file."""
    rows = itertools.islice(_rows(path, data), limit)
    return _not_empty(path, [_example(path, line, row, data) for line, row in rows])


def read_sentences(path: Path, limit: int | None = None) -> list[Sentence]:
    """Read a CoNLL file, at most ``limit`` sentences: the token in the first column, its tag in the last.

    Blank lines end sentences; ``-DOCSTART-`` lines and ``#`` comments before a sentence are skipped. Tags are
    IOB; an entity that begins with I- (IOB1) is turned into IOB2. Raises ``DataError`` on any other line.
    """
    return _not_empty(path, list(itertools.islice(_sentences(path), limit)))


def read_ner(path: Path, style: Style | None, seed: int = 0, limit: int | None = None) -> list[NerExample]:
    """Read a CoNLL file and render each sentence in ``style``, or (none) in one chosen by a seeded coin."""
    coin = random.Random(seed)
    styles: tuple[Style, ...] = (style,) if style else ("spaced", "natural")
    return [render(each, coin.choice(styles)) for each in read_sentences(path, limit)]


def read_documents(path: Path, limit: int | None = None) -> list[str]:
    """Read a text file with one document a line, at most ``limit``; blank lines are skipped."""
    with _open(path) as file:
        lines = (line.strip() for line in _decoded(path, file))
        return _not_empty(path, list(itertools.islice(filter(None, lines), limit)))


def label_names(examples: Iterable[ClassificationExample]) -> tuple[str, ...]:
    """Return the labels in use, sorted, so that ids do not depend on the order of the rows."""
    return tuple(sorted({label for example in examples for label in example.labels}))


def tag_names(examples: Iterable[NerExample]) -> tuple[str, ...]:
    """Return ``O``, then ``B-`` and ``I-`` of every entity type in use, types sorted."""
    types = sorted({kind for example in examples for _, _, kind in example.spans})
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))


def legal_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Turn each I- that continues nothing of its own type into B-, in a file's IOB1 or a model's output."""
    legal: list[str] = []
    for previous, tag in zip(("O", *tags), tags, strict=False):
        starts = tag.startswith("I-") and previous[2:] != tag[2:]
        legal.append(f"B-{tag[2:]}" if starts else tag)
    return tuple(legal)


def render(sentence: Sentence, style: Style) -> NerExample:
    """Write the words as raw text, single spaces between all of them or only where prose has them."""
    gaps = natural_gaps(sentence.words) if style == "natural" else [" "] * (len(sentence.words) - 1)
    text, offsets = "", []
    for word, gap in zip(sentence.words, [*gaps, ""], strict=True):
        offsets.append((len(text), len(text) + len(word)))
        text += word + gap
    return NerExample(text, _spans(sentence.tags, offsets), tuple(offsets), sentence.tags)


def _spans(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for tag, (start, end) in zip(tags, offsets, strict=True):
        if tag.startswith("B-"):
            spans.append((start, end, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], end, tag[2:])
    return tuple(spans)


def _sentences(path: Path) -> Iterator[Sentence]:
    words: list[str] = []
    tags: list[str] = []
    with _open(path) as file:
        for number, line in enumerate(itertools.chain(_decoded(path, file), [""]), start=1):
            columns = line.split()
            if not columns or columns[0] == "-DOCSTART-":
                if words:
                    yield Sentence(tuple(words), legal_iob2(tags))
                words, tags = [], []
            elif len(columns) == 1 or not _TAG.fullmatch(columns[-1]):
                if words or not line.startswith("#"):
                    raise DataError(f"{path}:{number}: expected a token and an IOB tag, found {line.strip()!r}.")
            else:
                words.append(columns[0])
                tags.append(columns[-1])


def _rows(path: Path, data: DataConfig) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (line number, row) of a JSONL or CSV file."""
    kind = data.format_of(path)
    with _open(path) as file:
        if kind == "jsonl":
            yield from _json_rows(path, file)
        elif kind == "csv":
            reader = csv.DictReader(_decoded(path, file), strict=True)
            try:
                yield from ((reader.line_num, row) for row in reader)
            except csv.Error as exc:
                raise DataError(f"{path}:{reader.reader.line_num}: not valid CSV: {exc}.") from exc
        else:
            raise DataError(f"{path}: classification reads jsonl or csv, not {kind}.")


def _json_rows(path: Path, file: TextIO) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(_decoded(path, file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as exc:
            raise DataError(f"{path}:{number}: not valid JSON: {exc}.") from exc
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        yield number, row


def _example(path: Path, line: int, row: Mapping[str, object], data: DataConfig) -> ClassificationExample:
    def field(column: str) -> object:
        if row.get(column) is None:
            raise DataError(f"{path}:{line}: no column {column!r}; found {', '.join(map(repr, row))}.")
        return row[column]

    def text(column: str) -> str:
        value = field(column)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{path}:{line}: {column!r} must be a text that is not empty.")
        return value

    label = field(data.label_column)
    multi_label = isinstance(label, list)
    labels = tuple(str(each) for each in label) if isinstance(label, list) else (str(label),)
    if not all(labels):
        raise DataError(f"{path}:{line}: a label in {data.label_column!r} is empty.")
    pair = text(data.text_pair_column) if data.text_pair_column else None
    return ClassificationExample(text(data.text_column), labels, pair, multi_label)


def _open(path: Path) -> TextIO:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as exc:
        raise DataError(f"{path}: cannot be opened: {exc.strerror}.") from exc


def _decoded(path: Path, file: TextIO) -> Iterator[str]:
    try:
        yield from file
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}.") from exc


def _not_empty(path: Path, rows: list[T]) -> list[T]:
    if not rows:
        raise DataError(f"{path}: holds no examples.")
    return rows
