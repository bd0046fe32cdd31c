"""How much a JSON body holds, found without parsing it: bytes are counted, outside of its texts.

Nothing here is validated; what is not JSON has some number of values as well. A body is gone through in slices, so that
a large one is never copied as a whole and other threads may run in between.
"""

from __future__ import annotations

from collections.abc import Iterator

BEGIN_VALUES = b",:[{"
OTHER_BYTES = bytes(set(range(256)) - set(BEGIN_VALUES))
SLICE = 2**16  # bytes


def count_values(body: bytes | bytearray, most: int) -> int:
    """Return the number of values, fields, lists and objects in a body; what is beyond `most` need not be exact."""
    values = 0
    for outside in outside_texts(body):
        values += len(outside.translate(None, OTHER_BYTES))
        if values > most:
            break
    return values


def count_fields(body: bytes | bytearray) -> int:
    """Return the number of fields in all objects of a body."""
    return sum(outside.count(b":") for outside in outside_texts(body))


def outside_texts(body: bytes | bytearray) -> Iterator[bytes]:
    """Yield what of a body stands outside of its texts, slice by slice."""
    start, is_in_text = 0, False
    while start < len(body):
        end = end_of_slice(body, start)
        pieces = without_escapes(bytes(body[start:end])).split(b'"')
        yield b"".join(pieces[is_in_text::2])
        is_in_text ^= len(pieces) % 2 == 0
        start = end


def end_of_slice(body: bytes | bytearray, start: int) -> int:
    """Return where a slice ends that does not end within an escape, if it does not begin in one."""
    part = body[start : start + SLICE]
    backslashes = len(part) - len(part.rstrip(b"\\"))
    return start + len(part) + backslashes % 2


def without_escapes(part: bytes) -> bytes:
    """Return bytes every quote of which begins or ends a text. An escaped backslash escapes no quote."""
    if b"\\" not in part:
        return part
    return part.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
