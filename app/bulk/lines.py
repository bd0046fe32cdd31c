"""Lines of text files, gzip or not, with their places in bytes, so that reading can go on from any of them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from app.bulk.errors import BulkError
from app.bulk.formats import is_gzip

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
MOST_LINE_BYTES = 64 * 2**20


class Line(NamedTuple):
    """One line: its text with the line end, its number of bytes, and what is wrong with these.

    Bytes that are not of the encoding stand as `\\xe9` in the text.
    """

    text: str
    size: int
    problem: str | None


class Lines:
    """The lines of one file, or of standard input where there is no path.

    `offset` is where the next line begins, in bytes of the text; `number` counts lines that were read. Raises
    `BulkError` where the file cannot be read, is UTF-16, or has a line that is too long to be one.
    """

    def __init__(self, path: Path | None, stream: BinaryIO, encoding: str = "utf-8") -> None:
        self.name = "standard input" if path is None else path.name
        self.encoding, self.offset, self.number = encoding, 0, 0
        self.has_mark = False  # whether the file begins with UTF-8's byte order mark, which is no part of its text
        self._raw = stream
        self._stream = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=stream))) if gzipped(path) else stream
        self._unread: deque[Line] = deque()

    def read(self) -> Line | None:
        """Return the next line; None at the end."""
        line = self._unread.popleft() if self._unread else self._read()
        if line is not None:
            self.offset += line.size
            self.number += 1
        return line

    def unread(self, lines: Sequence[Line]) -> None:
        """Give lines back, which are read again."""
        self._unread.extendleft(reversed(lines))
        self.offset -= sum(line.size for line in lines)
        self.number -= len(lines)

    def seek(self, offset: int, number: int) -> None:
        """Go on from a place of before."""
        try:
            self._stream.seek(offset)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error
        self._unread.clear()
        self.offset, self.number = offset, number

    def close(self) -> None:
        self._stream.close()
        self._raw.close()

    @property
    def bytes_read(self) -> int:
        """Return how much of the file was read, compressed as it is."""
        return self._raw.tell() if self._stream is not self._raw else self.offset

    def _read(self) -> Line | None:
        try:
            raw = self._stream.readline(MOST_LINE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error
        if not raw:
            return None
        size = len(raw)
        if size > MOST_LINE_BYTES:
            most = f"line {self.number + 1} has more than {MOST_LINE_BYTES // 2**20} MiB"
            raise BulkError(f"{self.name}: {most}; is it a text file with line breaks?")
        if self.offset == 0:
            raw = self._without_mark(raw)
        return decoded(raw, size, self.encoding)

    def _without_mark(self, raw: bytes) -> bytes:
        if raw.startswith(UTF16_MARKS):
            raise BulkError(f"{self.name}: it is UTF-16; save it as UTF-8, as `iconv -f UTF-16 -t UTF-8` does")
        self.has_mark = raw.startswith(UTF8_MARK)
        return raw.removeprefix(UTF8_MARK)

    def _unreadable(self, error: Exception) -> BulkError:
        if isinstance(error, OSError) and error.strerror:
            return BulkError(f"{self.name}: cannot be read: {error.strerror}")
        return BulkError(f"{self.name}: cannot be read: {error}; it is not gzip, or is cut short: make it again")


def gzipped(path: Path | None) -> bool:
    return path is not None and is_gzip(path)


def decoded(raw: bytes, size: int, encoding: str) -> Line:
    try:
        return Line(raw.decode(encoding), size, None)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start + 1} of the line, 0x{raw[error.start]:02x}, is not {encoding}"
        if encoding == "utf-8":
            problem += "; if every such row is wrong, --encoding cp1252 may be right"
        return Line(raw.decode(encoding, "backslashreplace"), size, problem)


def without_end(text: str) -> str:
    """Return a line without its line end."""
    return text.removesuffix("\n").removesuffix("\r")
