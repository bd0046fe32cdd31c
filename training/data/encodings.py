"""Which encoding a text file is in: as the recipe says, by its byte order mark, or by its bytes."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from pathlib import Path

from training.config import DataConfig
from training.data.files import opened

UTF8 = "utf-8"
WESTERN = "cp1252"  # what Excel and older Windows programs write in Western Europe and America
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CHUNK = 2**20  # bytes
SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
NOT_WESTERN = re.compile(rb"[\x00-\x08\x0e-\x1f\x81\x8d\x8f\x90\x9d]")  # control characters, and what it lacks


def encoding_of(path: Path, data: DataConfig, *, may_be_western: bool = True) -> str:
    """Return the encoding of a file; UTF-8 where nothing else is set, marked or found.

    A file that is not UTF-8 and has none of its sequences is cp1252, unless a byte says that it is not that either or
    its format is UTF-8 by definition, as JSON is. Raises `DataError` when the file cannot be opened.
    """
    if data.encoding is not None:
        return data.encoding
    with opened(path) as file:
        head = file.read(16)
    marked = next((name for mark, name in MARKS if head.startswith(mark)), None) or unmarked(head)
    if marked is not None or not may_be_western:
        return marked or UTF8
    status = path.stat()
    return found_encoding(path, status.st_size, status.st_mtime_ns)


def unmarked(head: bytes) -> str | None:
    """Return the UTF-16 that has no mark, where every other byte of the beginning is zero, and no other is."""
    even, odd = head[0::2], head[1::2]
    if len(odd) < 2:
        return None
    if not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if not any(even) and all(odd) else None


@lru_cache(maxsize=64)
def found_encoding(path: Path, size: int, changed: int) -> str:
    """Return UTF-8 or cp1252, by all bytes of a file of this size that was changed at this time."""
    has_others = False  # bytes that are in no sequence
    rest = b""
    with opened(path) as file:
        while chunk := file.read(CHUNK):
            chunk, rest = rest + chunk, b""
            if chunk.isascii():
                continue
            cut = chunk.rfind(b"\n") + 1 or len(chunk)  # not within a sequence
            chunk, rest = chunk[:cut], chunk[cut:]
            if NOT_WESTERN.search(chunk) or SEQUENCE.search(chunk):
                return UTF8
            has_others = has_others or not chunk.isascii()
    if NOT_WESTERN.search(rest) or SEQUENCE.search(rest):
        return UTF8
    return WESTERN if has_others or not rest.isascii() else UTF8
