"""What a known distortion of a melody does to each measure, on a synthetic melody and on labels of MIR-1K."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from majl_cli.data.labels import read_pv
from majl_cli.metrics.melody import melody_scores

Floats = NDArray[np.float64]


def sung_melody() -> tuple[Floats, Floats]:
    """30 s of notes with vibrato and rests, 20 ms apart."""
    times = 0.02 * np.arange(1, 1501)
    rng = np.random.default_rng(5)
    semitones = np.repeat(rng.integers(-7, 8, 60), 25) + 0.4 * np.sin(2 * np.pi * 5.5 * times)
    resting = np.repeat(rng.random(60) < 0.3, 25)
    return times, np.where(resting, 0.0, 220 * 2 ** (semitones / 12))


def distorted(f0: Floats) -> Floats:
    """Up to 20 cents off; one in ten frames an octave up, one in seven 80 cents sharp, one in five called unvoiced
    with a guess, one in eleven without any; and every fourth rest is called voiced."""
    frame = np.arange(len(f0))
    estimate = f0 * 2 ** (20 * np.sin(frame) / 1200)
    estimate = estimate * np.where(frame % 10 == 0, 2.0, 1.0) * np.where(frame % 7 == 0, 2 ** (80 / 1200), 1.0)
    estimate = np.where(frame % 5 == 1, -estimate, estimate)
    estimate = np.where(frame % 11 == 2, 0.0, estimate)
    return np.where((f0 == 0) & (frame % 4 == 0), 150.0, estimate)


@pytest.fixture
def melody() -> tuple[Floats, Floats]:
    return sung_melody()


def test_an_octave_up_or_down_keeps_chroma_and_is_an_octave_error(melody: tuple[Floats, Floats]) -> None:
    times, f0 = melody
    for octaves in (-2, -1, 1, 3):
        result = melody_scores(times, f0, times, f0 * 2.0**octaves)
        assert (result.rca, result.rpa, result.octave_errors, result.vr) == (1.0, 0.0, 1.0, 1.0)
        assert result.cents_p50 == pytest.approx(1200 * abs(octaves))


@pytest.mark.parametrize("cents", [-60.0, -30.0, 30.0, 60.0])
def test_constant_detuning_is_the_error_in_cents(melody: tuple[Floats, Floats], cents: float) -> None:
    times, f0 = melody
    result = melody_scores(times, f0, times, f0 * 2 ** (cents / 1200))
    assert (result.cents_p50, result.cents_p95) == pytest.approx((abs(cents), abs(cents)))
    assert result.rpa == result.rca == (1.0 if abs(cents) < 50 else 0.0)
    assert result.octave_errors == 0.0


def test_a_wrong_note_is_no_octave_error(melody: tuple[Floats, Floats]) -> None:
    times, f0 = melody
    result = melody_scores(times, f0, times, f0 * 2 ** (19 / 12))
    assert (result.octave_errors, result.rca) == (0.0, 0.0)


def test_the_unit_of_time_does_not_matter(melody: tuple[Floats, Floats]) -> None:
    times, f0 = melody
    estimate = distorted(f0)
    for scale in (0.5, 2.0, 16.0):
        assert melody_scores(times * scale, f0, times * scale, estimate) == melody_scores(times, f0, times, estimate)


@pytest.mark.parametrize(("rate", "rpa"), [(3000.0, 1.0), (7000.0, 0.0)])
def test_a_frame_late_on_a_glide_is_off_by_the_glide_of_a_frame(rate: float, rpa: float) -> None:
    times = np.arange(200) * 0.01
    glide = 100 * 2 ** (rate * times / 1200)
    result = melody_scores(times[1:], glide[1:], times[1:], glide[:-1])
    # The frame that is added at 0 s is within the first hop, and right by the rule for it.
    assert result.cents_p50 == pytest.approx(rate * 0.01)
    assert result.rpa == rpa


def test_dropped_voicing_with_guesses_costs_strict_accuracy_only(melody: tuple[Floats, Floats]) -> None:
    times, f0 = melody
    dropped = np.where(np.arange(len(f0)) % 3 == 0, -f0, f0)
    result = melody_scores(times, f0, times, dropped)
    share = np.mean(dropped[f0 > 0] > 0)
    assert result.rpa == 1.0
    assert result.rpa_strict == result.vr == pytest.approx(share, abs=0.001)
    assert result.voicing_f1 == pytest.approx(2 * share / (1 + share), abs=0.001)
    assert (result.cents_p50, result.cents_p95, result.octave_errors) == (0.0, 0.0, 0.0)


def test_a_distorted_melody_scores_what_was_counted_once(melody: tuple[Floats, Floats]) -> None:
    """The numbers were counted frame by frame in plain Python, without mir_eval."""
    result = melody_scores(*melody, melody[0], distorted(melody[1]))
    assert dataclasses.asdict(result) == pytest.approx(
        {
            "rpa": 0.6998299319727891,
            "rca": 0.7755102040816326,
            "oa": 0.5869420386409061,
            "vr": 0.7236394557823129,
            "vfa": 0.2553846153846154,
            "rpa_strict": 0.5433673469387755,
            "voicing_f1": 0.8066350710900474,
            "octave_errors": 0.1045828437132785,
            "cents_p50": 17.80046185,
            "cents_p95": 1211.96676983,
            "frames": 1501,
        }
    )


@pytest.mark.data
def test_a_distorted_label_of_mir1k_scores_what_was_counted_once(shared_data: Path) -> None:
    """Counted likewise."""
    times, f0, _ = read_pv(shared_data / "mir1k" / "PitchLabel" / "amy_1_01.pv")
    result = melody_scores(times, f0, times, distorted(f0))
    assert dataclasses.asdict(result) == pytest.approx(
        {
            "rpa": 0.7137809187279152,
            "rca": 0.7879858657243817,
            "oa": 0.647887323943662,
            "vr": 0.7279151943462897,
            "vfa": 0.25263157894736843,
            "rpa_strict": 0.5477031802120141,
            "voicing_f1": 0.7344028520499107,
            "octave_errors": 0.10194174757281553,
            "cents_p50": 17.59359719,
            "cents_p95": 1207.08475801,
            "frames": 568,
        }
    )
