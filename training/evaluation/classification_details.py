"""The whole evaluation of a classifier with one label per text, or any number of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.bundle import ProblemType
from training.data import ClassificationExample, Labeling
from training.evaluation.bootstrap import Interval, bootstrap_intervals, score_once
from training.evaluation.calibration import Reliability, reliability, reliability_by_count
from training.evaluation.classification import (
    Floats,
    decide,
    f1_of,
    label_matrix,
    label_scorer,
    ranking_scorer,
    scores_of,
    share_of,
)
from training.evaluation.protocols import FloatArray, IntArray
from training.evaluation.record import Curve, Evaluation, Row, Table, Trial, rounded, worst
from training.evaluation.scoring import Scoring

SCORES_SHOWN = 5
CURVE_POINTS = 200
SMALLEST = 1e-12  # of a probability, before its logarithm


def classification_details(
    examples: Sequence[ClassificationExample], logits: FloatArray, labeling: Labeling, scoring: Scoring, trial: Trial
) -> Evaluation:
    """Evaluate logits (N, C). Of two labels the second is the one that ROC and precision-recall curves are of."""
    labels, problem_type = labeling.labels, labeling.problem_type or "single_label_classification"
    thresholds, config = scoring.thresholds_of(labels), trial.config
    truth = label_matrix(examples, labels)
    scores = scores_of(logits, problem_type, scoring.temperature)
    guess = decide(scores, problem_type, thresholds)
    scorers = [label_scorer(truth, guess, problem_type)]
    curves, errors = calibration_curves(logits, truth, problem_type, scoring.temperature)
    single = problem_type == "single_label_classification"
    if single and len(labels) == 2:
        scorers.append(ranking_scorer(truth[:, 1], scores[:, 1]))
        curves |= ranking_curves(truth[:, 1], scores[:, 1])
    metrics: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    for scorer in scorers:
        metrics |= score_once(scorer, len(examples))
        intervals |= bootstrap_intervals(scorer, len(examples), config.bootstrap_samples, trial.seed)
    metrics |= errors
    predictions = prediction_rows(examples, labels, truth, guess, scores, single=single)
    return Evaluation(
        trial,
        problem_type,
        labels,
        len(examples),
        metrics=metrics,
        intervals=intervals,
        tables={"per_label": per_label(labels, truth, guess, thresholds if not single else None)},
        confusion=truth.T @ guess if single else None,
        curves=curves,
        predictions=predictions,
        mistakes=worst(predictions, config.mistakes),
    )


def per_label(
    labels: Sequence[str], truth: IntArray, guess: IntArray, thresholds: Sequence[float] | None = None
) -> Table:
    """Return precision, recall and F1 of each label and its id, how often it occurs, its threshold if it has one."""
    hits, guessed, true = (each.sum(axis=0).astype(np.float64) for each in (truth * guess, guess, truth))
    columns = [share_of(hits, guessed), share_of(hits, true), f1_of(hits, guessed, true)]
    rows = zip(
        labels, range(len(labels)), *(column.tolist() for column in columns), truth.sum(axis=0).tolist(), strict=True
    )
    names = ("label", "id", "precision", "recall", "f1", "support")
    if thresholds is None:
        return Table(names, list(rows))
    return Table((*names, "threshold"), [(*row, float(at)) for row, at in zip(rows, thresholds, strict=True)])


def ranking_curves(positive: IntArray, scores: Floats) -> dict[str, Curve]:
    """Return `roc` (false by true positive rate) and `precision_recall` (recall by precision), thinned out."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)  # equal scores stand or fall together
    hits, predicted = positive[order].cumsum()[last], last + 1
    recall = share_of(hits.astype(np.float64), np.full(len(hits), positive.sum()))
    false_rate = share_of((predicted - hits).astype(np.float64), np.full(len(hits), (1 - positive).sum()))
    keep = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).round().astype(int))
    return {
        "roc": Curve(np.append(0.0, false_rate[keep]), np.append(0.0, recall[keep])),
        "precision_recall": Curve(recall[keep], (hits / predicted)[keep]),
    }


def calibration_curves(
    logits: FloatArray, truth: IntArray, problem_type: ProblemType, temperature: float
) -> tuple[dict[str, Curve], dict[str, float]]:
    """Return the reliability before and after the temperature, and the two calibration errors."""
    targets: NDArray[np.int64] = truth if problem_type == "multi_label_classification" else truth.argmax(axis=1)
    before, after = reliability(logits, targets), reliability(logits, targets, temperature)
    curves = {"reliability": curve(reliability_by_count(logits, targets, temperature))}
    if temperature == 1.0:
        return curves, {"ece": after.error}
    curves = {"reliability_before_temperature": curve(reliability_by_count(logits, targets))} | curves
    return curves, {"ece_before_temperature": before.error, "ece": after.error}


def curve(of: Reliability) -> Curve:
    return Curve(of.confidence, of.accuracy)


def prediction_rows(
    examples: Sequence[ClassificationExample],
    labels: Sequence[str],
    truth: IntArray,
    guess: IntArray,
    scores: Floats,
    *,
    single: bool,
) -> list[Row]:
    """Return an object per example; `loss` is the cross-entropy, of several labels their mean."""
    likelihood = np.log(np.maximum(np.where(truth == 1, scores, 1 if single else 1 - scores), SMALLEST))  # (N, C)
    losses = -likelihood.sum(axis=1) if single else -likelihood.mean(axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :SCORES_SHOWN]
    rows: list[Row] = []
    for index, example in enumerate(examples):
        guessed = [labels[column] for column in np.flatnonzero(guess[index]).tolist()]
        row: Row = {"text": example.text}
        if example.text_pair is not None:
            row["text_pair"] = example.text_pair
        row["truth"] = example.labels[0] if single else sorted(example.labels)
        row["prediction"] = guessed[0] if single else sorted(guessed)
        row["correct"] = bool((truth[index] == guess[index]).all())
        row["scores"] = rounded({labels[column]: scores[index, column] for column in best[index].tolist()})
        row["loss"] = round(float(losses[index]), 5)
        rows.append(row)
    return rows
