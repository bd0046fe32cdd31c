"""Batches of many shapes in arrays of one shape, which is all that a CUDA graph can replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.packing import Feed, place_tokens
from app.window import Window


@dataclass(frozen=True, slots=True)
class Room:
    """How large a packed batch's arrays are, whatever is in them: T tokens, B windows, S the longest, N head rows.

    Tokens that are left over belong to no window and attend to nothing, windows that are left over are empty, and
    rows that are left over are those of the first token. What is computed of all these is not read.
    """

    tokens: int
    windows: int
    longest: int
    rows: int

    def holds(self, windows: Sequence[Window]) -> bool:
        """Whether a batch of these windows fits."""
        if len(windows) > self.windows:  # first, and all that is looked at of a large batch
            return False
        lengths = [len(window) for window in windows]
        return (
            max(lengths) <= self.longest
            and sum(lengths) <= self.tokens
            and sum(len(window.head_rows) for window in windows) <= self.rows
        )

    def furnish(self, feed: Feed) -> Feed:
        """Return the arrays of a packed batch in the sizes of this room."""
        return {name: self._furnish(name, array, feed) for name, array in feed.items()}

    def _furnish(self, name: str, array: NDArray[np.generic], feed: Feed) -> NDArray[np.generic]:
        if name == "token_offset":
            lengths = np.zeros(self.windows, np.int64)
            ends = feed["cumulative_lengths"].astype(np.int64)
            lengths[: len(ends) - 1] = np.diff(ends)
            return place_tokens(lengths, self.longest)
        if name == "cumulative_lengths":
            return extended(array, self.windows + 1, array[-1])
        return extended(array, self.rows if name == "head_rows" else self.tokens, array.dtype.type(0))


def extended(array: NDArray[np.generic], size: int, value: np.generic) -> NDArray[np.generic]:
    """Return `array`, (n,), followed by as much of `value` as `size` asks for."""
    whole = np.full(size, value, array.dtype)
    whole[: len(array)] = array
    return whole
