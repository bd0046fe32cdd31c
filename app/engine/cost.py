"""What a batch costs: `a + b * T + c * R * S**2 + d * H` seconds, fitted at warm-up and refined as batches run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# A batch is just large enough for its fixed cost to be this share of its per-token cost. A larger batch mixes more
# lengths and saves little.
OVERHEAD_SHARE = 0.25
LEAST_BUDGET, GREATEST_BUDGET = 192, 65_536
# The correction is what the batches so far took, over what was predicted of them: the fit counts as some, and only so
# many are remembered.
FIT_COUNTS, REMEMBERED = 5, 20
WILD = 4.0  # the most by which one batch may differ from what was predicted
LEAST_CORRECTION = 0.5  # of predictions that nothing confirms
RELAXED = 0.9
LEAST_SLOWEST, MOST_SLOWEST = 1.1, 1.6  # bounds of what is expected of slow batches, in predictions
RISING, FALLING = 0.3, 0.003  # how that follows slower and faster batches: few are slower


class Shape(NamedTuple):
    """The size of a batch: T tokens in all, the R * S**2 cells of attention over R rows of S slots, and H further rows
    of the head, beyond one for each window."""

    tokens: int
    grid: int
    head_rows: int = 0

    @classmethod
    def of(cls, lengths: Sequence[int], head_rows: int = 0) -> Shape:
        tokens, longest = sum(lengths), max(lengths)
        return cls(tokens, -(-tokens // longest) * longest**2, head_rows)


@dataclass
class CostModel:
    """Seconds per batch (`fixed`), per token, per attention cell and per further row of the head, and a factor that
    follows measured batches."""

    fixed: float = 0.0
    per_token: float = 0.0
    per_cell: float = 0.0
    correction: float = 1.0
    remembered: int = FIT_COUNTS  # batches that the correction is taken from
    per_head_row: float = 0.0
    usual: float = 0.0  # uncorrected seconds of the batches so far, on average
    slowest: float = LEAST_SLOWEST  # nearly no batch takes longer than so many times what is predicted

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
        tokens, grid, head_rows = shape
        cost = self.fixed + self.per_token * tokens + self.per_cell * grid + self.per_head_row * head_rows
        return self.correction * cost

    def predict_most(self, shape: Shape) -> float:
        """Return the seconds that nearly no batch of this shape exceeds."""
        return self.slowest * self.predict(shape)

    def share(self, length: int) -> float:
        """Return the seconds that one window of `length` adds to a batch of windows of this length."""
        return self.correction * (self.per_token * length + self.per_cell * length**2)

    def amortized(self, length: int, budget: int, head_rows: int = 0) -> float:
        """Return what `share` does, without the correction, and with a window's part of the fixed cost of a batch.

        Batches of windows of this length, with so many further rows of the head, have as many as fit into `budget`
        tokens.
        """
        cost = self.per_token * length + self.per_cell * length**2
        if not head_rows:
            return self.fixed / max(1, budget // length) + cost
        in_a_batch = max(1, budget // (length + self.tokens_of(head_rows)))
        return self.fixed / in_a_batch + cost + self.per_head_row * head_rows

    def tokens_of(self, head_rows: int) -> int:
        """Return the tokens that take as long as so many rows of the head."""
        return int(head_rows * self.per_head_row / self.per_token) if self.per_token > 0 else 0

    def refine(self, shape: Shape, seconds: float) -> None:
        """Move the correction towards the seconds that a batch took; the longer a batch is, the more it counts."""
        predicted = self.predict(shape)
        if predicted > 0:
            ratio = min(max(seconds / predicted, 1 / WILD), WILD)
            self.remembered = min(self.remembered + 1, REMEMBERED)
            plain = predicted / self.correction
            self.usual += (plain - self.usual) / self.remembered if self.usual else plain
            weight = min(plain / self.usual, self.remembered / 2)
            self.correction *= 1 + weight * (ratio - 1) / self.remembered
            rate = RISING if ratio > self.slowest else FALLING
            self.slowest = min(max(self.slowest + rate * (ratio - self.slowest), LEAST_SLOWEST), MOST_SLOWEST)

    def relax(self) -> None:
        """Predict less: a request was refused while no batch ran that could confirm what was predicted."""
        self.correction = max(self.correction * RELAXED, min(self.correction, LEAST_CORRECTION))

    @property
    def fixed_tokens(self) -> float:
        """The number of tokens that cost as much as the fixed part of a batch."""
        return self.fixed / self.per_token if self.per_token > 0 else 0.0

    def token_budget(self) -> int:
        """Return the tokens of the smallest batch in which the fixed cost is a small enough share."""
        return int(min(max(self.fixed_tokens / OVERHEAD_SHARE, LEAST_BUDGET), GREATEST_BUDGET))
