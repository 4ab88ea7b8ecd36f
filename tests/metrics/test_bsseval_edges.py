"""BSS Eval of silence, perfection, too little audio and wrong input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from bsseval_signals import RATE, Array, museval_v4, noise, separated

from majl_cli.errors import DataError, UsageError
from majl_cli.metrics.blocks import ArrayBlocks
from majl_cli.metrics.bsseval import BssEvalV3, BssEvalV4, bss_eval_v3, bss_eval_v4


def v4(references: Array, estimates: Array, **options: object) -> BssEvalV4:
    blocks = ArrayBlocks(references=references, estimates=estimates)
    return bss_eval_v4(blocks, sample_rate=RATE, **options)  # type: ignore[arg-type]


def v3(references: Array, estimates: Array, **options: object) -> BssEvalV3:
    return bss_eval_v3(ArrayBlocks(references=references, estimates=estimates), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["reference", "estimate"])
def test_windows_with_silence_are_skipped_as_in_museval(which: str) -> None:
    references = noise()
    estimates = separated(references)
    quiet = references if which == "reference" else estimates
    quiet[1, RATE : 2 * RATE] = 0.0
    scores = v4(references, estimates)
    expected = museval_v4(references, estimates, RATE)
    np.testing.assert_allclose((scores.sdr, scores.isr, scores.sir, scores.sar), expected, atol=0.01)
    assert np.isnan(scores.sdr).tolist() == [[False, True, False]] * 2
    assert scores.windows == 3 and scores.skipped.tolist() == [1, 1]
    np.testing.assert_allclose(scores.sdr_median, np.nanmedian(expected[0], axis=1), atol=0.01)


def test_a_silent_reference_has_no_score_and_does_not_touch_the_others() -> None:
    references = noise(sources=3)
    estimates = references + 0.1 * noise(sources=3, seed=4)
    references[1] = 0.0
    alone = v4(references[::2], estimates[::2])
    scores = v4(references, estimates)
    assert np.isnan(scores.sdr[1]).all() and np.isnan(scores.sar_median[1])
    assert scores.skipped.tolist() == [0, 3, 0]
    for name in ("sdr", "isr", "sir", "sar"):
        np.testing.assert_allclose(getattr(scores, name)[::2], getattr(alone, name), rtol=1e-9)
    three, three_alone = v3(references, estimates), v3(references[::2], estimates[::2])
    for name in ("sdr", "sir", "sar"):
        assert np.isnan(getattr(three, name)[1])
        np.testing.assert_allclose(getattr(three, name)[::2], getattr(three_alone, name), rtol=1e-9)


def test_a_silent_estimate_has_no_score_and_does_not_touch_the_others() -> None:
    references = noise()
    estimates = separated(references)
    whole, whole_3 = v4(references, estimates), v3(references, estimates)
    estimates[0] = 0.0
    scores, three = v4(references, estimates), v3(references, estimates)
    assert np.isnan(scores.sdr[0]).all() and np.isnan((three.sdr[0], three.sir[0], three.sar[0])).all()
    np.testing.assert_allclose(scores.sir[1], whole.sir[1], rtol=1e-9)
    np.testing.assert_allclose(three.sir[1], whole_3.sir[1], rtol=1e-9)


def test_silence_everywhere_is_nan_everywhere() -> None:
    nothing = np.zeros((2, 3 * RATE, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, three = v4(nothing, nothing), v3(nothing, nothing)
        assert np.isnan(scores.sdr_median).all() and scores.skipped.tolist() == [3, 3]
    assert np.isnan(three.sar).all()


def test_a_silent_channel_is_left_out_of_the_equations() -> None:
    references = noise()
    references[0, :, 1] = 0.0
    estimates = separated(references)
    scores = v4(references, estimates)
    expected = museval_v4(references, estimates, RATE)
    np.testing.assert_allclose((scores.sdr, scores.isr, scores.sir, scores.sar), expected, atol=0.01)


def test_one_source_alone_knows_no_interference() -> None:
    references = noise(sources=1)
    estimates = references + 0.1 * noise(sources=1, seed=3)
    assert (v4(references, estimates).sir == np.inf).all()
    three = v3(references, estimates)
    assert three.sir[0] == np.inf and three.sar[0] == pytest.approx(three.sdr[0])
    beside_silence = np.concatenate((references, np.zeros_like(references)))
    assert (v4(beside_silence, estimates).sir == np.inf).all()


def test_a_perfect_estimate_scores_inf_or_near_it() -> None:
    references = noise()
    four, three = v4(references, references), v3(references, references)
    assert (four.sdr == np.inf).all()
    for scores in (four.isr, four.sir, four.sar, three.sdr, three.sir, three.sar):
        assert (scores > 150).all()


def test_a_track_shorter_than_the_filters_is_one_window() -> None:
    references = noise(channels=1)[:, :200]
    scores = v4(references, separated(references))
    ratios = 10 * np.log10(
        np.square(references).sum(axis=(1, 2)) / np.square(separated(references) - references).sum(axis=(1, 2))
    )
    np.testing.assert_allclose(scores.sdr[:, 0], ratios)
    assert scores.windows == 1 and (scores.sar > 60).all()  # nothing is left that filters could not explain


def test_wrong_input_is_refused_with_what_to_do() -> None:
    references = noise(seconds=0.5)
    with pytest.raises(DataError, match=r"references \(2, 4000, 2\) and estimates \(2, 3999, 2\) differ") as caught:
        v4(references, references[:, :-1])
    assert "trimmed or padded" in caught.value.hint
    with pytest.raises(DataError, match="differ in samples or channels"):
        v3(references, references[..., :1])
    spoiled = references.copy()
    spoiled[1, 3210, 0] = np.nan
    with pytest.raises(DataError, match=r"sample 3210 of estimate 1 is not finite \(nan\)") as caught:
        v3(references, spoiled)
    assert "model's output" in caught.value.hint
    with pytest.raises(DataError, match="there is no sample to score"):
        v4(references[:, :0], references[:, :0])
    with pytest.raises(DataError, match=r"matches \[0, 2\] do not fit 2 estimates and 2 references"):
        v4(references, references, matches=[0, 2])
    with pytest.raises(DataError, match=r"matches \[0, 1\] do not fit 2 estimates and 1 references"):
        v3(references[:1], references)
    with pytest.raises(UsageError, match="a sample rate of 0 Hz"):
        bss_eval_v4(ArrayBlocks(references=references, estimates=references), sample_rate=0)


def test_blocks_that_can_be_read_once_or_change_are_refused() -> None:
    def once() -> Iterator[tuple[Array, Array]]:
        yield noise(), noise()

    with pytest.raises(DataError, match="can be read once only"):
        bss_eval_v3(once())
    with pytest.raises(DataError, match=r"were \(2, 2, 2\) and are \(2, 2, 1\) from sample 26400 on"):
        bss_eval_v3([(noise(), noise()), (noise(channels=1), noise(channels=1))])


def test_mono_sources_in_stereo_score_as_in_mono() -> None:
    references = noise(channels=1)
    estimates = separated(references)
    stereo = [np.repeat(audio, 2, axis=2) for audio in (references, estimates)]
    twice, once = v4(*stereo), v4(references, estimates)
    for measure in ("sdr", "isr", "sir", "sar"):
        np.testing.assert_allclose(getattr(twice, measure), getattr(once, measure), atol=1e-6)
