"""Makes a classifier's scores mean what they say: a temperature and thresholds, fitted on validation logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from training.data import Labeling
from training.evaluation.scoring import Scoring

LEAST_IN_BIN = 10  # scores
LOG_BOUNDS = (np.log(0.05), np.log(20.0))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """What a score of about `confidence` is worth, per bin that is not empty: (bins,) each.

    `accuracy`: how often it is right. `share`: of the scores that fall into the bin.
    """

    confidence: Floats
    accuracy: Floats
    share: Floats

    @property
    def error(self) -> float:
        """The expected calibration error, 0..1."""
        return float((self.share * np.abs(self.confidence - self.accuracy)).sum())


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the T in 0.05..20 for which the scores of logits / T give the labels the highest likelihood.

    `logits`: (N, C). `labels`: (N,) class ids, for softmax; or (N, C) of 0 and 1, for a sigmoid of each. The
    scores' order, and so the accuracy, does not change. Raises `ValueError` when the shapes do not match or
    there is nothing to fit. Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    check(logits, labels)
    logits = logits.astype(np.float64)
    signs = 1.0 - 2.0 * labels  # -1 where a label applies, else 1: its loss is log(1 + exp(sign * logit))

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)  # (N, C)
        if labels.ndim == 2:
            return float(np.logaddexp(0, signs * scaled).mean())
        return float(-np.take_along_axis(log_softmax(scaled, axis=1), labels[:, None], axis=1).mean())

    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=LOG_BOUNDS, method="bounded").x))


def fit_thresholds(logits: NDArray[np.floating], truth: NDArray[np.integer]) -> list[float]:
    """Return for each label the score in 0..1 from which on predicting it has the highest F1.

    `logits`: (N, C), divided by the temperature if there is one. `truth`: (N, C) of 0 and 1. A threshold lies
    midway between two scores; of equally good ones the nearest to 0.5 is taken, and 0.5 for a label that the
    truth lacks. Raises `ValueError` when the shapes do not match or there is nothing to fit.
    Source: Lipton et al. 2014, Thresholding Classifiers to Maximize F1 Score, arXiv:1402.1892.
    """
    check(logits, truth)
    scores = expit(logits.astype(np.float64))
    return [best_threshold(scores[:, label], truth[:, label]) for label in range(scores.shape[1])]


def fit_scoring(logits: NDArray[np.floating], truth: NDArray[np.integer], labeling: Labeling) -> Scoring:
    """Fit a classifier's temperature, and a multi-label one's thresholds, on validation.

    `logits` and `truth` (0 and 1): (N, C). Nothing is fitted for a regression, or for a single output.
    """
    if labeling.problem_type == "regression" or len(labeling.labels) < 2:
        return Scoring()
    is_multi_label = labeling.problem_type == "multi_label_classification"
    temperature = fit_temperature(logits, truth if is_multi_label else truth.argmax(axis=1))
    if not is_multi_label:
        return Scoring(temperature)
    thresholds = fit_thresholds(logits / temperature, truth)
    return Scoring(temperature, dict(zip(labeling.labels, thresholds, strict=True)))


def calibration_errors(
    logits: NDArray[np.floating], truth: NDArray[np.integer], labeling: Labeling, temperature: float
) -> dict[str, float]:
    """Return the expected calibration error of logits (N, C) with and without the temperature."""
    targets = truth if labeling.problem_type == "multi_label_classification" else truth.argmax(axis=1)
    return {
        "ece_before_temperature": expected_calibration_error(logits, targets),
        "ece": expected_calibration_error(logits, targets, temperature),
    }


def expected_calibration_error(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0, bins: int = 15
) -> float:
    """Return the mean gap, 0..1, between a score and how often it is right; see `reliability`."""
    return reliability(logits, labels, temperature, bins).error


def reliability(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0, bins: int = 15
) -> Reliability:
    """Compare scores with how often they are right, in `bins` of equal width.

    `logits`: (N, C). `labels`: (N,) class ids: the score of each text's best label counts. Or (N, C) of 0
    and 1: the score of each label of each text counts. Source: as for `fit_temperature`.
    """
    check(logits, labels)
    confidence, correct = scores_and_truth(logits, labels, temperature)
    of_bin = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(of_bin, minlength=bins)  # (bins,)
    used = count > 0

    def mean(values: NDArray[np.generic]) -> Floats:
        return np.bincount(of_bin, weights=values, minlength=bins)[used] / count[used]

    return Reliability(mean(confidence), mean(correct), count[used] / len(confidence))


def reliability_by_count(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0, bins: int = 15
) -> Reliability:
    """Compare scores with how often they are right, in bins of equally many scores, at least `LEAST_IN_BIN` each.

    Bins of equal width leave most of a sure model's scores in one bin, and a handful in each of the others.
    Arguments as of `reliability`. Source: Nixon et al. 2019, Measuring Calibration in Deep Learning, arXiv:1904.01685.
    """
    check(logits, labels)
    confidence, correct = scores_and_truth(logits, labels, temperature)
    count = max(1, min(bins, len(confidence) // LEAST_IN_BIN))
    groups = np.array_split(np.argsort(confidence, kind="stable"), count)
    sizes = np.array([len(group) for group in groups])
    means = [[values[group].mean() for group in groups] for values in (confidence, correct.astype(np.float64))]
    return Reliability(np.array(means[0]), np.array(means[1]), sizes / len(confidence))


def scores_and_truth(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float
) -> tuple[Floats, NDArray[np.generic]]:
    """Return scores and whether each is right: (N,) of the best labels, or (N * C,) of labels of 0 and 1."""
    scaled = logits.astype(np.float64) / temperature
    if labels.ndim == 2:
        return expit(scaled).ravel(), labels.ravel()
    return softmax(scaled, axis=1).max(axis=1), scaled.argmax(axis=1) == labels


def best_threshold(scores: Floats, truth: NDArray[np.integer]) -> float:
    """Return the best threshold for one label; `scores` and `truth`: (N,)."""
    order = np.argsort(-scores, kind="stable")
    ranked = np.append(scores[order], 0.0)  # (N + 1,)
    hits, predicted = truth[order].cumsum(), np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (predicted + truth.sum())  # (N,): when the first n are predicted
    possible = ranked[:-1] > ranked[1:]  # equal scores stand or fall together
    if not truth.any() or not possible.any():
        return 0.5
    thresholds, f1 = (ranked[:-1] + ranked[1:])[possible] / 2, f1[possible]
    best = thresholds[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def check(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if logits.ndim != 2 or labels.shape not in (logits.shape[:1], logits.shape) or len(labels) == 0:
        raise ValueError(f"expected logits (N, C) and labels (N,) or (N, C), found {logits.shape} and {labels.shape}")
