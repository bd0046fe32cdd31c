"""What a split is made of: the parts of its file that can be left out one by one, and how those that stay are written.

A row of a table; of CoNLL a sentence with its comments; of a table with a word in each row the rows of a sentence; of
plain text a line. What is written is read as what it was read from.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from training.config import DataConfig
from training.data import DataError, HubSplit, Item, Part, Source
from training.data.annotations import Annotated, annotated
from training.data.formats import FORMATS, Row, Table, format_of
from training.data.formats.separated import Separated
from training.data.tables import rows
from training.data.tagged_rows import columns_of, sentence_column


@dataclass(frozen=True)
class Piece:
    """`places`: FILE:LINE, or the like, of what is in it. `content`: a row, the rows of a sentence, or lines.

    `texts`: the texts of a row that holds several.
    """

    places: tuple[str, ...]
    content: tuple[Row, ...] | str
    texts: tuple[Annotated, ...] = ()


class Written(NamedTuple):
    """A file to write: the suffix of its name, its format, and its text."""

    suffix: str
    format: str
    text: str


def pieces_of(source: Source, data: DataConfig, part: Part) -> list[Piece]:
    """Return the pieces of a split that was read as `part`, in order. Raises `DataError` for the whole file."""
    has_sentences = any(item.word_count for item in part.items)
    if isinstance(source, HubSplit) or isinstance(format_of(source, data), Table):
        found = list(rows(source, data, lambda error: None))
        begins = {item.where for item in part.items}
        return of_words(found, data) if has_sentences and is_of_words(found, data, begins) else of_rows(found, data)
    return of_sentences(source, data) if has_sentences else of_lines(source, data)


def of_rows(found: Iterable[Row], data: DataConfig) -> list[Piece]:
    pieces = []
    for row in found:
        texts = annotated(row, data, lambda error: None) or []
        pieces.append(Piece((row.where,), (row,), tuple(texts) if len(texts) > 1 else ()))
    return pieces


def is_of_words(found: Sequence[Row], data: DataConfig, begins: set[str]) -> bool:
    """Say whether the rows are words, a few of which begin the sentences that were read."""
    return len(found) > len(begins) and None not in (*columns_of(found[0], data), sentence_column(found[0], data))


def of_words(found: Sequence[Row], data: DataConfig) -> list[Piece]:
    """Return the sentences of a table with a word in each row; an empty number goes on with the one before."""
    column = sentence_column(found[0], data)
    assert column is not None
    groups: list[list[Row]] = []
    current: object = None
    for row in found:
        number = row.values.get(column)
        if not groups or (number not in (None, "") and number != current):
            groups.append([])
            current = number
        groups[-1].append(row)
    return [Piece(tuple(row.where for row in group), tuple(group)) for group in groups]


def of_sentences(path: Path, data: DataConfig) -> list[Piece]:
    """Return the sentences of CoNLL, each with the empty lines after it."""
    pieces: list[Piece] = []
    numbered = enumerate(lines_of(path, data), start=1)
    for is_empty, group in groupby(numbered, key=lambda each: not each[1].strip()):
        some = list(group)
        places, text = tuple(f"{path}:{number}" for number, _ in some), "".join(line for _, line in some)
        if is_empty and pieces:
            pieces[-1] = Piece(pieces[-1].places, f"{pieces[-1].content}{text}")
        else:
            pieces.append(Piece(places, text))
    return pieces


def of_lines(path: Path, data: DataConfig) -> list[Piece]:
    return [Piece((f"{path}:{number}",), line) for number, line in enumerate(lines_of(path, data), start=1)]


def lines_of(path: Path, data: DataConfig) -> Iterator[str]:
    """Yield the lines of a file, each with its end."""
    for line in FORMATS["conll"].lines(path, data, lambda error: None):
        yield line.rstrip("\r\n") + "\n"


# --- Writing ----------------------------------------------------------------------------------------------------


def written(pieces: Sequence[Piece], source: Source, data: DataConfig) -> Written:
    """Return pieces as a file: lines as they were, separated values as such, other tables as JSON lines."""
    kind = None if isinstance(source, HubSplit) else format_of(source, data)
    if kind is not None and not isinstance(kind, Table):
        suffix = ".txt" if isinstance(source, Path) and data.format_by_suffix(source) == "text" else ".conll"
        return Written(suffix, kind.name, "".join(str(piece.content) for piece in pieces))
    kept = [row for piece in pieces for row in piece.content if isinstance(row, Row)]
    if isinstance(kind, Separated) and isinstance(source, Path) and not any(piece.texts for piece in pieces):
        return as_separated(kept, kind.delimiter(source, data))
    is_ascii = data.encoding is not None  # a file may have escapes for what its encoding has not
    return Written(".jsonl", "jsonl", "".join(as_json(row.values, is_ascii=is_ascii) + "\n" for row in kept))


def as_separated(kept: Sequence[Row], delimiter: str) -> Written:
    names = list(dict.fromkeys(name for row in kept for name in row.values))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, names, lineterminator="\n", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(row.values for row in kept)
    name = "tsv" if delimiter == "\t" else "csv"
    return Written(f".{name}", name, stream.getvalue())


def as_json(values: object, *, is_ascii: bool = False) -> str:
    return json.dumps(values, ensure_ascii=is_ascii, default=str)


def plain(piece: Piece, kept: Sequence[Item], data: DataConfig) -> Piece:
    """Return a piece of several texts with those alone that are kept, a row each: a text with its spans or choices."""
    labels = {item.text: item.labels for item in kept}
    found = [values_of(each, labels[each.text], data) for each in piece.texts if each.text in labels]
    return Piece(piece.places, tuple(Row(piece.places[0], values) for values in found))


def values_of(found: Annotated, labels: Sequence[str], data: DataConfig) -> dict[str, Any]:
    """Return the row of a text, with its choices where these are the labels that were read of it."""
    if found.marks is None or (found.choices is not None and set(found.choices) == set(labels)):
        return {data.text_column: found.text, data.label_column or "labels": list(found.choices or ())}
    marks = [{"start": mark.start, "end": mark.end, "label": mark.kind} for mark in found.marks]
    return {data.text_column: found.text, "spans": marks}


def where_of(error: DataError, source: Source, places: Set[str] = frozenset()) -> str | None:
    """Return FILE:LINE of what was refused, one of `places` if it is there; None where that is the whole file."""
    text = str(error)
    ends = [found.start() for found in re.finditer(": ", text)]
    if known := next((text[:end] for end in ends if text[:end] in places), None):
        return known
    where = next((text[:end] for end in ends if text.startswith(f"{source}:")), "")
    return where if where.removeprefix(f"{source}:")[:1].isdigit() else None
