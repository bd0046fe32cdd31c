"""Windows, of which batches are made, and the types of the arrays that go in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One encoded piece of a text, special tokens included.

    `head_rows` are the tokens of the window, by position, for which the graph answers a row each, in this order. It is
    empty where the graph answers one row for the window.
    """

    input_ids: Ints  # (tokens,)
    head_rows: Ints  # (rows,)
    token_type_ids: Ints | None = None  # (tokens,) only for a second segment; None: all zero

    def __len__(self) -> int:
        return len(self.input_ids)
