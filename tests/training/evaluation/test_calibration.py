"""Temperature and calibration error on logits whose truth is known."""

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import expit

from training.evaluation.calibration import expected_calibration_error, fit_temperature, fit_thresholds, reliability

RNG = np.random.default_rng(0)


def sampled(logits):
    """Draw labels from softmax(logits), so that the logits are calibrated by construction."""
    gumbel = -np.log(-np.log(RNG.uniform(size=logits.shape)))
    return (logits + gumbel).argmax(axis=1)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_temperature_is_recovered(true_temperature):
    calibrated = RNG.normal(scale=2.0, size=(20_000, 4))
    labels = sampled(calibrated)
    logits = (calibrated * true_temperature).astype(np.float32)
    assert fit_temperature(logits, labels) == pytest.approx(true_temperature, rel=0.05)


def test_temperature_lowers_the_calibration_error():
    calibrated = RNG.normal(scale=2.0, size=(20_000, 3))
    labels = sampled(calibrated)
    overconfident = calibrated * 4
    before = expected_calibration_error(overconfident, labels)
    after = expected_calibration_error(overconfident, labels, fit_temperature(overconfident, labels))
    assert before > 0.1
    assert after < 0.02


def test_error_of_a_coin_called_certain():
    logits = np.array([[50.0, 0.0], [50.0, 0.0]])
    assert expected_calibration_error(logits, np.array([0, 1])) == pytest.approx(0.5)
    assert expected_calibration_error(logits, np.array([0, 0])) == pytest.approx(0.0)


def test_errors_within_a_bin_cancel_and_across_bins_do_not():
    half = np.zeros((2, 2))  # confidence 0.5, argmax 0
    assert expected_calibration_error(half, np.array([0, 1])) == pytest.approx(0.0)
    both = np.concatenate([half, [[50.0, 0.0], [50.0, 0.0]]])
    assert expected_calibration_error(both, np.array([0, 0, 0, 1])) == pytest.approx(0.5)


def test_perfect_logits_reach_the_bound():
    assert fit_temperature(np.array([[1.0, 0.0]]), np.array([0])) == pytest.approx(0.05, rel=0.01)


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"found \(2, 2\) and \(3,\)"):
        fit_temperature(np.zeros((2, 2)), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="expected logits"):
        expected_calibration_error(np.zeros((0, 2)), np.zeros(0, dtype=int))


@pytest.mark.parametrize("true_temperature", [0.4, 3.0])
def test_temperature_of_many_labels_is_recovered(true_temperature):
    calibrated = RNG.normal(scale=2.0, size=(5_000, 4))
    truth = (RNG.uniform(size=calibrated.shape) < expit(calibrated)).astype(int)
    logits = calibrated * true_temperature
    temperature = fit_temperature(logits, truth)
    assert temperature == pytest.approx(true_temperature, rel=0.05)
    assert expected_calibration_error(logits, truth, temperature) < 0.01
    assert expected_calibration_error(logits, truth) > 0.05


def test_thresholds_are_as_good_as_any():
    logits = RNG.normal(size=(60, 3)).round(1)  # with ties
    truth = (logits + RNG.normal(size=logits.shape) > [0, 1, 2]).astype(int)
    for label, threshold in enumerate(fit_thresholds(logits, truth)):
        scores = expit(logits[:, label])
        f1 = [sklearn.metrics.f1_score(truth[:, label], scores >= each) for each in np.unique(scores)]
        assert sklearn.metrics.f1_score(truth[:, label], scores >= threshold) == pytest.approx(max(f1))


def test_threshold_lies_between_scores_and_near_a_half():
    logits = np.log([[0.9], [0.7], [0.2]]) - np.log([[0.1], [0.3], [0.8]])
    assert fit_thresholds(logits, np.array([[1], [1], [0]])) == [pytest.approx(0.45)]
    assert fit_thresholds(logits, np.zeros((3, 1), int)) == [0.5]
    saturated = np.full((3, 1), -1e9)  # scores of zero
    assert fit_thresholds(saturated, np.ones((3, 1), int)) == [0.5]


def test_reliability_says_what_each_bin_is_worth():
    logits = np.array([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0], [50.0, 0.0]])
    bins = reliability(logits, np.array([0, 1, 0, 0]))
    np.testing.assert_allclose(bins.confidence, [0.5, 1.0])
    np.testing.assert_allclose(bins.accuracy, [0.5, 1.0])
    np.testing.assert_allclose(bins.share, [0.5, 0.5])
    assert bins.error == pytest.approx(0)
