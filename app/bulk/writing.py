"""Rows with their answers as text: CSV, TSV and JSON lines. What a row has besides stands as it did."""

from __future__ import annotations

import gzip
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from app.bulk.errors import BulkError
from app.bulk.formats import Format
from app.bulk.inputs import Prediction
from app.bulk.rows import Row

ERROR = "error"
PREFIX = "predicted_"  # of the names of answers where a column has one of these already
LEVEL = 6  # of gzip


class Number(str):
    """A number of JSON, as it is written."""


class Naming:
    """The names that answers have as columns of a file: those of the task and `error`, with a prefix.

    Where no prefix is given, there is none, unless one of the names is taken. Raises `BulkError` where one still is.
    """

    def __init__(self, answers: Mapping[str, Any], columns: Sequence[str], prefix: str | None) -> None:
        names = [*answers, ERROR]
        is_taken = not set(names).isdisjoint(columns)
        self.prefix = prefix if prefix is not None else PREFIX if is_taken else ""
        self.types = {self.prefix + name: kind for name, kind in answers.items()}
        self.error = self.prefix + ERROR
        self.names = (*self.types, self.error)
        self.of = {name: self.prefix + name for name in answers}
        if taken := sorted(set(self.names) & set(columns)):
            raise BulkError(f"there is a column {taken[0]!r} already; name the answers with another --prefix")

    def cells(self, prediction: Prediction) -> dict[str, Any]:
        """Return what a prediction puts into each column."""
        cells = prediction.cells or {}
        return {**{name: cells.get(own) for own, name in self.of.items()}, self.error: prediction.error}


class Writer(ABC):
    """Renders rows. What `begin` and `render` return, one after the other, is the content of the output."""

    columns: tuple[str, ...]
    naming: Naming

    @abstractmethod
    def begin(self) -> bytes:
        """Return what goes before the first row."""

    @abstractmethod
    def render(self, rows: Sequence[Row], predictions: Sequence[Prediction]) -> bytes:
        """Return rows with what was predicted for them."""

    def complete(self, rows: Path) -> Path:
        """Return the file of the output in its final form, made from that of everything that was rendered."""
        return rows


class TextWriter(Writer):
    """Text in UTF-8, gzip or not. Every chunk is a gzip member of its own, so that writing can go on after any."""

    def __init__(self, columns: Sequence[str], naming: Naming, *, compress: bool) -> None:
        self.columns, self.naming, self._compress = tuple(columns), naming, compress

    def begin(self) -> bytes:
        return self._encoded(self.head())

    def render(self, rows: Sequence[Row], predictions: Sequence[Prediction]) -> bytes:
        return self._encoded("".join(map(self.line, rows, predictions)))

    def _encoded(self, text: str) -> bytes:
        raw = text.encode(errors="backslashreplace")  # JSON may escape half of a surrogate pair, which UTF-8 has not
        return gzip.compress(raw, LEVEL, mtime=0) if self._compress and raw else raw

    @abstractmethod
    def head(self) -> str: ...

    @abstractmethod
    def line(self, row: Row, prediction: Prediction) -> str: ...


