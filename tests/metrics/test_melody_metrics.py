"""Melody measures against values counted by hand and against mir_eval."""

from __future__ import annotations

import dataclasses
import math

import mir_eval
import numpy as np
import pytest
from numpy.typing import ArrayLike

from majl_cli.errors import DataError
from majl_cli.metrics.melody import MelodyScores, melody_scores
from majl_cli.metrics.names import METRICS

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
    assert result.rpa_strict == pytest.approx(2 / 6)
    assert result.voicing_f1 == pytest.approx(2 * 4 / (6 + 5))
    assert result.octave_errors == pytest.approx(1 / 4)
    errors = [0, 1200 * np.log2(225 / 220), 1200, 60]
    assert (result.cents_p50, result.cents_p95) == pytest.approx(tuple(np.percentile(errors, [50, 95])))
    assert result.frames == 10


def test_perfect_estimate_is_perfect() -> None:
    shares = {key: 1.0 for key in ("rpa", "rca", "oa", "vr", "rpa_strict", "voicing_f1")}
    errors = {key: 0.0 for key in ("vfa", "octave_errors", "cents_p50", "cents_p95")}
    assert scores(REFERENCE) == MelodyScores(**shares, **errors, frames=10)


@pytest.mark.parametrize("seed", range(20))
def test_equals_mir_eval_on_other_time_bases(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference_times = 0.02 * np.arange(1, 200)
    reference = np.where(rng.random(199) < 0.7, 220 * 2 ** rng.uniform(-1, 1, 199), 0)
    estimate_times = rng.choice([0.005, 0.01, 0.0116]) * np.arange(800)
    estimate = np.interp(estimate_times, reference_times, reference) * rng.choice([1, 1, 1, 2, -1, 0], 800)
    result = melody_scores(reference_times, reference, estimate_times, estimate)
    expected = mir_eval.melody.evaluate(reference_times, reference, estimate_times, estimate)
    assert 0.05 < result.rpa < result.rca < 1
    assert result.rpa == expected["Raw Pitch Accuracy"]
    assert result.rca == expected["Raw Chroma Accuracy"]
    assert result.oa == expected["Overall Accuracy"]
    assert result.vr == expected["Voicing Recall"]
    assert result.vfa == expected["Voicing False Alarm"]
    without_guesses = np.maximum(estimate, 0)
    dropped = mir_eval.melody.evaluate(reference_times, reference, estimate_times, without_guesses)
    # mir_eval interpolates towards a guess: not quite the same frames as without guesses, but nearly.
    assert result.rpa_strict == pytest.approx(dropped["Raw Pitch Accuracy"], abs=0.03)


def test_reference_without_voiced_frames_has_no_pitch_accuracy() -> None:
    result = scores([220.0, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.zeros(10))
    undefined = ("rpa", "rca", "vr", "rpa_strict", "voicing_f1", "octave_errors", "cents_p50", "cents_p95")
    assert all(math.isnan(getattr(result, key)) for key in undefined)
    assert (result.oa, result.vfa, result.frames) == (pytest.approx(0.9), pytest.approx(0.1), 10)


def test_empty_reference_gives_nan_everywhere() -> None:
    result = melody_scores([], [], TIMES, REFERENCE)
    values = dataclasses.asdict(result)
    assert values.pop("frames") == 0
    assert all(math.isnan(value) for value in values.values())


def test_estimate_that_finds_no_voice_is_a_result_not_a_warning() -> None:
    result = scores(np.zeros(10))
    assert (result.rpa, result.vr, result.vfa, result.oa) == (0.0, 0.0, 0.0, pytest.approx(0.4))
    assert (result.rpa_strict, result.voicing_f1) == (0.0, 0.0)
    assert all(math.isnan(value) for value in (result.octave_errors, result.cents_p50, result.cents_p95))


@pytest.mark.parametrize("frames", [0, 1])
def test_very_short_estimate_counts_as_unvoiced_afterwards(frames: int) -> None:
    result = melody_scores(TIMES, REFERENCE, TIMES[:frames], REFERENCE[:frames])
    assert result.rpa == pytest.approx(frames / 6)


@pytest.mark.parametrize("hop", [0.005, 0.01, 0.02])
def test_an_estimate_that_ends_early_is_silent_afterwards_and_not_held(hop: float) -> None:
    times = np.arange(100) * 0.01
    short = np.arange(round(0.4 / hop)) * hop
    result = melody_scores(times, np.full(100, 220.0), short, np.full(len(short), 220.0))
    assert result.rpa == result.vr == pytest.approx(0.4, abs=hop)


def test_an_estimate_that_starts_late_is_silent_before() -> None:
    times = np.arange(100) * 0.01
    late = 0.6 + 0.01 * np.arange(40)
    result = melody_scores(times, np.full(100, 220.0), late, np.full(40, 220.0))
    assert result.rpa == result.vr == pytest.approx(0.4)


def test_frames_centred_in_windows_start_less_than_a_hop_late_and_miss_nothing() -> None:
    result = melody_scores(TIMES, REFERENCE, TIMES + 0.005, REFERENCE)
    assert result.vr == 1.0


def test_an_estimate_longer_than_the_reference_is_cut() -> None:
    times = np.arange(30) * 0.01
    estimate = np.where(np.arange(30) < 6, 220.0, 0.0)
    estimate[10:] = 500.0
    assert melody_scores(TIMES, REFERENCE, times, estimate) == scores(REFERENCE)


def test_every_score_has_a_name() -> None:
    assert {field.name for field in dataclasses.fields(MelodyScores)} - {"frames"} <= METRICS.keys()


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
