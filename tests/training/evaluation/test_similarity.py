"""Scores of vectors, against hand-made cases and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from training.config import EvaluationConfig
from training.data.similarity import SimilarityExample
from training.evaluation.bootstrap import score_once
from training.evaluation.record import Trial
from training.evaluation.similarity import distinct_texts, find_similar, similarity_scorer
from training.evaluation.similarity_details import similarity_details

PAIRS = [SimilarityExample("a", "A"), SimilarityExample("b", "B"), SimilarityExample("c", "C", ("D",))]
AT = {"a": 0, "A": 5, "b": 90, "B": 80, "c": 40, "C": 60, "D": 45}  # degrees


def vectors(examples, degrees):
    angles = np.radians([degrees[text] for text in distinct_texts(examples)])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3


def scores(examples, degrees):
    return score_once(similarity_scorer(examples, vectors(examples, degrees)), len(examples))


def test_a_text_is_found_among_all_second_texts_and_negatives():
    ranks, nearest = find_similar(PAIRS, vectors(PAIRS, AT))
    assert (ranks.tolist(), nearest) == ([1, 1, 2], ["A", "B", "D"])
    found = scores(PAIRS, AT)
    assert found["mrr"] == pytest.approx(2.5 / 3)
    assert (found["recall_at_1"], found["recall_at_5"]) == (pytest.approx(2 / 3), 1.0)
    assert found["triplet_accuracy"] == 0.0


def test_equal_vectors_find_nothing_first():
    assert scores(PAIRS, dict.fromkeys(AT, 10))["recall_at_1"] == 0.0
    assert scores(PAIRS, dict.fromkeys(AT, 10))["mrr"] < 0.5


def test_any_of_several_similar_texts_counts_and_a_text_does_not_find_itself():
    both = [SimilarityExample("a", "A"), SimilarityExample("a", "B"), SimilarityExample("A", "a")]
    assert find_similar(both, vectors(both, {"a": 0, "A": 5, "B": 2}))[0].tolist() == [1, 1, 2]


def test_correlations_are_scipys():
    generator = np.random.default_rng(5)
    degrees = {f"{name}{i}": generator.uniform(0, 180) for i in range(40) for name in "xy"}
    examples = [SimilarityExample(f"x{i}", f"y{i}", score=float(i % 6)) for i in range(40)]
    truth = [example.score for example in examples]
    guess = [np.cos(np.radians(degrees[f"x{i}"] - degrees[f"y{i}"])) for i in range(40)]
    found = scores(examples, degrees)
    assert found["spearman"] == pytest.approx(spearmanr(truth, guess).statistic, abs=1e-6)
    assert found["pearson"] == pytest.approx(pearsonr(truth, guess).statistic, abs=1e-6)


SCORED = [SimilarityExample(*"aA", score=3), SimilarityExample(*"bD", score=5), SimilarityExample(*"cC", score=1)]


@pytest.mark.parametrize(("examples", "worst", "curves"), [(PAIRS, "c", []), (SCORED, "b", ["cosines"])])
def test_the_report_shows_the_worst_first(examples, worst, curves):
    trial = Trial("feature-extraction", "mrr", "fp32", "test", EvaluationConfig(bootstrap_samples=20))
    evaluation = similarity_details(examples, vectors(examples, AT), trial)
    assert evaluation.mistakes[0]["text"] == worst
    assert set(evaluation.intervals) == set(evaluation.metrics)
    assert list(evaluation.curves) == curves
