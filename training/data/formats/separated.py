"""Tables of separated values: CSV with any delimiter, and TSV, as spreadsheets and programs write them."""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from training.config import DataConfig
from training.data.errors import DataError, Refuse
from training.data.formats.base import Head, Row, Table

DELIMITERS = ",;\t|"
EXCEL_LINE = re.compile(r'"?sep=(.)"?')  # the first line of some files, which names the delimiter
QUOTED = re.compile(r'"(?:[^"]|"")*"', re.DOTALL)
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")
LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072
QUOTING = "quote cells as RFC 4180 says"
LOOKED_AT = 50  # records that tell a delimiter, and whether the first of them is a header
MOST_JOINED = 100  # lines of one record whose cells hold line breaks
NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}


class Separated(Table):
    """Cells between the delimiter that the header shows, or else the usual one; quoted as RFC 4180 says."""

    usual: ClassVar[str]

    def dialect(self, path: Path, data: DataConfig) -> list[str]:
        delimiter = self.delimiter(path, data)
        found = [] if delimiter == self.usual else [f"cells separated by {NAMES.get(delimiter, repr(delimiter))}"]
        return found + super().dialect(path, data)

    def delimiter(self, path: Path, data: DataConfig) -> str:
        if data.delimiter is not None:
            return data.delimiter
        return delimiter_of(Head(path, data, self.name).lines, data, self.usual)

    def rows(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[Row]:
        delimiter = self.delimiter(path, data)
        found = without_excel_line(self.lines(path, data, refuse))
        read = tab_records if delimiter == "\t" else quoted_records
        records = read(path, found, delimiter, refuse)
        return table(path, records, data, refuse)


class Csv(Separated):
    name = "csv"
    usual = ","

    def recognizes(self, head: Head) -> bool:
        """Say yes where the first line names a column that the recipe asks for; two under a suffix of plain text."""
        if head.named not in (None, "text"):
            return False
        named = head.lines and EXCEL_LINE.fullmatch(head.lines[0].strip())
        header = head.lines[1:2] if named else head.lines[:1]
        cells = next(csv.reader(header, delimiter=delimiter_of(head.lines, head.data, self.usual)), [])
        found = wanted_columns(head.data).intersection(cell.strip() for cell in cells)
        return len(cells) > 1 and len(found) >= (1 if head.named is None else 2)


class Tsv(Separated):
    name = "tsv"
    usual = "\t"

    def recognizes(self, head: Head) -> bool:
        return False


Record = tuple[int, list[str]]  # number of its last line, cells


def delimiter_of(head: Sequence[str], data: DataConfig, usual: str) -> str:
    """Return the delimiter under which the header names what the recipe wants, or else most records agree."""
    if head and (named := EXCEL_LINE.fullmatch(head[0].strip())):
        return named[1]
    wanted = wanted_columns(data)

    def fitness(delimiter: str) -> tuple[bool, float, int, bool]:
        reader = csv.reader((f"{line}\n" for line in head), delimiter=delimiter)
        records = list(filled(itertools.islice(reader, LOOKED_AT)))
        header = [cell.strip() for cell in records[0]] if records else []
        if len(header) < 2:
            return False, 0.0, 0, delimiter == usual
        agreeing = sum(len(record) == len(header) for record in records) / len(records)
        return not wanted.isdisjoint(header), agreeing, len(header), delimiter == usual

    try:
        return max(DELIMITERS, key=fitness)
    except csv.Error:
        return usual


def without_excel_line(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines, an empty one instead of a first one that names the delimiter."""
    for line in itertools.islice(lines, 1):
        yield "\n" if EXCEL_LINE.fullmatch(line.strip()) else line
    yield from lines


def filled(records: Iterator[list[str]]) -> Iterator[list[str]]:
    return (record for record in records if any(map(str.strip, record)))


def wanted_columns(data: DataConfig) -> set[str]:
    """Return the names that a recipe may look for in a header."""
    labels = [data.label_column] if data.label_column else ["label", "labels"]
    words = [data.tokens_column, data.tags_column, data.sentence_column]
    return {name for name in (data.text_column, data.text_pair_column, *labels, *data.label_columns, *words) if name}


def quoted_records(path: Path, lines: Iterator[str], delimiter: str, refuse: Refuse) -> Iterator[Record]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(DataError(f"{path}:{begin}: not valid CSV{reach(begin, reader.line_num)}: {error}; {QUOTING}"))
            continue
        yield reader.line_num, cells


def reach(begin: int, end: int) -> str:
    """Say that a record goes on over lines; nothing for one line."""
    return f", a quotation mark that is open to line {end}" if end > begin else ""


def tab_records(path: Path, lines: Iterator[str], delimiter: str, refuse: Refuse) -> Iterator[Record]:
    """Yield tab-separated records: a quotation mark is text, unless a pair of them encloses a cell.

    A quoted cell may hold line breaks: where the cells of a line are too few and the last one is open, the lines up
    to the one that closes it belong to it.
    """
    numbered, width = Numbered(lines), 0
    for number, line in numbered:
        if not line.strip():
            continue
        cells = cells_of(line)
        if len(cells) < width and is_open(cells[-1]):
            number, cells = closed(line, width, numbered) or (number, cells)
        width = width or len(cells)
        yield number, cells


class Numbered:
    """Lines with their numbers, of which some may be put back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = enumerate(lines, start=1)
        self.waiting: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return self

    def __next__(self) -> tuple[int, str]:
        return self.waiting.popleft() if self.waiting else next(self.lines)


def closed(line: str, width: int, numbered: Numbered) -> Record | None:
    """Return the record of a line and those that close its last cell; None, with nothing read, where none do."""
    read = []
    for number, more in itertools.islice(numbered, MOST_JOINED):
        read.append((number, more))
        line += more
        cells = cells_of(line)
        if len(cells) > width:
            break
        if len(cells) == width and not any(map(is_open, cells)):
            return number, cells
    numbered.waiting.extendleft(reversed(read))
    return None


def cells_of(line: str) -> list[str]:
    return [unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]


def is_open(cell: str) -> bool:
    return cell.startswith('"') and QUOTED.fullmatch(cell) is None


def unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell


def table(path: Path, records: Iterator[Record], data: DataConfig, refuse: Refuse) -> Iterator[Row]:
    """Yield the rows under a header; those whose cells are all empty, as spreadsheets leave them, are passed over."""
    records = ((number, cells) for number, cells in records if any(map(str.strip, cells)))
    beginning = list(itertools.islice(records, LOOKED_AT))
    if not beginning:
        return
    header = [name.strip() for name in beginning[0][1]]
    refuse_missing_header(path, header, [cells for _, cells in beginning[1:]], wanted_columns(data))
    for number, cells in itertools.chain(beginning[1:], records):
        yield from table_row(f"{path}:{number}", header, cells, refuse)


def refuse_missing_header(
    path: Path, header: Sequence[str], records: Sequence[Sequence[str]], wanted: set[str]
) -> None:
    """Raise `DataError` where no column is called as the recipe has it, and the first line looks like a row."""
    columns = [set(column) for column in zip(*(each for each in records if len(each) == len(header)), strict=False)]
    pairs = zip(header, columns, strict=False)
    if wanted.isdisjoint(header) and any(name in cells or NUMBER.fullmatch(name) for name, cells in pairs):
        found = ", ".join(repr(name[:40]) for name in header[:4])
        raise DataError(
            f"{path}:1: the header is missing: {found} look like a row; write the names of the columns, such as "
            "text,label, as the first line"
        )


def table_row(where: str, header: list[str], cells: list[str], refuse: Refuse) -> Iterator[Row]:
    while len(cells) > len(header) and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) == len(header):
        named = zip(header, cells, strict=True)
        yield Row(where, {name: cell for name, cell in named if name or cell.strip()})
    else:
        counts = f"{len(cells)} cells under {len(header)} column names"
        refuse(DataError(f"{where}: {counts}; quote a cell that contains the separator"))
