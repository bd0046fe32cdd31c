"""The grid that attention reads: rows as long as the longest window, each shared by as many windows as fit."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# onnxruntime's CPU kernels sum up a row of attention in vectors of 16 floats and in blocks of 128 keys. A window that
# begins where a vector does and stays within one block is summed up as it would be alone, bit for bit; elsewhere the
# last bit may differ, and int8 rounds that up to a difference of 0.05 in a logit once in a few hundred texts.
# Source: MLAS_SGEMM_STRIDEK in onnxruntime/core/mlas/lib/mlasi.h; AVX-512's vectors hold 16 floats.
VECTOR, BLOCK = 16, 128


class Grid(NamedTuple):
    """R rows of S slots, S the longest window; `slots` (B,) are where each window begins in the flattened grid."""

    rows: int
    width: int
    slots: NDArray[np.int64]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Grid:
        """Place windows of `lengths`, the longest first, each in the fullest row that still has room.

        With a row for each window, ten texts of 17 to 56 tokens spend four fifths of attention on padding.
        Source: best-fit decreasing bin packing (Johnson 1973); at most 11/9 of the least number of rows.
        """
        width = max(lengths)
        slots = np.empty(len(lengths), np.int64)
        rooms: list[tuple[int, int]] = []  # (free slots, row), ascending
        rows = 0
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            length = lengths[i]
            fitting = bisect_left(rooms, (length, 0))
            while fitting < len(rooms) and crosses(width - rooms[fitting][0], length):
                fitting += 1
            if fitting < len(rooms):
                free, row = rooms.pop(fitting)
            else:
                free, row, rows = width, rows, rows + 1
            start = width - free
            slots[i] = row * width + start
            insort(rooms, (width - next_vector(start + length), row))
        return cls(rows, width, slots)


def next_vector(slot: int) -> int:
    """Return the first slot from `slot` on where a vector begins."""
    return -(-slot // VECTOR) * VECTOR


def crosses(start: int, length: int) -> bool:
    """Whether a window from `start` on would be summed up in other pieces than at the beginning of a row."""
    return start % BLOCK + length > BLOCK
