"""Scores of predicted numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data import ClassificationExample
from training.evaluation.bootstrap import Scorer, Scores, Weights, weights_by_value

Floats = NDArray[np.float64]


def targets_of(examples: Sequence[ClassificationExample]) -> Floats:
    """Return the number of each example (N,); raises `ValueError` where one has none."""
    targets = [example.target for example in examples]
    if None in targets:
        raise ValueError("regression needs a number for every example")
    return np.array(targets, dtype=np.float64)


def regression_scorer(truth: Floats, guess: Floats) -> Scorer:
    """Return a scorer of `pearson`, `spearman` (-1..1), `rmse` and `mae` (the target's unit).

    `truth` and `guess`: (N,). A correlation with a constant is 0.
    """

    def score(weights: Weights) -> Scores:
        error, total = guess - truth, weights.sum(axis=1)
        return {
            "pearson": correlation(weights, truth[None], guess[None]),
            "spearman": correlation(weights, ranks(weights, truth), ranks(weights, guess)),
            "rmse": np.sqrt(weights @ error**2 / total),
            "mae": weights @ np.abs(error) / total,
        }

    return score


def correlation(weights: Weights, x: Floats, y: Floats) -> Floats:
    """Return Pearson's correlation (R,) under each row of weights (R, N); `x` and `y`: (R or 1, N)."""
    share = weights.astype(np.float64) / weights.sum(axis=1, keepdims=True)  # (R, N)
    dx = x - (share * x).sum(axis=1, keepdims=True)
    dy = y - (share * y).sum(axis=1, keepdims=True)
    spread = np.sqrt((share * dx**2).sum(axis=1) * (share * dy**2).sum(axis=1))  # (R,)
    together: Floats = (share * dx * dy).sum(axis=1)
    result: Floats = np.divide(together, spread, out=np.zeros_like(spread), where=spread > 1e-12)
    return result


def ranks(weights: Weights, values: Floats) -> Floats:
    """Return the rank of each value within each resample, (R, N); equal values share their mean rank."""
    (at,) = weights_by_value([weights], values)  # (R, distinct values)
    middle = at.cumsum(axis=1) - at / 2 + 0.5
    shared: Floats = middle[:, np.unique(values, return_inverse=True)[1]]
    return shared
