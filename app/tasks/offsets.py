"""Offsets in the units of other languages: their strings are not sequences of code points, as Python's are."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

OffsetUnit = Literal["code_point", "utf16", "utf8"]

LAST_OF_ONE_BYTE, LAST_OF_TWO_BYTES, LAST_OF_ONE_UNIT = (
    0x7F,
    0x7FF,
    0xFFFF,
)  # of UTF-8, UTF-8, and of UTF-16 and 3 bytes


def positions(text: str, unit: OffsetUnit) -> NDArray[np.int64] | None:
    """Return where each code point of a text begins in `unit`, and where the last ends; None: as code points do."""
    if unit == "code_point" or text.isascii():
        return None
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (points > LAST_OF_ONE_UNIT).astype(np.int64)
    if unit == "utf8":
        widths += points > LAST_OF_ONE_BYTE
        widths += points > LAST_OF_TWO_BYTES
    return np.concatenate([[0], np.cumsum(widths)])
