"""Bootstrap: how far a score would move with another test split of the same size, and whether a loss may be chance.

A scorer takes how often each example counts, so that one function gives the score of the split (every example
once) and of all resamples at once. Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]  # (R, N): how often each example counts in each resample
Scores = dict[str, NDArray[np.float64]]  # (R,) each
Scorer = Callable[[Weights], Scores]
Interval = tuple[float, float]

WEIGHTS_AT_ONCE = 4_000_000  # 16 MB
SCORE_ERROR = 1e-9  # scores that differ by less are equal: sums of float64 round otherwise in another order


@dataclass(frozen=True)
class PairedDrop:
    """What one model loses against another on the same examples, in points of 100 of a metric.

    `p_value` is the chance of losing so much on such examples if the one is no worse than the other.
    """

    points: float
    p_value: float


def score_once(scorer: Scorer, count: int) -> dict[str, float]:
    """Return the scores of `count` examples, each counted once."""
    return {name: float(values[0]) for name, values in scorer(np.ones((1, count), np.float32)).items()}


def bootstrap_intervals(scorer: Scorer, count: int, samples: int, seed: int) -> dict[str, Interval]:
    """Return the 2.5th and 97.5th percentile of each score over `samples` resamples of `count` examples.

    A resample in which a score is not defined (NaN) does not count; no samples, no intervals.
    """
    parts = [scorer(weights) for weights in resamples(count, samples, seed)]
    every = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}
    return {name: interval(values) for name, values in every.items() if np.isfinite(values).any()}


def paired_drop(
    before: Scorer,
    after: Scorer,
    metric: str,
    count: int,
    samples: int = 1000,
    seed: int = 0,
    greater_is_better: bool = True,
) -> PairedDrop:
    """Test whether the model behind `after` is worse than that behind `before` on `count` examples.

    Both are scored on the same resamples. Their drops lie around the measured one as drops of equally good models
    would lie around zero: the p-value, one-sided, is the share of resamples that exceed the measured drop by that
    drop or more, the examples themselves counted as one more. A resample without a score (NaN) does not count; a
    metric without a score has the p-value NaN.
    Source: Berg-Kirkpatrick et al. 2012, An Empirical Investigation of Statistical Significance in NLP, section 2;
    of the one more: Davison & Hinkley 1997, Bootstrap Methods and their Application, equation 4.11.
    """

    def drops(weights: Weights) -> NDArray[np.float64]:  # (R,)
        change = after(weights)[metric] - before(weights)[metric]
        return -change if greater_is_better else change

    drop = float(drops(np.ones((1, count), np.float32))[0])
    resampled = np.concatenate([drops(weights) for weights in resamples(count, samples, seed)])
    resampled = resampled[np.isfinite(resampled)]
    exceeding = int((resampled >= 2 * drop - SCORE_ERROR).sum())
    p_value = (exceeding + 1) / (len(resampled) + 1) if np.isfinite(drop) else np.nan
    return PairedDrop(100 * drop, p_value)


def resamples(count: int, samples: int, seed: int) -> Iterator[Weights]:
    """Yield weights (r, count) of resamples with replacement, `samples` rows in all."""
    rng = np.random.default_rng(seed)
    rows = max(1, WEIGHTS_AT_ONCE // count)
    for start in range(0, samples, rows):
        r = min(rows, samples - start)
        drawn = rng.integers(count, size=(r, count)) + np.arange(r)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=r * count).reshape(r, count).astype(np.float32)


def weights_by_value(weights: Sequence[NDArray[np.float32]], values: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Sum each of `weights` (R, N) over examples of equal value: (R, distinct values), values ascending."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    return [np.add.reduceat(each[:, order], starts, axis=1, dtype=np.float64) for each in weights]


def interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
