"""What flows from files to files: rows, the places where they end, and the chunks that are predicted together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.bulk.errors import BulkError
from app.bulk.inputs import Unreadable, first_size, size_of


class Position(NamedTuple):
    """A place between two rows: the number of the file, and how much of it was read.

    `offset` is in bytes of a text file's text, and in rows of Parquet; `number` is that of the last line or row.
    """

    file: int = 0
    offset: int = 0
    number: int = 0


START = Position()


@dataclass(slots=True)
class Row:
    """One row: what is asked about it, its values by column, and how it stands in its file.

    `raw` is the text of a row that can be written again as it stands; `batch` and `index` say where a row of Parquet
    is. A row that could not be parsed has its text as the value of the text column.
    """

    given: Any
    values: Mapping[str, Any]
    raw: str | None = None
    batch: Any = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class RowChunk:
    """Rows, and the place where they end."""

    rows: Sequence[Row]
    end: Position

    @property
    def inputs(self) -> list[Any]:
        return [row.given for row in self.rows]


class Choice(NamedTuple):
    """The columns that are asked about, and the fields that a pair has in a request."""

    text: str
    pair: str | None = None
    fields: tuple[str, str] | None = None

    def given(self, values: Mapping[str, Any]) -> Any:
        """Return a row's input, as a request has it."""
        missing = [name for name in (self.text, self.pair) if name is not None and name not in values]
        if missing:
            return Unreadable(f"there is no {missing[0]!r}")
        text = values[self.text]
        if self.pair is None or self.fields is None:
            return Unreadable(f"{self.text!r} is empty") if is_empty(text) else text
        pair = values[self.pair]
        empty = next((name for name, each in ((self.text, text), (self.pair, pair)) if is_empty(each)), None)
        return Unreadable(f"{empty!r} is empty") if empty else dict(zip(self.fields, (text, pair), strict=True))


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def choose_columns(
    name: str,
    columns: Sequence[str],
    text: str | None,
    pair: str | None,
    fields: tuple[str, str] | None,
    *,
    needs_pair: bool = False,
) -> Choice:
    """Return the columns to ask about: those that are named, else `text`, or the only one.

    Where a model `needs_pair`, columns that are not named are called as the fields of its pairs. Raises `BulkError`
    where there is no such column.
    """
    if pair is not None and fields is None:
        raise BulkError("this model takes one text a row; leave --pair-column out")
    if needs_pair and fields is not None:
        text, pair = text or fields[0], pair or fields[1]
    wanted = text or ("text" if "text" in columns or len(columns) != 1 else columns[0])
    for column, flag in ((wanted, "--text-column"), (pair, "--pair-column")):
        if column is not None and column not in columns and columns:
            known = ", ".join(map(repr, columns))
            raise BulkError(f"{name}: there is no column {column!r} but {known}; choose one with {flag}")
        if column is not None and list(columns).count(column) > 1:
            raise BulkError(f"{name}: there are several columns {column!r}; rename all but one")
    return Choice(wanted, pair, fields)


class Reader(ABC):
    """The rows of files of one format, one file after the other, from any place on."""

    columns: tuple[str, ...]
    choice: Choice

    @abstractmethod
    def rows(self, start: Position = START) -> Iterator[Row]:
        """Yield the rows after `start`. `position` moves along with what was yielded."""

    @property
    @abstractmethod
    def position(self) -> Position:
        """Return the place after the last row that was yielded."""

    @property
    @abstractmethod
    def share(self) -> float | None:
        """Return the share of all files that was read; None where their length is not known."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    def chunks(self, size: int, start: Position = START) -> Iterator[RowChunk]:
        """Yield the rows after `start`, in chunks of about `size`, in the measure of `size_of`; see `first_size`."""
        rows: list[Row] = []
        filled, most = 0, first_size(size) if start == START else size
        for row in self.rows(start):
            rows.append(row)
            filled += size_of(row.given)
            if filled >= most:
                yield RowChunk(rows, self.position)
                rows, filled, most = [], 0, size
        if rows:
            yield RowChunk(rows, self.position)
