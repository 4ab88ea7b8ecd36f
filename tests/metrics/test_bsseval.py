"""BSS Eval against museval and mir_eval, against itself, and against what the theory says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from bsseval_signals import RATE, Array, distorted, mir_eval_v3, museval_v4, noise, separated, song

from majl_cli.metrics.blocks import ArrayBlocks
from majl_cli.metrics.bsseval import BssEvalV3, BssEvalV4, bss_eval_v3, bss_eval_v4

TOLERANCE_DB = 0.01
# Of the example song, each (measure, estimate).
GOLDEN_V4 = [[12.4068, 12.4889], [14.4457, 13.8202], [2.2086, 3.0594], [4.3615, 4.9457]]
GOLDEN_V3 = [[14.3437, 16.8536], [16.9839, 20.9050], [17.8446, 19.0599]]


def v4(references: Array, estimates: Array, rate: int = RATE, **options: object) -> BssEvalV4:
    blocks = ArrayBlocks(references=references, estimates=estimates)
    return bss_eval_v4(blocks, sample_rate=rate, **options)  # type: ignore[arg-type]


def v3(references: Array, estimates: Array, **options: object) -> BssEvalV3:
    return bss_eval_v3(ArrayBlocks(references=references, estimates=estimates), **options)  # type: ignore[arg-type]


def stacked(scores: BssEvalV4 | BssEvalV3) -> Array:
    if isinstance(scores, BssEvalV3):
        return np.stack((scores.sdr, scores.sir, scores.sar))
    return np.stack((scores.sdr, scores.isr, scores.sir, scores.sar))


def assert_agree(references: Array, estimates: Array, rate: int) -> None:
    np.testing.assert_allclose(
        stacked(v4(references, estimates, rate)), museval_v4(references, estimates, rate), atol=TOLERANCE_DB
    )
    np.testing.assert_allclose(
        stacked(v3(references, estimates)), mir_eval_v3(references, estimates), atol=TOLERANCE_DB
    )


def assert_agree_on_music(references: Array, estimates: Array, rate: int) -> None:
    """As ``assert_agree``, but for SIR and SAR of single windows of version 4.

    Coded music holds next to nothing above some frequency. What filters do there is decided by rounding: museval's own
    SIR moves by hundredths of a dB and more if the same audio is scaled.
    """
    ours, theirs = stacked(v4(references, estimates, rate)), museval_v4(references, estimates, rate)
    np.testing.assert_allclose(ours[:2], theirs[:2], atol=TOLERANCE_DB)
    np.testing.assert_allclose(np.median(ours, axis=2), np.median(theirs, axis=2), atol=TOLERANCE_DB)
    np.testing.assert_allclose(ours[2:], theirs[2:], atol=0.05)
    np.testing.assert_allclose(
        stacked(v3(references, estimates)), mir_eval_v3(references, estimates), atol=TOLERANCE_DB
    )


@pytest.mark.parametrize(("sources", "channels"), [(2, 2), (2, 1), (3, 1)])
def test_noise_agrees_with_museval_and_mir_eval(sources: int, channels: int) -> None:
    references = noise(sources=sources, channels=channels)
    assert_agree(references, separated(references), RATE)


@pytest.mark.parametrize("samples", [600, 5000, RATE - 1, RATE, RATE + 1, 2 * RATE])
def test_short_tracks_have_the_windows_of_museval(samples: int) -> None:
    references = noise(channels=1)[:, :samples]
    assert_agree(references, separated(references), RATE)


def test_two_equal_channels_agree_although_the_equations_are_singular() -> None:
    references = np.repeat(noise(channels=1), 2, axis=2)
    estimates = separated(noise())
    np.testing.assert_allclose(
        stacked(v4(references, estimates)), museval_v4(references, estimates, RATE), atol=TOLERANCE_DB
    )


def test_a_song_agrees_with_museval_and_mir_eval() -> None:
    references, rate = song(4.5)
    assert_agree_on_music(references, distorted(references), rate)


def test_the_order_of_sources_makes_no_difference_to_music() -> None:
    references, rate = song(4.5)
    estimates = distorted(references)
    whole = stacked(v4(references, estimates, rate))
    np.testing.assert_allclose(stacked(v4(references[::-1], estimates[::-1], rate))[:, ::-1], whole, atol=2e-3)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lithium", "sodium"])
def test_real_full_band_tracks_agree_with_museval(shared_data: Path, name: str) -> None:
    folder = shared_data / "fullband" / f"software-entwicklungskit_{name}"
    stems = [
        soundfile.read(folder / f"{stem}.ogg", start=30 * 44100, frames=10 * 44100)[0]
        for stem in ("vocals", "accompaniment")
    ]
    references = np.stack(stems)
    assert_agree_on_music(references, distorted(references), 44100)


@pytest.mark.data
def test_a_karaoke_clip_agrees_with_mir_eval(shared_data: Path) -> None:
    audio, _ = soundfile.read(shared_data / "mir1k" / "Wavfile" / "annar_1_01.ogg")
    references = audio.T[::-1, :, None].copy()
    estimates = distorted(references)
    np.testing.assert_allclose(
        stacked(v3(references, estimates)), mir_eval_v3(references, estimates), atol=TOLERANCE_DB
    )


def test_golden_values_of_the_example_song() -> None:
    references, rate = song(4.5)
    estimates = distorted(references)
    four, three = v4(references, estimates, rate), v3(references, estimates)
    medians = (four.sdr_median, four.isr_median, four.sir_median, four.sar_median)
    np.testing.assert_allclose(medians[:2], GOLDEN_V4[:2], atol=1e-3)
    np.testing.assert_allclose(medians[2:], GOLDEN_V4[2:], atol=TOLERANCE_DB)  # see assert_agree_on_music
    np.testing.assert_allclose(stacked(three), GOLDEN_V3, atol=1e-3)


@pytest.mark.parametrize("size", [1, 777, 8000, 61_448])
def test_blocks_of_any_size_equal_the_whole(size: int) -> None:
    references = noise(seconds=0.2 if size == 1 else 9.0)
    estimates = separated(references)
    blocks = ArrayBlocks(references=references, estimates=estimates, size=size)
    np.testing.assert_allclose(
        stacked(bss_eval_v4(blocks, sample_rate=RATE)), stacked(v4(references, estimates)), rtol=1e-9
    )
    np.testing.assert_allclose(stacked(bss_eval_v3(blocks)), stacked(v3(references, estimates)), rtol=1e-9)


def test_the_mixture_is_one_more_estimate_of_each_reference() -> None:
    references = noise()
    estimates = separated(references)
    mixtures = np.repeat(references.sum(axis=0, keepdims=True), 2, axis=0)
    together = np.concatenate((estimates, mixtures))
    for metric in (v4, v3):
        alone = np.concatenate((stacked(metric(references, estimates)), stacked(metric(references, mixtures))), axis=1)
        both = stacked(metric(references, together, matches=[0, 1, 0, 1]))
        limit = 200.0  # dB: the filters explain the mixture but for rounding
        np.testing.assert_allclose(np.minimum(both, limit), np.minimum(alone, limit), rtol=1e-9)


def test_fewer_estimates_than_references_score_as_among_all() -> None:
    references = noise()
    estimates = separated(references)
    for metric in (v4, v3):
        whole = stacked(metric(references, estimates))
        np.testing.assert_allclose(stacked(metric(references, estimates[:1])), whole[:, :1], rtol=1e-9)
        np.testing.assert_allclose(stacked(metric(references, estimates[1:], matches=[1])), whole[:, 1:], rtol=1e-9)


def test_a_scaled_estimate_changes_only_what_knows_levels() -> None:
    references = noise()
    estimates = separated(references)
    np.testing.assert_allclose(stacked(v3(references, 0.3 * estimates)), stacked(v3(references, estimates)), rtol=1e-9)
    full, quiet = v4(references, estimates), v4(references, 0.3 * estimates)
    np.testing.assert_allclose(quiet.sir, full.sir, rtol=1e-9)
    np.testing.assert_allclose(quiet.sar, full.sar, rtol=1e-9)
    # The source is missing by 1 - 0.8 * 0.3 of itself at least: filtering outweighs all else.
    assert (quiet.sdr < full.sdr - 3).all() and (quiet.isr < full.isr - 3).all()
    halved = v4(references, 0.5 * references)
    np.testing.assert_allclose(halved.sdr, 20 * np.log10(2), rtol=1e-6)
    np.testing.assert_allclose(halved.isr, 20 * np.log10(2), rtol=1e-6)


def test_swapping_channels_and_sources_moves_the_scores_with_them() -> None:
    references = noise()
    estimates = separated(references)
    for metric in (v4, v3):
        whole = stacked(metric(references, estimates))
        np.testing.assert_allclose(stacked(metric(references[..., ::-1], estimates[..., ::-1])), whole, rtol=1e-9)
        np.testing.assert_allclose(stacked(metric(references[::-1], estimates[::-1])), whole[:, ::-1], rtol=1e-9)


def test_version_3_forgives_a_delay_of_one_sample_and_version_4_only_as_filtering() -> None:
    references = noise()
    late = np.pad(references, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    assert (v3(references, late).sdr > 40).all()  # only the last sample is lost
    four = v4(references, late)
    assert (four.sdr < 10).all() and (four.sar > 30).all()
    np.testing.assert_allclose(four.isr, four.sdr, atol=0.01)


@pytest.mark.parametrize("channels", [1, 2])
def test_added_noise_shows_as_artefacts_at_its_level(channels: int) -> None:
    references = noise(seconds=8.0, channels=channels)
    hiss = np.random.default_rng(5).standard_normal(references.shape)
    level = np.sqrt(np.square(references).sum(axis=(1, 2)) / np.square(hiss).sum(axis=(1, 2)))
    estimates = references + 0.1 * level[:, None, None] * hiss  # 20 dB below
    four = v4(references, estimates)
    np.testing.assert_allclose(four.sdr_median, 20, atol=0.2)
    np.testing.assert_allclose(four.sar_median, 20, atol=0.3)
    if channels == 1:  # the mean over channels would have less of the noise
        np.testing.assert_allclose(v3(references, estimates).sar, 20, atol=0.3)
