"""Windows, of which batches are made, and the types of the arrays that go in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What is kept of a row of logits as wide as a vocabulary, as soon as it is computed: float32 numbers.

    Without `columns`, the `best` columns, greatest first, then their shares of the whole row's probability. With
    `columns`, the sum of the row's exponentials, then the logits of these columns less the row's greatest. Logits are
    divided by `temperature` first.
    """

    best: int
    temperature: float
    columns: Ints | None = None  # (chosen,)

    @property
    def width(self) -> int:
        """Return how many numbers are kept of a row with at least `best` columns."""
        return 2 * self.best if self.columns is None else 1 + len(self.columns)

    def keep(self, rows: Floats) -> Floats:
        """Return (rows, width) numbers for (rows, vocabulary) logits; NaN for a row that is not all finite."""
        kept = [self.keep_row(row) for row in rows]
        return np.stack(kept) if kept else np.empty((0, self.width), np.float32)

    def keep_row(self, logits: Floats) -> Floats:
        if not np.isfinite(logits).all():
            logits = np.full_like(logits, np.nan)
        scaled = logits / np.float32(self.temperature)  # (vocabulary,)
        scaled -= scaled.max()
        exponents = np.exp(scaled)
        total = exponents.sum()
        if self.columns is not None:
            return np.concatenate([[total], scaled[self.columns]], dtype=np.float32)
        best = greatest(scaled, self.best)
        return np.concatenate([best, exponents[best] / total], dtype=np.float32)  # a vocabulary has under 2**24 words


def greatest(values: Floats, count: int) -> NDArray[np.intp]:
    """Return the indices of the `count` greatest values, the greatest first."""
    if count < len(values):
        chosen = np.argpartition(values, len(values) - count)[-count:]
        return chosen[np.argsort(-values[chosen], kind="stable")]
    return np.argsort(-values, kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One encoded piece of a text, special tokens included.

    `head_rows` are the tokens of the window, by position, for which the graph answers a row each, in this order. It is
    empty where the graph answers one row for the window. `ranking` is what is kept of each row; None: all of it.
    """

    input_ids: Ints  # (tokens,)
    head_rows: Ints  # (rows,)
    token_type_ids: Ints | None = None  # (tokens,) only for a second segment; None: all zero
    ranking: Ranking | None = None

    def __len__(self) -> int:
        return len(self.input_ids)
