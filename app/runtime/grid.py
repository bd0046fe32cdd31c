"""The grid that attention reads: rows as long as the longest window, each shared by as many windows as fit."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


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
            fitting = bisect_left(rooms, (lengths[i], 0))
            if fitting < len(rooms):
                free, row = rooms.pop(fitting)
            else:
                free, row, rows = width, rows, rows + 1
            slots[i] = (row + 1) * width - free
            insort(rooms, (free - lengths[i], row))
        return cls(rows, width, slots)
