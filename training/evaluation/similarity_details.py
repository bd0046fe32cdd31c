"""The whole evaluation of vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from training.data.similarity import SimilarityExample, are_scored
from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.protocols import FloatArray
from training.evaluation.record import Curve, Evaluation, Row, Trial, Words, worst
from training.evaluation.similarity import cosines, find_similar, scores_of, similarity_scorer


def similarity_details(examples: Sequence[SimilarityExample], vectors: FloatArray, trial: Trial) -> Evaluation:
    """Evaluate vectors of the examples' distinct texts, in order."""
    scorer, count = similarity_scorer(examples, vectors), len(examples)
    scored = are_scored(examples)
    predictions = scored_rows(examples, vectors) if scored else found_rows(examples, vectors)
    truth, guess = (scores_of(examples), cosines(examples, vectors)) if scored else (None, None)
    return Evaluation(
        trial,
        None,
        (),
        count,
        metrics=score_once(scorer, count),
        intervals=bootstrap_intervals(scorer, count, trial.config.bootstrap_samples, trial.seed),
        curves={} if truth is None or guess is None else {"cosines": Curve(truth, guess)},
        predictions=predictions,
        mistakes=worst(predictions, trial.config.mistakes),
        words=SCORED if scored else FOUND,
    )


SCORED = Words(counted="pairs", resampled="pairs", mistakes="Pairs whose place among all is furthest off.")
FOUND = Words(
    counted="pairs", resampled="pairs", mistakes="Texts that found another one before a similar one, the last first."
)


def scored_rows(examples: Sequence[SimilarityExample], vectors: FloatArray) -> list[Row]:
    """Return an object per pair; `loss`: how far its rank by cosine is from that by score, as a share of all."""
    truth, guess = scores_of(examples), cosines(examples, vectors)
    off = np.abs(rankdata(truth) - rankdata(guess)) / len(examples)
    return [
        {
            "text": example.text,
            "text_pair": example.other,
            "truth": example.score,
            "prediction": round(float(cosine), 5),
            "correct": bool(loss == 0),
            "loss": round(float(loss), 5),
        }
        for example, cosine, loss in zip(examples, guess, off, strict=True)
    ]


def found_rows(examples: Sequence[SimilarityExample], vectors: FloatArray) -> list[Row]:
    """Return an object per text: what is similar to it, and what was nearest; `loss`: the logarithm of the rank."""
    ranks, nearest = find_similar(examples, vectors)
    return [
        {
            "text": example.text,
            "truth": example.other,
            "prediction": found,
            "rank": float(rank),
            "correct": bool(rank <= 1),
            "loss": round(math.log(rank), 5),
        }
        for example, found, rank in zip(examples, nearest, ranks, strict=True)
    ]
