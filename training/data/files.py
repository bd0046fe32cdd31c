"""Lines of UTF-8 text files, gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.data.errors import DataError, EncodingError, Refuse, stop

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = "\ufeff"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, gzip by its suffix; raises `DataError` when it cannot be opened or unpacked."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}; it is not gzip, or is cut short: make it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}; name a file that can be read") from error


def lines(path: Path, refuse: Refuse = stop) -> Iterator[str]:
    """Yield the lines of a file, line ends included and a byte order mark left out.

    Bytes that are not UTF-8 are refused; where that is survived, they come as U+FFFD.
    """
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            if number == 1 and raw.startswith(UTF16_MARKS):
                raise EncodingError(f"{path}: cannot be read: it is UTF-16; save it as UTF-8")
            text = decoded(f"{path}:{number}", raw, refuse)
            yield text.removeprefix(UTF8_MARK) if number == 1 else text


def decoded(where: str, raw: bytes, refuse: Refuse) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} of the line, 0x{raw[error.start]:02x},"
        refuse(EncodingError(f"{where}: cannot be read: {byte} is not utf-8; save the file as UTF-8"))
        return raw.decode(errors="replace")
