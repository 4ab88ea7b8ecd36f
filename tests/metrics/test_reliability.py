"""Reliability of confidences: bins made by hand, groups that stand for their frames, a temperature that is known."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.metrics.reliability import (
    TEMPERATURES,
    UNCALIBRATED,
    ReliabilityBin,
    at_temperature,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_curve,
)

CONFIDENCE = np.array([0.01, 0.02, 0.5, 0.5, 0.99, 1.0])
RIGHT = np.array([False, False, True, True, True, False])


def test_expected_calibration_error_of_bins_made_by_hand() -> None:
    # Bins: |0.03 - 0| + |1.0 - 2| + |1.99 - 1| over six frames.
    assert expected_calibration_error(CONFIDENCE, RIGHT) == pytest.approx((0.03 + 1.0 + 0.99) / 6)
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_the_curve_has_the_bins_that_have_frames() -> None:
    assert reliability_curve(CONFIDENCE, RIGHT) == [
        ReliabilityBin(confidence=pytest.approx(0.015), right=0.0, frames=2),
        ReliabilityBin(confidence=0.5, right=1.0, frames=2),
        ReliabilityBin(confidence=pytest.approx(0.995), right=0.5, frames=2),
    ]


def test_a_group_counts_as_its_frames_do() -> None:
    """Three frames of 0.4, one of them right, as three items and as one group of three."""
    single = (np.array([0.4, 0.4, 0.4, 0.9]), np.array([True, False, False, True]))
    grouped = (np.array([0.4, 0.9]), np.array([1.0, 1.0]), np.array([3.0, 1.0]))
    assert reliability_curve(*grouped) == [
        ReliabilityBin(confidence=pytest.approx(0.4), right=pytest.approx(1 / 3), frames=3),
        ReliabilityBin(confidence=pytest.approx(0.9), right=1.0, frames=1),
    ]
    assert expected_calibration_error(*grouped) == pytest.approx(expected_calibration_error(*single))
    singles = negative_log_likelihood(single[0][:, None], single[1])
    assert negative_log_likelihood(grouped[0][:, None], *grouped[1:]) == pytest.approx(singles)
    by_hand = -(np.log(0.4) + 2 * np.log(0.6) + np.log(0.9)) / 4
    assert singles == pytest.approx(by_hand)


def test_a_temperature_divides_the_log_odds() -> None:
    confidence = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    assert at_temperature(confidence, 1.0) == pytest.approx(confidence, abs=1e-6)
    softer = at_temperature(confidence, 2.0)
    inner = slice(1, 4)
    odds = np.log(confidence[inner] / (1 - confidence[inner]))
    assert np.log(softer[inner] / (1 - softer[inner])) == pytest.approx(odds / 2)
    assert 0 < softer[0] < 0.01 < 0.99 < softer[-1] < 1


def test_the_temperature_that_frames_were_made_with_is_the_most_likely_one() -> None:
    generator = np.random.default_rng(0)
    odds = generator.uniform(-3, 3, 20000)
    right = generator.uniform(size=len(odds)) < 1 / (1 + np.exp(-odds))
    said = 1 / (1 + np.exp(-2.0 * odds))  # twice as sure as it may be
    confidences = np.stack([at_temperature(said, float(t)) for t in TEMPERATURES], axis=1)
    best = negative_log_likelihood(confidences, right).argmin()
    assert TEMPERATURES[best] == pytest.approx(2.0, rel=0.06)
    assert TEMPERATURES[UNCALIBRATED] == pytest.approx(1.0)
    assert expected_calibration_error(confidences[:, best], right) < 0.02
    assert expected_calibration_error(said, right) > 0.05
