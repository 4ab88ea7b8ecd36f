"""Scores at every threshold from counts: frames whose best threshold and octave errors are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.metrics.melody import melody_scores
from majl_cli.metrics.voicing import THRESHOLDS, OctaveErrors, best_threshold, tally_frames

# Five sung frames and three others; the frame of 0.55 is nobody's, the one of 0.35 is sung.
CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.35, 0.55, 0.2, 0.1])
LABEL = np.array([220.0, 220.0, 220.0, 220.0, 220.0, 0.0, 0.0, 0.0])
FREQUENCY = np.array([221.0, 440.0, 110.5, 300.0, 219.0, 220.0, 220.0, 220.0])


def test_scores_at_a_threshold_are_those_counted_by_hand() -> None:
    tally = tally_frames(CONFIDENCE, FREQUENCY, LABEL)
    at_half = tally.scores(0.5)
    assert (at_half.vr, at_half.vfa) == pytest.approx((4 / 5, 1 / 3))
    assert at_half.f1 == pytest.approx(2 * 4 / (2 * 4 + 1 + 1))
    assert at_half.oa == pytest.approx((1 + 2) / 8)
    low = tally.scores(0.3)
    assert (low.vr, low.f1, low.oa) == pytest.approx((1.0, 10 / 11, (2 + 2) / 8))
    assert tally.rpa == pytest.approx(2 / 5)
    assert tally.share_voiced(0.5) == pytest.approx(5 / 8)


def test_a_confidence_on_the_threshold_is_voiced() -> None:
    for threshold in THRESHOLDS:
        tally = tally_frames(np.array([threshold, threshold - 0.001]), np.array([220.0, 220.0]), np.array([220.0, 0.0]))
        scores = tally.scores(float(threshold))
        assert (scores.f1, scores.oa) == (1.0, 1.0), threshold


def test_octave_errors_are_counted_by_direction_where_both_are_voiced() -> None:
    tally = tally_frames(CONFIDENCE, FREQUENCY, LABEL)
    assert tally.octave_errors(0.5) == OctaveErrors(frames=4, up=1, down=1, other=1)
    assert tally.octave_errors(0.75) == OctaveErrors(frames=2, up=1, down=0, other=0)
    two_octaves = tally_frames(np.ones(2), np.array([880.0, 880.0]), np.array([220.0, 215.0]))
    assert two_octaves.octave_errors(0.5) == OctaveErrors(frames=2, up=2, down=0, other=0)  # 40 cents off and none
    assert tally_frames(np.ones(1), np.array([880.0]), np.array([213.0])).octave_errors(0.5).other == 1


def test_the_best_threshold_is_in_the_middle_of_those_that_are_as_good() -> None:
    tally = tally_frames(np.array([0.8, 0.8, 0.2]), np.full(3, 220.0), np.array([220.0, 220.0, 0.0]))
    curve = np.array([tally.scores(float(t)).f1 for t in THRESHOLDS])
    assert np.flatnonzero(curve == 1.0)[[0, -1]].tolist() == [20, 79]  # 0.21 to 0.80
    assert best_threshold(curve) == pytest.approx(0.51)
    assert best_threshold(np.where(np.arange(99) == 36, 1.0, 0.5)) == pytest.approx(0.37)


def test_tallies_add_up_to_that_of_all_frames() -> None:
    whole = tally_frames(CONFIDENCE, FREQUENCY, LABEL)
    parts = tally_frames(CONFIDENCE[:3], FREQUENCY[:3], LABEL[:3]) + tally_frames(
        CONFIDENCE[3:], FREQUENCY[3:], LABEL[3:]
    )
    assert parts.scores(0.5) == whole.scores(0.5)
    confidence, right, frames = parts.groups()
    assert np.allclose(confidence, np.sort(CONFIDENCE))
    assert (right.sum(), frames.sum()) == (2, 8)


def test_scores_agree_with_mir_eval_on_random_frames() -> None:
    generator = np.random.default_rng(0)
    times = np.arange(3000) / 100
    label = np.where(generator.uniform(size=3000) < 0.6, 220.0, 0.0)
    frequency = 220.0 * 2.0 ** (generator.normal(0, 60, 3000) / 1200)
    confidence = (0.35 * (label > 0) + 0.65 * generator.uniform(size=3000)).round(4)
    for threshold in (0.2, 0.5, 0.8125):
        signed = np.where(confidence >= threshold, frequency, -frequency)
        expected = melody_scores(times, label, times, signed)
        found = tally_frames(confidence, frequency, label).scores(threshold)
        # A threshold between two thousandths counts as the upper one.
        near = 1e-9 if threshold < 0.8 else 2e-3
        assert found.oa == pytest.approx(expected.oa, abs=near)
        assert found.f1 == pytest.approx(expected.voicing_f1, abs=near)
        assert (found.vr, found.vfa) == pytest.approx((expected.vr, expected.vfa), abs=near)


def test_without_frames_there_are_no_shares() -> None:
    nothing = tally_frames(np.zeros(0), np.zeros(0), np.zeros(0))
    assert np.isnan([nothing.scores(0.5).f1, nothing.scores(0.5).oa, nothing.rpa, nothing.share_voiced(0.5)]).all()
    unsung = tally_frames(np.array([0.1, 0.9]), np.full(2, 220.0), np.zeros(2))
    assert np.isnan(unsung.scores(0.5).f1)
    assert unsung.scores(0.5).vfa == 0.5
