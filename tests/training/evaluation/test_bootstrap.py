"""The paired test: what one model loses against another on the same examples, and whether that may be chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from training.evaluation.bootstrap import paired_drop
from training.evaluation.classification import label_scorer
from training.evaluation.regression import regression_scorer

EVERY_TEXT = 546


def scorer_of(right):
    """Return a scorer of two labels that are predicted rightly where `right` (N,) says so."""
    truth = np.eye(2, dtype=np.int64)[np.arange(len(right)) % 2]
    return label_scorer(truth, np.where(right[:, None], truth, 1 - truth), "single_label_classification")


def drop_of(lost, won=0, metric="accuracy", **options):
    """Compare two models that err on 100 texts, but for `lost` and `won` ones; 546 texts in all."""
    before, after = np.arange(EVERY_TEXT) >= 100, np.arange(EVERY_TEXT) >= 100
    after[100 : 100 + lost], after[:won] = False, True
    return paired_drop(scorer_of(before), scorer_of(after), metric, EVERY_TEXT, **options)


def test_a_model_loses_nothing_against_itself():
    for metric in ("accuracy", "macro_f1", "mcc"):
        drop = drop_of(0, metric=metric)
        assert (drop.points, drop.p_value) == (0.0, 1.0)


def test_three_of_546_texts_may_be_chance_and_sixty_are_not():
    few, many = drop_of(3), drop_of(60)
    assert few.points == pytest.approx(100 * 3 / 546)
    assert few.p_value > 0.05
    assert many.points == pytest.approx(100 * 60 / 546)
    assert many.p_value == pytest.approx(1 / 1001)


@pytest.mark.parametrize("lost", [1, 3, 5, 8])
def test_the_p_value_of_lost_texts_is_that_of_the_binomial_distribution(lost):
    """With n texts lost, a resample exceeds that loss by as much again where it draws 2 n or more of them."""
    expected = binom.sf(2 * lost - 1, EVERY_TEXT, lost / EVERY_TEXT)
    assert drop_of(lost, samples=20_000).p_value == pytest.approx(expected, rel=0.15, abs=0.003)


def test_the_more_texts_are_lost_the_smaller_is_the_p_value():
    p_values = [drop_of(lost).p_value for lost in (0, 1, 2, 4, 8, 16, 32)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] > 0.9 > 0.01 > p_values[-1]


def test_texts_won_back_make_the_same_loss_less_certain():
    assert drop_of(8).p_value < 0.05 < drop_of(28, won=20).p_value
    assert drop_of(28, won=20).points == pytest.approx(drop_of(8).points)


def test_a_better_model_has_a_p_value_near_one():
    drop = drop_of(0, won=20)
    assert drop.points == pytest.approx(-100 * 20 / 546)
    assert drop.p_value > 0.99


def test_of_an_error_less_is_better():
    truth = np.random.default_rng(0).normal(size=200)
    close, far = (regression_scorer(truth, truth + error) for error in (0.1, 0.3))
    worse = paired_drop(close, far, "rmse", 200, greater_is_better=False)
    assert worse.points == pytest.approx(20.0)
    assert worse.p_value == pytest.approx(1 / 1001)
    assert paired_drop(far, close, "rmse", 200, greater_is_better=False).p_value == 1.0


def test_the_same_seed_draws_the_same_resamples_for_both(monkeypatch):
    drawn = {"before": [], "after": []}

    def recorded(name):
        return lambda weights: drawn[name].append(weights) or {"accuracy": weights @ np.ones(10) / 10}

    monkeypatch.setattr("training.evaluation.bootstrap.WEIGHTS_AT_ONCE", 70)  # 7 resamples of 10 examples at a time
    paired_drop(recorded("before"), recorded("after"), "accuracy", 10, samples=20)
    np.testing.assert_array_equal(np.concatenate(drawn["before"]), np.concatenate(drawn["after"]))
    assert len(np.concatenate(drawn["after"])) == 1 + 20
    assert drop_of(5, seed=1) == drop_of(5, seed=1) != drop_of(5, seed=2)


def test_what_has_no_score_has_no_p_value_and_a_resample_without_one_does_not_count():
    undefined = paired_drop(lambda w: {"f1": np.full(len(w), np.nan)}, lambda w: {"f1": np.ones(len(w))}, "f1", 10)
    assert np.isnan(undefined.points)
    assert np.isnan(undefined.p_value)

    def score(weights):  # not defined where the first example is not drawn
        return {"f1": np.where(weights[:, 0] > 0, 1.0, np.nan)}

    same = paired_drop(score, score, "f1", 10)
    assert (same.points, same.p_value) == (0.0, 1.0)
