"""Makes a classifier's scores mean what they say: one temperature, fitted on validation logits."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_LOG_BOUNDS = (np.log(0.05), np.log(20.0))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the T in 0.05..20 for which softmax(logits / T) gives the labels the highest likelihood.

    ``logits``: (N, C); ``labels``: (N,) class ids. The scores' order, and so the accuracy, does not change.
    Raises ``ValueError`` when the shapes do not match or there is nothing to fit.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    _check(logits, labels)
    rows = np.arange(len(labels))

    def negative_log_likelihood(log_temperature: float) -> float:
        log_scores = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)  # (N, C)
        return float(-log_scores[rows, labels].mean())

    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=_LOG_BOUNDS, method="bounded").x))


def expected_calibration_error(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0, bins: int = 15
) -> float:
    """Return the mean gap, 0..1, between the confidence of the best label and its accuracy.

    ``logits``: (N, C); ``labels``: (N,) class ids. Confidences are put into ``bins`` of equal width, and each
    bin's gap is weighted by the share of examples in it. Source: as for ``fit_temperature``.
    """
    _check(logits, labels)
    scores = softmax(logits.astype(np.float64) / temperature, axis=1)  # (N, C)
    confidence = scores.max(axis=1)  # (N,)
    correct = scores.argmax(axis=1) == labels  # (N,)
    of_bin = np.minimum((confidence * bins).astype(np.int64), bins - 1)  # (N,)
    gaps = np.bincount(of_bin, weights=confidence - correct, minlength=bins)  # (bins,) sums, not means
    return float(np.abs(gaps).sum() / len(labels))


def _check(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(f"expected logits (N, C) and labels (N,), found {logits.shape} and {labels.shape}")
