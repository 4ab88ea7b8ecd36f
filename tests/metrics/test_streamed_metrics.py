"""The streamed energy ratios equal those of whole arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bsseval_signals import RATE, noise, separated

from majl_cli.errors import DataError
from majl_cli.metrics.blocks import ArrayBlocks
from majl_cli.metrics.separation import clip_snr, global_sdr, leakage_db, si_sdr
from majl_cli.metrics.streamed import separation_scores, streamed_leakage_db


@pytest.mark.parametrize("size", [7, 999, RATE, 2 * RATE + 1, 10**6])
@pytest.mark.parametrize("seconds", [0.6, 3.0, 3.3])
def test_scores_of_blocks_equal_those_of_arrays(size: int, seconds: float) -> None:
    references = noise(seconds=seconds).astype(np.float32)
    references[0, RATE : 2 * RATE] = 0.0
    estimates = separated(references).astype(np.float32)
    together = np.concatenate((estimates, estimates[:1]))
    blocks = ArrayBlocks(references=references, estimates=together, size=size)
    scores = separation_scores(blocks, sample_rate=RATE, matches=[0, 1, 1])
    for number, match in enumerate([0, 1, 1]):
        pair = {"estimate": together[number], "reference": references[match]}
        assert scores.global_sdr[number] == pytest.approx(global_sdr(**pair))
        assert scores.si_sdr[number] == pytest.approx(si_sdr(**pair))
        whole, streamed = clip_snr(**pair, sample_rate=RATE), scores.clip_snr[number]
        assert streamed.median == pytest.approx(whole.median)
        assert (streamed.clips, streamed.skipped) == (whole.clips, whole.skipped)


def test_silent_references_and_perfect_estimates_have_the_results_of_arrays() -> None:
    references = noise()
    references[1] = 0.0
    estimates = np.stack((references[0], references[0], np.zeros_like(references[0])))
    blocks = ArrayBlocks(references=references, estimates=estimates)
    scores = separation_scores(blocks, sample_rate=RATE, matches=[0, 1, 0])
    assert scores.global_sdr[0] == scores.si_sdr[0] == scores.clip_snr[0].median == math.inf
    assert math.isnan(scores.global_sdr[1]) and math.isnan(scores.si_sdr[1])
    assert math.isnan(scores.clip_snr[1].median) and scores.clip_snr[1].skipped == 3
    assert scores.global_sdr[2] == 0.0 and scores.si_sdr[2] == -math.inf and scores.clip_snr[2].median == 0.0


def test_scores_follow_the_theory() -> None:
    references = noise(seconds=8.0)
    hiss = np.random.default_rng(5).standard_normal(references.shape)
    hiss *= 0.1 * np.sqrt(np.square(references).sum(axis=(1, 2)) / np.square(hiss).sum(axis=(1, 2)))[:, None, None]
    estimates = np.concatenate((references + hiss, 0.5 * (references + hiss)))
    blocks = ArrayBlocks(references=references, estimates=estimates)
    scores = separation_scores(blocks, sample_rate=RATE, matches=[0, 1, 0, 1])
    np.testing.assert_allclose(scores.global_sdr[:2], 20.0)  # the noise was added at this level
    np.testing.assert_allclose(scores.si_sdr[2:], scores.si_sdr[:2])
    assert (scores.global_sdr[2:] < 6.1).all()
    late = np.pad(references, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    shifted = separation_scores(ArrayBlocks(references=references, estimates=late), sample_rate=RATE)
    assert (shifted.global_sdr < 10).all() and max(clips.median for clips in shifted.clip_snr) < 10


@pytest.mark.parametrize("size", [1, 333, 400, 5000, 10**6])
def test_leakage_of_blocks_equals_that_of_arrays(size: int) -> None:
    reference, estimate = noise(seconds=0.9)
    reference[2000:4100] = 0.0
    mixture = reference + 0.3 * estimate
    whole = leakage_db(estimate=estimate, reference=reference, mixture=mixture, sample_rate=RATE)
    assert math.isfinite(whole)
    cuts = range(0, len(reference), size)
    blocks = [tuple(audio[at : at + size] for audio in (reference, estimate, mixture)) for at in cuts]
    assert streamed_leakage_db(blocks, sample_rate=RATE) == pytest.approx(whole)


def test_leakage_of_nothing_is_nan_and_other_shapes_are_refused() -> None:
    assert math.isnan(streamed_leakage_db([], sample_rate=RATE))
    with pytest.raises(DataError, match=r"reference \(3,\), estimate \(2,\) and mixture \(3,\) differ in shape"):
        streamed_leakage_db([(np.zeros(3), np.zeros(2), np.zeros(3))], sample_rate=RATE)
