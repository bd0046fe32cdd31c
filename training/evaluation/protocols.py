"""The arrays that scores are made of, and the functions that predict: a checkpoint's or a served graph's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.data import ModelInput

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Offsets = NDArray[np.int64]  # (n, 2): start and end of each token in its text, code points, end exclusive

Classify = Callable[[Sequence[ModelInput]], list[FloatArray]]  # per text: logits (labels,)
Embed = Callable[[Sequence[str]], list[FloatArray]]  # per text: a vector (width,)
TokenLogits = tuple[Offsets, FloatArray]  # of one text: offsets (n, 2), logits (n, labels)
TagTokens = Callable[[Sequence[str]], list[TokenLogits]]


class FillMasks(Protocol):
    """Scores the vocabulary at some positions of each window of token ids."""

    def __call__(
        self, windows: Sequence[list[int]], positions: Sequence[Sequence[int]] | None = None, /
    ) -> list[FloatArray]:
        """Return logits (positions, vocabulary) per window; without `positions`, those of its <mask> tokens."""
        ...
