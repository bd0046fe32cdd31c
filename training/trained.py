"""A trained checkpoint with what exporting and scoring it needs: training ends with it, publishing begins with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# For a checkpoint that is exported without any text of its own.
GENERIC_TEXTS = (
    "The quick brown fox jumps over the lazy dog near the old stone bridge.",
    "Angela Merkel met Tim Cook at Apple's office in Berlin on Tuesday.",
    "I really enjoyed this film, although the ending was a little too long.",
    "Please send the signed contract to our office in Paris by next Friday.",
    "The central bank raised interest rates for the third time this year.",
    "It rained all day, so we stayed at home, cooked soup and played cards.",
    "Our server was down for two hours because a disk had silently failed.",
    "Nobody answered the phone; the shop had closed many months before.",
)


@dataclass(frozen=True)
class TrainedCheckpoint:
    """`source`: a folder with safetensors, config and tokenizer, or a Hub id. `base`: what its training began with.

    `texts`: raw training texts, to calibrate and probe with. `validation` and `test`: examples of the task's own type,
    empty where there are none. `training`: the recipe, as JSON, and what it left open as it was chosen; None for a
    checkpoint that was trained elsewhere. `data_sha256`: what is in each split.
    """

    source: str
    base: str
    texts: Sequence[str] = GENERIC_TEXTS
    validation: Sequence[Any] = ()
    test: Sequence[Any] = ()
    training: Mapping[str, Any] | None = None
    training_seconds: float | None = None
    data_sha256: Mapping[str, str] | None = None
