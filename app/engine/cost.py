"""What a batch costs: `a + b * T + c * R * S**2` seconds, fitted at warm-up and refined as batches run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# A batch is just large enough for its fixed cost to be this share of its per-token cost. A larger batch mixes more
# lengths and saves little.
OVERHEAD_SHARE = 0.25
LEAST_BUDGET, GREATEST_BUDGET = 192, 65_536
SMOOTHING = 0.05  # weight of the newest batch in the running correction


class Shape(NamedTuple):
    """The size of a batch: T tokens in all, and the R * S**2 cells of attention over R rows of S slots."""

    tokens: int
    grid: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Shape:
        tokens, longest = sum(lengths), max(lengths)
        return cls(tokens, -(-tokens // longest) * longest**2)


@dataclass
class CostModel:
    """Seconds per batch (`fixed`), per token and per attention cell, and a factor that follows measured batches."""

    fixed: float = 0.0
    per_token: float = 0.0
    per_cell: float = 0.0
    correction: float = 1.0

    @classmethod
    def fit(cls, samples: Sequence[tuple[Shape, float]]) -> CostModel:
        """Fit to measured (shape, seconds) by least relative squares; a negative coefficient becomes zero."""
        rows = np.array([[1.0, shape.tokens, shape.grid] for shape, _ in samples])
        seconds = np.array([seconds for _, seconds in samples])
        weighted = rows / seconds[:, None]
        columns = [0, 1, 2]
        while True:
            solution = np.linalg.lstsq(weighted[:, columns], np.ones(len(seconds)), rcond=None)[0]
            if (solution >= 0).all():
                break
            columns.pop(int(solution.argmin()))
        coefficients = dict(zip(columns, map(float, solution), strict=True))
        return cls(coefficients.get(0, 0.0), coefficients.get(1, 0.0), coefficients.get(2, 0.0))

    def predict(self, shape: Shape) -> float:
        """Return the seconds that a batch of this shape will take."""
        cost = self.fixed + self.per_token * shape.tokens + self.per_cell * shape.grid
        return self.correction * cost

    def share(self, length: int) -> float:
        """Return the seconds that one window of `length` adds to a batch of windows of this length."""
        return self.correction * (self.per_token * length + self.per_cell * length**2)

    def refine(self, shape: Shape, seconds: float) -> None:
        """Move the correction towards the seconds that a batch took."""
        predicted = self.predict(shape)
        if predicted > 0:
            ratio = min(max(seconds / predicted, 0.1), 10.0)
            self.correction *= (1 - SMOOTHING) + SMOOTHING * ratio

    @property
    def fixed_tokens(self) -> float:
        """The number of tokens that cost as much as the fixed part of a batch."""
        return self.fixed / self.per_token if self.per_token > 0 else 0.0

    def token_budget(self) -> int:
        """Return the tokens of the smallest batch in which the fixed cost is a small enough share."""
        return int(min(max(self.fixed_tokens / OVERHEAD_SHARE, LEAST_BUDGET), GREATEST_BUDGET))
