"""Lines of UTF-8 text files, gzip or not."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.data.errors import DataError, EncodingError, Refuse, stop

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = "\ufeff"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, gzip by its suffix; raises ``DataError`` when it cannot be opened or unpacked."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}; it is not gzip, or is cut short: make it again.") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be opened: {exc.strerror}; name a file that can be read.") from exc


def lines(path: Path, refuse: Refuse = stop) -> Iterator[str]:
    """Yield the lines of a file, line ends included and a byte order mark left out.

    Bytes that are not UTF-8 are refused; where that is survived, they come as U+FFFD.
    """
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            if number == 1 and raw.startswith(_UTF16_MARKS):
                raise EncodingError(f"{path}: cannot be read: it is UTF-16; save it as UTF-8.")
            text = _decode(f"{path}:{number}", raw, refuse)
            yield text.removeprefix(_UTF8_MARK) if number == 1 else text


def _decode(where: str, raw: bytes, refuse: Refuse) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        byte = f"byte {exc.start + 1} of the line, 0x{raw[exc.start]:02x},"
        refuse(EncodingError(f"{where}: cannot be read: {byte} is not utf-8; save the file as UTF-8."))
        return raw.decode(errors="replace")
