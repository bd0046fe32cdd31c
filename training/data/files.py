"""Lines of text files in any encoding, gzip or not."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.data.errors import DataError, EncodingError, Refuse, stop

MARK = "\ufeff"
HEAD_BYTES = 2**16


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, gzip by its suffix; raises `DataError` when it cannot be opened or unpacked."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}; it is not gzip, or is cut short: make it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}; name a file that can be read") from error


def beginning(path: Path) -> bytes:
    """Return the first 64 KiB of a file, unpacked."""
    with opened(path) as file:
        return file.read(HEAD_BYTES)


def lines(path: Path, refuse: Refuse = stop, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file, line ends included and a byte order mark left out.

    Bytes that the encoding does not have are refused; where that is survived, they come as U+FFFD. A file in UTF-16
    or UTF-32, or one whose lines end with a carriage return alone, is refused as a whole.
    """
    found = whole_text_lines(path, encoding) if is_read_as_a_whole(path, encoding) else each(path, refuse, encoding)
    for number, line in enumerate(found):
        yield line if number else line.removeprefix(MARK)


def each(path: Path, refuse: Refuse, encoding: str) -> Iterator[str]:
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            yield decoded(f"{path}:{number}", raw, refuse, encoding)


def is_read_as_a_whole(path: Path, encoding: str) -> bool:
    """Say whether lines cannot be told by their bytes: in wide encodings, and as Macs once ended them."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32", "utf-7")):
        return True
    head = beginning(path)
    return b"\r" in head and b"\n" not in head


def whole_text_lines(path: Path, encoding: str) -> Iterator[str]:
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding, newline=None)
        try:
            yield from text
        except UnicodeError as error:
            raise EncodingError(f"{path}: cannot be read as {encoding}: {error}; set data.encoding") from error
        finally:
            text.detach()


def decoded(where: str, raw: bytes, refuse: Refuse, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} of the line, 0x{raw[error.start]:02x},"
        remedy = "save the file as UTF-8, or set data.encoding"
        refuse(EncodingError(f"{where}: cannot be read: {byte} is not {encoding}; {remedy}"))
        return raw.decode(encoding, errors="replace")
