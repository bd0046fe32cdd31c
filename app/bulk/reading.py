"""Rows of text files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from app.bulk.errors import BulkError
from app.bulk.formats import Format
from app.bulk.inputs import Unreadable
from app.bulk.lines import Lines
from app.bulk.records import Record, Records, open_records
from app.bulk.rows import START, Position, Reader, Row

ASCII = ',;\t|"\r\n{}'  # what separates records and cells stands for itself in every encoding that is taken


class Dialect(NamedTuple):
    """How text files are read."""

    kind: Format
    delimiter: str = ""  # of CSV; empty: found out from the first line
    encoding: str = "utf-8"

    def check(self) -> None:
        """Raise `BulkError` for an encoding that Python does not know, or in which lines cannot be told apart, and for
        what cannot separate cells."""
        try:
            is_taken = ASCII.encode(self.encoding) == ASCII.encode()
        except (LookupError, UnicodeError):
            is_taken = False
        if not is_taken:
            raise BulkError(f"--encoding {self.encoding}: it is not known, or not a form of ASCII; convert with iconv")
        if len(self.delimiter) > 1 or self.delimiter in {'"', "\r", "\n"}:
            raise BulkError(f"--separator {self.delimiter!r}: give one sign, which is neither a quote nor a line end")


class TextReader(Reader):
    """The rows of text files, or of standard input where `paths` is empty. All have the same columns."""

    def __init__(self, paths: Sequence[Path], dialect: Dialect) -> None:
        dialect.check()
        self._paths, self._dialect = paths, dialect
        self._sizes = [path.stat().st_size for path in paths]
        self._file = 0
        self._records = self._open(0)
        self.columns, self.head = self._records.columns, self._records.head
        self.has_mark = self._records.lines.has_mark
        self.delimiter: str = getattr(self._records, "delimiter", "")
        try:
            for number in range(1, len(paths) if self.head is not None else 0):
                self._check_columns(number)
        except BulkError:
            self.close()
            raise

    def rows(self, start: Position = START) -> Iterator[Row]:
        if start.file:
            self._records.lines.close()
            self._records = self._open(start.file)
        self._file = start.file
        if start.offset:
            self._records.lines.seek(start.offset, start.number)
        while True:
            yield from map(self._row, self._records)
            if self._file + 1 >= len(self._paths):
                return
            self._records.lines.close()
            self._file += 1
            self._records = self._open(self._file)

    @property
    def position(self) -> Position:
        return Position(self._file, self._records.lines.offset, self._records.lines.number)

    @property
    def share(self) -> float | None:
        if not self._paths:
            return None
        read = sum(self._sizes[: self._file]) + self._records.lines.bytes_read
        return min(1.0, read / max(1, sum(self._sizes)))

    def close(self) -> None:
        self._records.lines.close()

    def _row(self, record: Record) -> Row:
        lines = self._records.lines
        if record.values is None:
            return Row(Unreadable(f"{lines.name}:{lines.number}: {record.problem}"), {self.choice.text: record.raw})
        if record.problem is not None:
            return Row(Unreadable(f"{lines.name}:{lines.number}: {record.problem}"), record.values, record.raw)
        return Row(self.choice.given(record.values), record.values, record.raw)

    def _open(self, number: int) -> Records:
        path = self._paths[number] if self._paths else None
        try:
            stream = sys.stdin.buffer if path is None else path.open("rb")
        except OSError as error:
            raise BulkError(f"{path}: cannot be read: {error.strerror}") from error
        lines = Lines(path, cast(BinaryIO, stream), self._dialect.encoding)
        try:
            return open_records(self._dialect.kind, lines, self._dialect.delimiter)
        except BaseException:
            lines.close()
            raise

    def _check_columns(self, number: int) -> None:
        """Raise `BulkError` where a further file has other columns than the first."""
        records = self._open(number)
        records.lines.close()
        if records.columns != self.columns:
            raise BulkError(
                f"{self._paths[number]}: its columns are not those of {self._paths[0]}; give files of the same columns"
            )
