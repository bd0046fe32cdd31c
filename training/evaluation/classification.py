"""Scores of predicted labels: one of several, any number of several, or a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from app.bundle import ProblemType
from training.data import ClassificationExample
from training.evaluation.bootstrap import Scorer, Scores, Weights, score_once, weights_by_value
from training.evaluation.protocols import Classify, FloatArray, IntArray
from training.evaluation.regression import regression_scorer, targets_of

Floats = NDArray[np.float64]


def evaluate_classification(
    examples: Sequence[ClassificationExample],
    labels: Sequence[str],
    predict: Classify,
    problem_type: ProblemType = "single_label_classification",
    thresholds: Sequence[float] | None = None,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Return the scores of a classifier; `labels` names the logits in order.

    One label of several: `accuracy`, `macro_f1`, `micro_f1` (0..1) and `mcc` (-1..1). Any number:
    `macro_f1`, `micro_f1` and `subset_accuracy`, the share of texts with every label right; a label is
    predicted where sigmoid(logit / `temperature`) reaches its entry in `thresholds` (none: 0.5).
    Regression: `pearson`, `spearman`, `rmse` and `mae`.
    """
    logits = predict_logits(examples, predict)
    if problem_type == "regression":
        return score_once(regression_scorer(targets_of(examples), logits[:, 0].astype(np.float64)), len(examples))
    truth = label_matrix(examples, labels)
    guess = decide(scores_of(logits, problem_type, temperature), problem_type, thresholds)
    return score_once(label_scorer(truth, guess, problem_type), len(examples))


def predict_logits(examples: Sequence[ClassificationExample], predict: Classify) -> FloatArray:
    """Return logits (N, C)."""
    return np.stack(predict([example.model_input for example in examples]))


def label_matrix(examples: Sequence[ClassificationExample], labels: Sequence[str]) -> IntArray:
    """Return (N, C): 1 where an example has a label; raises `KeyError` when `labels` lacks one."""
    column = {label: index for index, label in enumerate(labels)}
    matrix = np.zeros((len(examples), len(labels)), dtype=np.int64)
    for row, example in enumerate(examples):
        matrix[row, [column[label] for label in example.labels]] = 1
    return matrix


def scores_of(logits: FloatArray, problem_type: ProblemType, temperature: float = 1.0) -> Floats:
    """Return the scores (N, C) in 0..1 that the service answers with."""
    scaled = logits.astype(np.float64) / temperature
    scores: Floats = expit(scaled) if problem_type == "multi_label_classification" else softmax(scaled, axis=1)
    return scores


def decide(scores: Floats, problem_type: ProblemType, thresholds: Sequence[float] | None = None) -> IntArray:
    """Return (N, C): 1 where a label is predicted, the best one or all that reach their threshold (none: 0.5)."""
    if problem_type == "multi_label_classification":
        reached: IntArray = (scores >= np.array(0.5 if thresholds is None else thresholds)).astype(np.int64)
        return reached
    best: IntArray = np.eye(scores.shape[1], dtype=np.int64)[scores.argmax(axis=1)]
    return best


def label_scorer(truth: IntArray, guess: IntArray, problem_type: ProblemType) -> Scorer:
    """Return a scorer of predicted labels; `truth` and `guess`: (N, C) of 0 and 1.

    `macro_f1` is the mean over labels that occur in the truth or in a prediction.
    """
    counts = np.hstack([truth * guess, guess, truth]).astype(np.float32)  # (N, 3 C)
    exact = (truth == guess).all(axis=1).astype(np.float32)  # (N,)

    def score(weights: Weights) -> Scores:
        hits, guessed, true = np.split((weights @ counts).astype(np.float64), 3, axis=1)  # (R, C) each
        accuracy = (weights @ exact).astype(np.float64) / weights.sum(axis=1)
        f1 = {
            "macro_f1": macro_f1(hits, guessed, true),
            "micro_f1": f1_of(*(each.sum(axis=1) for each in (hits, guessed, true))),
        }
        if problem_type == "multi_label_classification":
            return f1 | {"subset_accuracy": accuracy}
        return {"accuracy": accuracy} | f1 | {"mcc": matthews(hits, guessed, true)}

    return score


def f1_of(hits: Floats, guessed: Floats, true: Floats) -> Floats:
    """Return 2 `hits` / (`guessed` + `true`), 0 where there is neither."""
    return share_of(2 * hits, guessed + true)


def share_of(part: Floats, whole: Floats) -> Floats:
    """Return `part` / `whole`, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def macro_f1(hits: Floats, guessed: Floats, true: Floats) -> Floats:
    """Return the mean F1 (R,) over the labels in use; the arguments are (R, C)."""
    in_use = (guessed + true > 0).sum(axis=1)
    return share_of(f1_of(hits, guessed, true).sum(axis=1), in_use)


def matthews(hits: Floats, guessed: Floats, true: Floats) -> Floats:
    """Return Matthews' correlation (R,), -1..1, 0 where one side is constant; the arguments are (R, C).

    Source: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient.
    """
    total = true.sum(axis=1)
    above = hits.sum(axis=1) * total - (guessed * true).sum(axis=1)
    below = (total**2 - (guessed**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    result: Floats = np.divide(above, np.sqrt(below), out=np.zeros_like(above), where=below > 0)
    return result


def ranking_scorer(positive: IntArray, scores: Floats) -> Scorer:
    """Return a scorer of `roc_auc` and `average_precision` of one label, NaN where it has or lacks it all.

    `positive` and `scores`: (N,).
    """

    def score(weights: Weights) -> Scores:
        true, false = weights_by_value([weights * positive, weights * (1 - positive)], scores)  # (R, values)
        below = false.cumsum(axis=1) - false / 2  # of each value: those it is rightly above, ties by half
        true, false, below = true[:, ::-1], false[:, ::-1], below[:, ::-1]
        precision = share_of(true.cumsum(axis=1), (true + false).cumsum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "roc_auc": (true * below).sum(axis=1) / (true.sum(axis=1) * false.sum(axis=1)),
                "average_precision": (true * precision).sum(axis=1) / true.sum(axis=1),
            }

    return score