class TableWriter(TextWriter):
    """Rows of cells. Lists and objects stand as JSON in a cell.

    With the `head` of the file that is read, rows are written as they stand there, with further cells.
    """

    def __init__(
        self,
        columns: Sequence[str],
        naming: Naming,
        delimiter: str,
        *,
        head: str | None = None,
        reads_json: bool = False,
        compress: bool = False,
    ) -> None:
        super().__init__(columns, naming, compress=compress)
        self._reads_json = reads_json
        if head is None and len(set(columns)) < len(columns):
            raise BulkError("two columns have one name; rename one, or write the format that is read")
        self._delimiter, self._keeps_raw = delimiter, head is not None
        self._needs_quotes = re.compile(f'["\r\n{re.escape(delimiter)}]')
        self._head = self._join(columns) if head is None else head.rstrip("\r\n")
        self._end = "\r\n" if head is not None and head.endswith("\r\n") else "\n"

    def head(self) -> str:
        return f"{self._head}{self._delimiter}{self._join(self.naming.names)}{self._end}"

    def line(self, row: Row, prediction: Prediction) -> str:
        if row.raw is not None and self._keeps_raw:
            kept = row.raw
        else:
            values, prediction = self._values(row, prediction)
            kept = self._join([values.get(column) for column in self.columns])
        return f"{kept}{self._delimiter}{self._join(self.naming.cells(prediction).values())}{self._end}"

    def _values(self, row: Row, prediction: Prediction) -> tuple[Mapping[str, Any], Prediction]:
        unknown = next((key for key in row.values if key not in self.columns), None)
        if unknown is not None and not self._keeps_raw:
            problem = f"the row has {unknown!r}, which the first row has not; write JSON lines, which take it"
            prediction = Prediction(None, problem)
        return (literal(row) if self._reads_json and row.raw is not None else row.values), prediction

    def _join(self, cells: Any) -> str:
        return self._delimiter.join(map(self._cell, cells))

    def _cell(self, value: Any) -> str:
        text = cell_text(value)
        return '"' + text.replace('"', '""') + '"' if self._needs_quotes.search(text) else text


class JsonWriter(TextWriter):
    """JSON lines. With `keeps_raw`, objects are written as they stand, with further keys."""

    def __init__(self, columns: Sequence[str], naming: Naming, *, keeps_raw: bool, compress: bool = False) -> None:
        super().__init__(columns, naming, compress=compress)
        self._keeps_raw = keeps_raw

    def head(self) -> str:
        return ""

    def line(self, row: Row, prediction: Prediction) -> str:
        cells = self.naming.cells(prediction)
        if not cells.keys().isdisjoint(row.values):
            cells = self._without_taken(cells, row)
        if row.raw is None or not self._keeps_raw:
            return json_text({**row.values, **cells}) + "\n"
        kept = row.raw[:-1].rstrip()
        return f"{kept}{'' if kept == '{' else ', '}{json_text(cells)[1:]}\n"

    def _without_taken(self, cells: dict[str, Any], row: Row) -> dict[str, Any]:
        """Keep what the row itself says: its answer is that it has a key of one."""
        taken = [name for name in cells if name in row.values]
        if self.naming.error in taken:
            raise BulkError(f"a row has the key {self.naming.error!r}, which the first has not; set --prefix")
        problem = f"the row has {taken[0]!r} already, which the first row has not; set --prefix"
        return {**{name: None for name in cells if name not in taken}, self.naming.error: problem}


def cell_text(value: Any) -> str:
    """Return a value as a cell: nothing for null, a text as it is, everything else as JSON has it."""
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else json_text(value).strip('"')  # NaN is not itself


def json_text(value: Any) -> str:
    return to_json(value, bytes_mode="base64", fallback=str).decode()


def literal(row: Row) -> dict[str, Any]:
    """Return the values of a row of JSON lines with numbers as they are written there, however long."""
    assert row.raw is not None
    found = json.loads(row.raw, parse_int=Number, parse_float=Number)
    return {key: found[key] if isinstance(found[key], Number) else value for key, value in row.values.items()}


def text_writer(
    kind: Format,
    columns: Sequence[str],
    naming: Naming,
    *,
    read_as: Format,
    delimiter: str,
    head: str | None,
    compress: bool,
) -> TextWriter:
    """Return the writer of a text format. Rows of the format that was read are kept as they stand.

    `delimiter` is that of CSV, a comma where it is empty.
    """
    if kind == "jsonl":
        return JsonWriter(columns, naming, keeps_raw=read_as == "jsonl", compress=compress)
    return TableWriter(
        columns,
        naming,
        (delimiter or ",") if kind == "csv" else "\t",
        head=head if read_as == kind else None,
        reads_json=read_as == "jsonl",
        compress=compress,
    )
