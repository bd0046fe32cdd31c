"""What a format of data files is: it recognizes itself by content, and gives rows where it is a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from training.config import DataConfig, DataFormat
from training.data.encodings import encoding_of
from training.data.errors import Refuse
from training.data.files import HEAD_BYTES, MARK, beginning, lines, opened


@dataclass(frozen=True)
class Row:
    """One row: `where` is FILE:LINE, or FILE:ROW of Parquet, Hub data and JSON arrays."""

    where: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class Head:
    """The first 64 KiB of a file. `named`: its format by its suffix, None where that says nothing."""

    path: Path
    data: DataConfig
    named: DataFormat | None

    @cached_property
    def raw(self) -> bytes:
        return beginning(self.path)

    @cached_property
    def lines(self) -> list[str]:
        """Whole lines, without their ends."""
        encoding = encoding_of(self.path, self.data)
        text = self.raw.decode(encoding, errors="replace").removeprefix(MARK)
        found = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return found if len(self.raw) < HEAD_BYTES else found[:-1]


class Format(ABC):
    """One format. `is_utf8`: it has no other encoding, unless a byte order mark says so."""

    name: ClassVar[DataFormat]
    is_utf8: ClassVar[bool] = False

    @abstractmethod
    def recognizes(self, head: Head) -> bool:
        """Say whether a file is of this format by its content, whatever its suffix."""

    def dialect(self, path: Path, data: DataConfig) -> list[str]:
        """Return what was found about a file beyond its format, in a few words each."""
        encoding = self.encoding(path, data)
        return [] if encoding == "utf-8" else [f"encoding {encoding}"]

    def encoding(self, path: Path, data: DataConfig) -> str:
        return encoding_of(path, data, may_be_western=not self.is_utf8)

    def texts_at(self, path: Path, data: DataConfig, numbers: Set[int]) -> dict[int, str]:
        """Return what stands where a refusal says FILE:NUMBER: lines, with escapes for bytes that are not UTF-8."""
        with opened(path) as file:
            found = ((number, line) for number, line in enumerate(file, start=1) if number in numbers)
            return {number: line.decode(errors="backslashreplace").rstrip("\r\n") for number, line in found}

    def lines(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[str]:
        return lines(path, refuse, self.encoding(path, data))


class Table(Format):
    """A format of rows with named columns."""

    @abstractmethod
    def rows(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[Row]:
        """Yield the rows; refuses those that cannot be parsed. Raises `DataError` for the whole file."""
