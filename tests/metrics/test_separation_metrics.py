"""Separation metrics against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from majl_cli.errors import DataError
from majl_cli.metrics import separation
from majl_cli.metrics.separation import clip_snr, global_sdr, leakage_db, si_sdr

REFERENCE = np.array([[3.0, 0.0], [0.0, 4.0]])


def test_global_sdr_is_one_ratio_over_samples_and_channels() -> None:
    estimate = REFERENCE + np.array([[0.3, -0.4], [0.0, 0.0]])
    assert global_sdr(estimate=estimate, reference=REFERENCE) == pytest.approx(20.0)  # 25 over 0.25


def test_scaling_the_estimate_changes_global_sdr_only() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal(1000)
    estimate = reference + 0.1 * rng.standard_normal(1000)
    assert global_sdr(estimate=0.5 * reference, reference=reference) == pytest.approx(20 * math.log10(2))
    assert si_sdr(estimate=0.5 * estimate, reference=reference) == pytest.approx(
        si_sdr(estimate=estimate, reference=reference)
    )


def test_si_sdr_of_an_orthogonal_error_is_its_energy_ratio() -> None:
    reference, error = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.1, -0.1])
    assert si_sdr(estimate=2 * reference + error, reference=reference) == pytest.approx(10 * math.log10(8 / 0.02))


def test_silent_reference_perfect_estimate_and_silent_estimate_have_stated_results() -> None:
    silence = np.zeros_like(REFERENCE)
    for metric in (global_sdr, si_sdr):
        assert math.isnan(metric(estimate=REFERENCE, reference=silence))
        assert math.isnan(metric(estimate=silence, reference=silence))
        assert metric(estimate=REFERENCE, reference=REFERENCE) == math.inf
    assert global_sdr(estimate=silence, reference=REFERENCE) == 0.0
    assert si_sdr(estimate=silence, reference=REFERENCE) == -math.inf


def test_float32_input_longer_than_a_block_is_summed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((5000, 2)).astype(np.float32)
    estimate = reference + np.float32(1e-3) * rng.standard_normal((5000, 2)).astype(np.float32)
    whole = [metric(estimate=estimate, reference=reference) for metric in (global_sdr, si_sdr)]
    monkeypatch.setattr(separation, "_BLOCK", 333)
    assert [metric(estimate=estimate, reference=reference) for metric in (global_sdr, si_sdr)] == pytest.approx(whole)
    r, e = reference.astype(np.float64), estimate.astype(np.float64)
    assert whole[0] == pytest.approx(10 * np.log10((r**2).sum() / ((r - e) ** 2).sum()))


def test_different_shapes_are_refused() -> None:
    for metric in (global_sdr, si_sdr):
        with pytest.raises(DataError, match=r"estimate \(2,\) and reference \(2, 2\) differ in shape"):
            metric(estimate=np.zeros(2), reference=REFERENCE)


def test_leakage_is_the_level_where_the_reference_is_silent() -> None:
    rate = 8000
    reference = np.concatenate((np.zeros(rate), np.sin(np.arange(rate))))
    mixture = np.concatenate((np.full(rate, 0.5), np.full(rate, 0.7)))
    estimate = np.concatenate((np.full(rate, 0.05), reference[rate:]))
    found = leakage_db(estimate=estimate, reference=reference, mixture=mixture, sample_rate=rate)
    assert found == pytest.approx(-20.0)
    silent = leakage_db(estimate=reference, reference=reference, mixture=mixture, sample_rate=rate)
    assert silent == -math.inf
    everywhere = np.sin(np.arange(rate))
    assert math.isnan(leakage_db(estimate=everywhere, reference=everywhere, mixture=everywhere, sample_rate=rate))


def test_clip_snr_is_the_median_over_clips_that_are_not_silent() -> None:
    reference = np.concatenate((np.full(10, 1.0), np.zeros(10), np.full(10, 2.0), np.full(10, 3.0), np.full(5, 9.0)))
    estimate = np.concatenate((np.full(10, 1.1), np.ones(10), np.full(10, 2.02), np.full(10, 3.3), np.zeros(5)))
    found = clip_snr(estimate=estimate, reference=reference, sample_rate=10)
    assert found.median == pytest.approx(20.0)  # of 20, 40 and 20 dB; the half clip at the end is left out
    assert (found.clips, found.skipped) == (4, 1)


def test_clip_snr_of_little_silent_or_perfect_audio_has_stated_results() -> None:
    short = clip_snr(estimate=0.9 * REFERENCE, reference=REFERENCE, sample_rate=10)
    assert short.median == pytest.approx(20.0) and short.clips == 1
    silent = clip_snr(estimate=REFERENCE, reference=0 * REFERENCE, sample_rate=1)
    assert math.isnan(silent.median) and (silent.clips, silent.skipped) == (2, 2)
    assert clip_snr(estimate=REFERENCE, reference=REFERENCE, sample_rate=1).median == math.inf
    assert clip_snr(estimate=REFERENCE, reference=REFERENCE, sample_rate=1, clip_seconds=2).clips == 1
    empty = clip_snr(estimate=np.zeros(0), reference=np.zeros(0), sample_rate=10)
    assert math.isnan(empty.median) and empty.clips == 0
