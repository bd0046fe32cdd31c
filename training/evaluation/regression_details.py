"""The whole evaluation of a regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data import ClassificationExample, Labeling
from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.protocols import FloatArray
from training.evaluation.record import Curve, Evaluation, Row, Trial, Words, worst
from training.evaluation.regression import Floats, regression_scorer, targets_of


def regression_details(
    examples: Sequence[ClassificationExample], logits: FloatArray, labeling: Labeling, trial: Trial
) -> Evaluation:
    """Evaluate predicted numbers (N, 1); the worst mistakes are those that are furthest off."""
    truth = targets_of(examples)
    guess = logits[:, 0].astype(np.float64)
    scorer = regression_scorer(truth, guess)
    predictions = prediction_rows(examples, truth, guess)
    return Evaluation(
        trial,
        "regression",
        labeling.labels,
        len(examples),
        metrics=score_once(scorer, len(examples)),
        intervals=bootstrap_intervals(scorer, len(examples), trial.config.bootstrap_samples, trial.seed),
        curves={"regression": Curve(truth, guess)},
        predictions=predictions,
        mistakes=worst(predictions, trial.config.mistakes),
        words=Words(mistakes="Predictions that are furthest off."),
    )


def prediction_rows(examples: Sequence[ClassificationExample], truth: Floats, guess: Floats) -> list[Row]:
    """Return an object per example; `loss` is the squared error."""
    rows: list[Row] = []
    for example, true, guessed in zip(examples, truth.tolist(), guess.tolist(), strict=True):
        row: Row = {"text": example.text}
        if example.text_pair is not None:
            row["text_pair"] = example.text_pair
        loss = round((guessed - true) ** 2, 5)
        rows.append(row | {"truth": true, "prediction": round(guessed, 5), "correct": loss == 0, "loss": loss})
    return rows
