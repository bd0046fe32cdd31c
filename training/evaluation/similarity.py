"""Scores of vectors: whether similar texts are near, by rank, and whether nearness grows with given scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.similarity import SimilarityExample, are_scored
from training.evaluation.bootstrap import Scorer, Scores, Weights
from training.evaluation.protocols import FloatArray
from training.evaluation.regression import correlation, ranks

RECALLS = (1, 5, 10)  # how many of the nearest texts are looked at
EQUAL = 1e-6  # cosines that differ by less are equal
QUERIES_AT_ONCE = 256

Floats = NDArray[np.float64]


def distinct_texts(examples: Iterable[SimilarityExample]) -> list[str]:
    """Return every text of the examples once, in order: what vectors are made of."""
    return list(dict.fromkeys(text for example in examples for text in example.texts))


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors (N, width) of length 1; a vector of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(lengths, 1e-12)
    return scaled


def similarity_scorer(examples: Sequence[SimilarityExample], vectors: FloatArray) -> Scorer:
    """Return the scorer of scored pairs, or that of pairs and triplets; `vectors`: of the distinct texts, in order."""
    if are_scored(examples):
        return correlation_scorer(scores_of(examples), cosines(examples, vectors))
    return retrieval_scorer(examples, vectors)


def scores_of(examples: Sequence[SimilarityExample]) -> Floats:
    """Return the score of each example (N,)."""
    return np.array([example.score for example in examples], dtype=np.float64)


def cosines(examples: Sequence[SimilarityExample], vectors: FloatArray) -> Floats:
    """Return the cosine of each example's two texts (N,)."""
    place = {text: row for row, text in enumerate(distinct_texts(examples))}
    scaled = unit(vectors)
    one = scaled[[place[example.text] for example in examples]]
    other = scaled[[place[example.other or example.text] for example in examples]]
    products: Floats = np.einsum("nw,nw->n", one, other, dtype=np.float64)
    return products


def correlation_scorer(truth: Floats, guess: Floats) -> Scorer:
    """Return a scorer of `spearman` and `pearson` (-1..1) of scores and cosines, (N,) each."""

    def score(weights: Weights) -> Scores:
        return {
            "spearman": correlation(weights, ranks(weights, truth), ranks(weights, guess)),
            "pearson": correlation(weights, truth[None], guess[None]),
        }

    return score


def retrieval_scorer(examples: Sequence[SimilarityExample], vectors: FloatArray) -> Scorer:
    """Return a scorer of `mrr` and `recall_at_K`: how early each text finds what is similar to it among all others.

    With negatives also of `triplet_accuracy`: the share of triplets whose negative is less near than the positive.
    """
    found, _ = find_similar(examples, vectors)
    values = {"mrr": 1 / found} | {f"recall_at_{k}": (found <= k).astype(np.float64) for k in RECALLS}
    if any(example.negatives for example in examples):
        values["triplet_accuracy"] = triplets_won(examples, vectors)

    def score(weights: Weights) -> Scores:
        return {name: mean_of(weights, each) for name, each in values.items()}

    return score


def mean_of(weights: Weights, values: Floats) -> Floats:
    """Return the weighted mean (R,) of those values (N,) that are known; NaN where none is."""
    known = np.isfinite(values)
    total = weights[:, known].sum(axis=1, dtype=np.float64)
    sums = weights[:, known].astype(np.float64) @ values[known]
    mean: Floats = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return mean


def find_similar(examples: Sequence[SimilarityExample], vectors: FloatArray) -> tuple[Floats, list[str]]:
    """Return the rank (N,) at which each example's text finds a similar one, from 1, and the nearest other text.

    It looks among the second texts and the negatives of all examples. Of several similar texts the first one that is
    found counts; texts that are equally near share their mean rank.
    """
    texts = distinct_texts(examples)
    place = {text: row for row, text in enumerate(texts)}
    answers = sorted({place[text] for example in examples for text in example.texts[1:]})
    column = {row: number for number, row in enumerate(answers)}
    similar: dict[str, set[int]] = {}
    for example in examples:
        similar.setdefault(example.text, set()).add(column[place[example.other or example.text]])
    scaled = unit(vectors)
    rows = [place[example.text] for example in examples]
    found, nearest = np.empty(len(examples)), []
    for start in range(0, len(examples), QUERIES_AT_ONCE):
        some = rows[start : start + QUERIES_AT_ONCE]
        near = scaled[some] @ scaled[answers].T  # (queries, answers)
        for offset, (row, likeness) in enumerate(zip(some, near, strict=True)):
            if row in column and column[row] not in similar[texts[row]]:
                likeness[column[row]] = -np.inf  # a text does not look for itself
            found[start + offset] = rank_of(likeness, sorted(similar[texts[row]]))
            nearest.append(texts[answers[int(likeness.argmax())]])
    return found, nearest


def rank_of(likeness: FloatArray, similar: Sequence[int]) -> float:
    """Return the rank of the nearest of some columns, from 1, the other similar ones left out."""
    best = likeness[similar].max()
    others = np.delete(likeness, similar)
    before = int((others > best + EQUAL).sum())
    equal = int((np.abs(others - best) <= EQUAL).sum())
    return 1 + before + equal / 2


def triplets_won(examples: Sequence[SimilarityExample], vectors: FloatArray) -> Floats:
    """Return for each example the share of its negatives that are less near than the positive (N,), NaN for none."""
    place = {text: row for row, text in enumerate(distinct_texts(examples))}
    scaled = unit(vectors)
    won = np.full(len(examples), np.nan)
    for number, example in enumerate(examples):
        if example.negatives and example.other is not None:
            anchor = scaled[place[example.text]]
            margins = anchor @ scaled[place[example.other]] - scaled[[place[t] for t in example.negatives]] @ anchor
            won[number] = float((margins > EQUAL).mean())
    return won
