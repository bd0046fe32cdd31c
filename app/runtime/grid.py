"""The grid that attention computes on: rows as long as the longest window, each shared by the windows that fit."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# onnxruntime's CPU kernels sum a row of attention in vectors of 16 floats and in blocks of 128 keys. A window that
# begins where a vector does and stays within one block is summed as it would be by itself, bit for bit. Elsewhere the
# last bit may differ, which the rounding of int8 can enlarge.
# Source: MLAS_SGEMM_STRIDEK in onnxruntime/core/mlas/lib/mlasi.h; AVX-512's vectors hold 16 floats.
VECTOR, BLOCK = 16, 128


class Grid(NamedTuple):
    """R rows of S slots, S the longest window; `slots` (B,) is where each window begins in the flattened grid."""

    rows: int
    width: int
    slots: NDArray[np.int64]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Grid:
        """Place windows of `lengths`, the longest first, each in the fullest row with enough free slots.

        With a row for each window, short texts beside a long one would spend most of attention on padding.
        Source: best-fit decreasing bin packing (Johnson 1973); at most 11/9 of the least number of rows.
        """
        width = max(lengths)
        slots = np.empty(len(lengths), np.int64)
        free_slots: list[tuple[int, int]] = []  # (free slots, row), ascending
        rows = 0
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            length = lengths[i]
            fitting = bisect_left(free_slots, (length, 0))
            while fitting < len(free_slots) and crosses(width - free_slots[fitting][0], length):
                fitting += 1
            if fitting < len(free_slots):
                free, row = free_slots.pop(fitting)
            else:
                free, row, rows = width, rows, rows + 1
            start = width - free
            slots[i] = row * width + start
            insort(free_slots, (width - next_vector(start + length), row))
        return cls(rows, width, slots)


def next_vector(slot: int) -> int:
    """Return the first slot, `slot` or later, where a vector begins."""
    return -(-slot // VECTOR) * VECTOR


def crosses(start: int, length: int) -> bool:
    """Whether a window that begins at `start` would be summed in other blocks than at the beginning of a row."""
    return start % BLOCK + length > BLOCK
