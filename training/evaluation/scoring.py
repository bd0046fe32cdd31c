"""What is fitted on validation, so that the scores of a model mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scoring:
    """From logits to scores and decisions, of one graph or checkpoint.

    `temperature` divides the logits. `thresholds`: the score from which on each label of a multi-label classifier
    applies; None for everything else.
    """

    temperature: float = 1.0
    thresholds: dict[str, float] | None = None

    def thresholds_of(self, labels: Sequence[str]) -> list[float] | None:
        """Return the thresholds in the order of `labels`."""
        return None if self.thresholds is None else [self.thresholds[label] for label in labels]
