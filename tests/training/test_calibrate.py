"""Temperature and calibration error on logits whose truth is known."""

import numpy as np
import pytest

from training.calibrate import expected_calibration_error, fit_temperature

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
