"""What flows through everything: one encoded piece of a text, and the arrays that it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One encoded piece of a text, special tokens included: what a batch is made of.

    `head_rows` are the token positions within the window whose outputs are wanted, in order.
    """

    input_ids: Ints  # (tokens,)
    head_rows: Ints  # (rows,)
    token_type_ids: Ints | None = None  # (tokens,) only for a second segment; None: all zero

    def __len__(self) -> int:
        return len(self.input_ids)
