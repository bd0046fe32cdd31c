"""JSON: an object on each line, or one array of them, as annotation tools and programs write it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, ClassVar

from training.config import DataConfig, DataFormat
from training.data.errors import DataError, Refuse
from training.data.formats.base import Head, Row, Table

LISTS = ("data", "rows", "records", "examples")  # keys of a file whose rows stand in an object
Numbered = Iterable[tuple[int, str]]


class JsonLines(Table):
    name: ClassVar[DataFormat] = "jsonl"
    is_utf8 = True

    def recognizes(self, head: Head) -> bool:
        """Say yes where the first line is a JSON object or array, or opens an array of objects over several lines."""
        text = "\n".join(head.lines).lstrip()
        if text.startswith("["):
            return text[1:].lstrip()[:1] in tuple('{["]') and (head.named == self.name or is_json(text))
        return text.startswith("{") and is_json(text)

    def dialect(self, path: Path, data: DataConfig) -> list[str]:
        is_array = "".join(Head(path, data, self.name).lines[:1]).lstrip().startswith("[")
        return (["a JSON array"] if is_array else []) + super().dialect(path, data)

    def texts_at(self, path: Path, data: DataConfig, numbers: Set[int]) -> dict[int, str]:
        """Return lines, or the items of an array as JSON: refusals count these."""
        numbered = filled(self.lines(path, data, lambda error: None))
        first = list(itertools.islice(numbered, 2))
        if not is_whole(first):
            return super().texts_at(path, data, numbers)
        items = items_of(json.loads("".join(line for _, line in itertools.chain(first, numbered))))
        return {number: json.dumps(item) for number, item in enumerate(items, start=1) if number in numbers}

    def rows(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[Row]:
        numbered = filled(self.lines(path, data, refuse))
        first = list(itertools.islice(numbered, 2))
        if is_whole(first):
            text = "".join(["\n" * (first[0][0] - 1), *(line for _, line in itertools.chain(first, numbered))])
            return rows_of_text(path, text, refuse)
        return rows_of_lines(path, itertools.chain(first, numbered), refuse)


def is_json(text: str) -> bool:
    """Say whether a text begins with a JSON value, or with one that is cut short."""
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        return isinstance(error, json.JSONDecodeError) and error.pos > len(text) - 2**10 and len(text) > 2**12
    return True


def filled(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines that are not blank, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def is_whole(first: Sequence[tuple[int, str]]) -> bool:
    """Say of the first two lines of a file whether it has one value of several lines, or all rows in its only line."""
    if not first:
        return False
    line, is_only = first[0][1], len(first) == 1
    try:
        value = json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return line.strip() in ("{", "[") or line.lstrip().startswith("[")
    return is_only and (is_array_of_rows(value) or is_wrapper(value))


def is_array_of_rows(value: object) -> bool:
    return isinstance(value, list) and not is_pair(value)


def is_pair(value: object) -> bool:
    """Say whether a value is a text with an object, as spaCy's training data was written."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def is_wrapper(value: object) -> bool:
    """Say whether an object is no row but has them."""
    return isinstance(value, dict) and wrapped(value) is not None


def wrapped(value: dict[str, Any]) -> list[object] | None:
    """Return the rows of an object: pairs of a text and its entities, a list `data`, or the columns of pandas."""
    pairs = value.get("annotations")
    if isinstance(pairs, list) and any(map(is_pair, pairs)):
        return pairs
    for name in LISTS:
        rows = value.get(name)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            return rows
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(each, dict) and each.keys() == columns[0].keys() for each in columns):
        return [{name: column[key] for name, column in value.items()} for key in columns[0]]
    return None


def rows_of_lines(path: Path, numbered: Numbered, refuse: Refuse) -> Iterator[Row]:
    for number, line in numbered:
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            refuse(DataError(f"{where}: not valid JSON: {error}; put one whole object on each line"))
            continue
        yield from row_of(where, value, "put one on each line", refuse)


def rows_of_text(path: Path, text: str, refuse: Refuse) -> Iterator[Row]:
    """Yield the items of one array, or of the one that an object has; `where` counts them from 1."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise DataError(f"{path}: not valid JSON: {error}; write it again") from error
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{path}:{line}: not valid JSON: {error}; write one array of objects, or one a line") from error
    for number, item in enumerate(items_of(value), start=1):
        if item is not None:
            yield from row_of(f"{path}:{number}", item, "make each item of the array one", refuse)


def items_of(value: Any) -> Sequence[object]:
    if isinstance(value, dict):
        return wrapped(value) or [value]
    return value if isinstance(value, list) else [value]


def row_of(where: str, value: Any, remedy: str, refuse: Refuse) -> Iterator[Row]:
    """Yield the row of an object, or of a pair of a text and an object."""
    if is_pair(value):
        value = {"text": value[0]} | value[1]
    if not isinstance(value, dict):
        refuse(DataError(f"{where}: expected a JSON object, found {type(value).__name__}; {remedy}"))
    elif has_half_characters(value):
        refuse(DataError(f"{where}: not valid JSON: half of a surrogate pair is escaped; write whole characters"))
    else:
        yield Row(where, value)


def has_half_characters(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return True
    return False
