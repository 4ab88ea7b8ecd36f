"""Melody measures against values counted by hand and against mir_eval."""

from __future__ import annotations

import math

import mir_eval
import numpy as np
import pytest
from numpy.typing import ArrayLike

from majl_cli.errors import DataError
from majl_cli.metrics.melody import MelodyScores, melody_scores

TIMES = np.arange(10) * 0.01
REFERENCE = np.array([220.0] * 6 + [0.0] * 4)


def scores(estimate: ArrayLike, reference: ArrayLike = REFERENCE) -> MelodyScores:
    return melody_scores(TIMES, reference, TIMES, estimate)


def test_counted_by_hand() -> None:
    # right, right, an octave up, 60 cents off, unvoiced with a right guess, unvoiced | false alarm, right three times
    estimate = [220.0, 225.0, 440.0, 220.0 * 2 ** (60 / 1200), -220.0, 0.0, 300.0, 0.0, 0.0, -300.0]
    result = scores(estimate)
    assert result.rpa == pytest.approx(3 / 6)
    assert result.rca == pytest.approx(4 / 6)
    assert result.oa == pytest.approx((2 + 3) / 10)
    assert result.vr == pytest.approx(4 / 6)
    assert result.vfa == pytest.approx(1 / 4)
    assert result.frames == 10


def test_perfect_estimate_is_perfect() -> None:
    assert scores(REFERENCE) == MelodyScores(rpa=1.0, rca=1.0, oa=1.0, vr=1.0, vfa=0.0, frames=10)


def test_agrees_with_mir_eval_on_other_time_bases() -> None:
    rng = np.random.default_rng(0)
    reference_times = 0.02 * np.arange(1, 200)
    reference = np.where(rng.random(199) < 0.7, 220 * 2 ** rng.uniform(-1, 1, 199), 0)
    estimate_times = 0.01 * np.arange(390)
    estimate = np.interp(estimate_times, reference_times, reference) * rng.choice([1, 1, 1, 2, -1, 0], 390)
    result = melody_scores(reference_times, reference, estimate_times, estimate)
    expected = mir_eval.melody.evaluate(reference_times, reference, estimate_times, estimate)
    assert 0.05 < result.rpa < result.rca < 1
    assert result.rpa == pytest.approx(expected["Raw Pitch Accuracy"])
    assert result.rca == pytest.approx(expected["Raw Chroma Accuracy"])
    assert result.oa == pytest.approx(expected["Overall Accuracy"])
    assert result.vr == pytest.approx(expected["Voicing Recall"])
    assert result.vfa == pytest.approx(expected["Voicing False Alarm"])


def test_reference_without_voiced_frames_has_no_pitch_accuracy() -> None:
    result = scores([220.0, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.zeros(10))
    assert all(math.isnan(value) for value in (result.rpa, result.rca, result.vr))
    assert (result.oa, result.vfa, result.frames) == (pytest.approx(0.9), pytest.approx(0.1), 10)


def test_empty_reference_gives_nan_everywhere() -> None:
    result = melody_scores([], [], TIMES, REFERENCE)
    assert all(math.isnan(value) for value in (result.rpa, result.rca, result.oa, result.vr, result.vfa))
    assert result.frames == 0


def test_estimate_that_finds_no_voice_is_a_result_not_a_warning() -> None:
    result = scores(np.zeros(10))
    assert (result.rpa, result.vr, result.vfa, result.oa) == (0.0, 0.0, 0.0, pytest.approx(0.4))


@pytest.mark.parametrize("frames", [0, 1])
def test_very_short_estimate_counts_as_unvoiced_afterwards(frames: int) -> None:
    result = melody_scores(TIMES, REFERENCE, TIMES[:frames], REFERENCE[:frames])
    assert result.rpa == pytest.approx(frames / 6)


def test_reference_with_gaps_is_fine() -> None:
    known = np.array([0, 1, 2, 5, 8, 9])
    result = melody_scores(TIMES[known], REFERENCE[known], TIMES, REFERENCE)
    assert (result.rpa, result.oa, result.frames) == (1.0, 1.0, 6)


def test_arguments_are_not_changed() -> None:
    estimate = -REFERENCE
    copies = (TIMES.copy(), REFERENCE.copy(), estimate.copy())
    scores(estimate)
    assert all(np.array_equal(a, b) for a, b in zip(copies, (TIMES, REFERENCE, estimate), strict=True))


@pytest.mark.parametrize(
    ("times", "f0", "message"),
    [
        (TIMES, REFERENCE[:5], "differ"),
        (TIMES[::-1], REFERENCE, "rise"),
        (TIMES - 0.1, REFERENCE, "rise"),
        (TIMES, np.where(REFERENCE > 0, REFERENCE, np.nan), "not finite"),
    ],
)
def test_malformed_series_are_refused(times: ArrayLike, f0: ArrayLike, message: str) -> None:
    for arguments in ((times, f0, TIMES, REFERENCE), (TIMES, REFERENCE, times, f0)):
        with pytest.raises(DataError, match=message):
            melody_scores(*arguments)
