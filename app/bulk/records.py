"""Records of text files: CSV, TSV, JSON lines and plain lines. A record that cannot be parsed is one that says why."""

from __future__ import annotations

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.bulk.errors import BulkError
from app.bulk.formats import Format
from app.bulk.lines import Line, Lines, without_end

QUOTED = re.compile(r'"(?:[^"]|"")*"')
DELIMITERS = ",;\t|"
MOST_RECORD_BYTES = 4 * 2**20  # of a CSV record over several lines: with more, a quotation mark was not closed
MOST_PEEKED = 1000  # lines of JSON among which the first object is looked for
TEXT = "text"

csv.field_size_limit(2**31 - 1)  # characters; a record is bounded, and the module's own limit is 131,072


@dataclass(slots=True)
class Record:
    """One record: its text as it stands, without the last line end, its values by column, and what is wrong with it.

    A record that cannot be parsed has no values.
    """

    raw: str
    values: Mapping[str, Any] | None
    problem: str | None = None


class Records(ABC):
    """The records of one file. `columns` are known once it is open."""

    columns: tuple[str, ...]
    head: str | None = None  # the line of column names as it stands, with its end

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def __iter__(self) -> Iterator[Record]:
        while (line := self.lines.read()) is not None:
            if (record := self.parse(line)) is not None:
                yield record

    @abstractmethod
    def parse(self, line: Line) -> Record | None:
        """Return the record that begins with a line; None where the line is none."""


class TextRecords(Records):
    """Every line is a text, a blank one too."""

    columns = (TEXT,)

    def parse(self, line: Line) -> Record:
        text = without_end(line.text)
        return Record(text, {TEXT: text}, line.problem)


class JsonRecords(Records):
    """Every line is a JSON object; blank lines are none. The columns are the keys of the first."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)
        self.columns = self._peek()

    def parse(self, line: Line) -> Record | None:
        raw = line.text.strip()
        if not raw:
            return None
        if line.problem:
            return Record(raw, None, line.problem)
        try:
            values = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return Record(raw, None, f"not valid JSON: {error}")
        if not isinstance(values, dict):
            return Record(raw, None, f"expected a JSON object, found {type(values).__name__}")
        return Record(raw, values)

    def _peek(self) -> tuple[str, ...]:
        seen: list[Line] = []
        columns: tuple[str, ...] = ()
        while len(seen) < MOST_PEEKED and (line := self.lines.read()) is not None:
            seen.append(line)
            record = self.parse(line)
            if record is not None and record.values is not None:
                columns = tuple(record.values)
                break
        if seen and not columns and seen[0].text.lstrip().startswith("["):
            raise BulkError(f"{self.lines.name}: it is one JSON array; write an object a line, as `jq -c '.[]'` does")
        self.lines.unread(seen)
        return columns


class TableRecords(Records):
    """Rows of cells under a line of column names; blank lines are none."""

    delimiter: str

    def _open(self) -> None:
        """Read the line of column names. Raises `BulkError` where there is none."""
        first = self.lines.read()
        while first is not None and not first.text.strip():
            first = self.lines.read()
        if first is None:
            raise BulkError(f"{self.lines.name}: it is empty; the first line must name the columns")
        self.delimiter = self.delimiter or delimiter_of(first.text)
        if "\r" in without_end(first.text):
            raise BulkError(f"{self.lines.name}: its lines end in CR alone; save it with LF or CRLF")
        self.head, cells, problem = self.split(first)
        if problem is not None:
            raise BulkError(f"{self.lines.name}: the line of column names: {problem}")
        self.columns = tuple(cells)

    def parse(self, line: Line) -> Record | None:
        if not line.text.strip("\r\n"):
            return None
        text, cells, problem = self.split(line)
        raw = without_end(text)
        if cells and len(cells) != len(self.columns):
            return Record(raw, None, f"{len(cells)} cells under {len(self.columns)} column names")
        return Record(raw, dict(zip(self.columns, cells, strict=True)) if cells else None, problem)

    @abstractmethod
    def split(self, line: Line) -> tuple[str, list[str], str | None]:
        """Return the text of the record that begins with a line, its cells, and what is wrong with it.

        There are no cells where it cannot be split.
        """


class CsvRecords(TableRecords):
    """RFC 4180, with any delimiter: the one that the first line has most often, where none is given."""

    def __init__(self, lines: Lines, delimiter: str = "") -> None:
        super().__init__(lines)
        self.delimiter = delimiter
        self._open()

    def split(self, line: Line) -> tuple[str, list[str], str | None]:
        if '"' not in line.text:
            return line.text, without_end(line.text).split(self.delimiter), line.problem
        used: list[Line] = []
        try:
            cells = next(csv.reader(self._feed(line, used), delimiter=self.delimiter, strict=True))
        except (csv.Error, StopIteration) as error:
            self.lines.unread(used[1:])  # a quotation mark that is not closed costs one line, and not all that follow
            return line.text, [], f"not valid CSV: {error}; quote cells as RFC 4180 says"
        problem = next((each.problem for each in used if each.problem), None)
        return "".join(each.text for each in used), cells, problem

    def _feed(self, first: Line, used: list[Line]) -> Iterator[str]:
        """Yield the lines that a record takes, as long as it may be one."""
        line: Line | None = first
        size = 0
        while line is not None and (size := size + line.size) <= MOST_RECORD_BYTES:
            used.append(line)
            yield line.text
            line = self.lines.read()
        if line is not None:
            self.lines.unread([line])


class TsvRecords(TableRecords):
    """Tab-separated: a quotation mark is text, unless a pair of them encloses a cell."""

    delimiter = "\t"

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)
        self._open()

    def split(self, line: Line) -> tuple[str, list[str], str | None]:
        return line.text, [unquoted(cell) for cell in without_end(line.text).split("\t")], line.problem


def unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell


def delimiter_of(head: str) -> str:
    """Return what a line of column names is separated by; a comma where there is one column."""
    bare = QUOTED.sub("", head)
    return max(DELIMITERS, key=bare.count)


def open_records(kind: Format, lines: Lines, delimiter: str = "") -> Records:
    """Return the records of a text file."""
    if kind == "csv":
        return CsvRecords(lines, delimiter)
    return READERS[kind](lines)


READERS: dict[str, type[TextRecords | JsonRecords | TsvRecords]] = {
    "text": TextRecords,
    "jsonl": JsonRecords,
    "tsv": TsvRecords,
}
