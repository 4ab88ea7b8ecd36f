"""Floors and ceilings: exact where they can be, ordered as they must be, and the same whatever the block or window."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from baseline_tracks import Floats, lay_out, noise, voice
from numpy.typing import NDArray

from majl_cli.audio import read_audio
from majl_cli.data.corpora import corpora
from majl_cli.errors import DataError, UsageError
from majl_cli.evaluation.baselines import baselines, nn_filter
from majl_cli.evaluation.baselines.masks import IdealComplexMask, IdealRatioMask
from majl_cli.evaluation.baselines.spectra import Spectra, fitting_n_fft, map_spectra
from majl_cli.evaluation.prepared import Estimator, PreparedTrack
from majl_cli.evaluation.sources import load_sources, mix_at
from majl_cli.metrics.separation import global_sdr

SEPARATORS = ("mixture", "nn-filter", "irm", "icm")
Prepare = Callable[..., PreparedTrack]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return partial(lay_out, tmp_path)


def separated(name: str, prepared: PreparedTrack, folder: Path) -> dict[str, Floats]:
    return {stem: read_audio(path)[0] for stem, path in baselines[name]().separate(prepared, folder / name).items()}


def sdr(name: str, prepared: PreparedTrack, folder: Path, stem: str = "vocals") -> float:
    estimate = separated(name, prepared, folder)[stem]
    return global_sdr(estimate=estimate, reference=read_audio(prepared.references[stem])[0])


@pytest.mark.parametrize("name", baselines)
def test_each_says_what_it_is(name: str) -> None:
    estimator: Estimator = baselines[name]()
    assert estimator.name == name
    assert estimator.kind == ("oracle" if name in ("irm", "icm") else "baseline")
    assert estimator.description and "\n" not in estimator.description
    assert bool(estimator.stems) == (name in SEPARATORS)
    assert estimator.inputs == (() if name in SEPARATORS else ("mixture", "vocals"))
    assert ("mir-1k" in estimator.trained_on) == name.startswith(("torchcrepe", "pesto"))


def test_listing_them_imports_nothing_heavy() -> None:
    code = "import majl_cli.evaluation.baselines, sys; print({'torch', 'librosa', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", SEPARATORS)
@pytest.mark.parametrize(("rate", "samples", "channels"), [(44100, 70001, 2), (16000, 12345, 1), (8000, 777, 1)])
def test_estimates_are_as_long_as_the_mixture(
    name: str, rate: int, samples: int, channels: int, prepare: Prepare, tmp_path: Path
) -> None:
    prepared = prepare(
        rate, vocals=voice(samples, rate, channels), accompaniment=noise(samples, channels) * np.float32(0.3)
    )
    files = baselines[name]().separate(prepared, tmp_path / "out")
    assert set(files) == {"vocals", "accompaniment"}
    for path in files.values():
        info = soundfile.info(path)
        assert (info.frames, info.channels, info.samplerate) == (samples, channels, rate)
        assert info.subtype == "FLOAT" and path.parent == tmp_path / "out"


@pytest.mark.parametrize("name", SEPARATORS)
@pytest.mark.parametrize("samples", [1, 2, 511, 2047, 2048, 2600])
def test_short_files_are_separated(name: str, samples: int, prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(44100, vocals=voice(samples, 44100), accompaniment=noise(samples))
    estimates = separated(name, prepared, tmp_path)
    assert all(audio.shape == (samples, 1) and np.isfinite(audio).all() for audio in estimates.values())


@pytest.mark.parametrize("name", SEPARATORS)
def test_silent_references_give_silence_or_the_mixture(name: str, prepare: Prepare, tmp_path: Path) -> None:
    samples = 30000
    silent, music = np.zeros((samples, 1), np.float32), noise(samples)
    estimates = separated(name, prepare(16000, vocals=silent, accompaniment=music), tmp_path)
    assert all(np.isfinite(audio).all() for audio in estimates.values())
    if name in ("irm", "icm"):
        assert np.abs(estimates["vocals"]).max() < 1e-6
        np.testing.assert_allclose(estimates["accompaniment"], music, atol=1e-6)
    nothing = separated(name, prepare(16000, vocals=silent, accompaniment=silent), tmp_path)
    assert all(not audio.any() for audio in nothing.values())


def test_mixture_is_the_estimate_of_every_reference(prepare: Prepare, tmp_path: Path) -> None:
    parts = {"vocals": noise(999, 2, 1), "drums": noise(999, 2, 2), "bass": noise(999, 2, 3)}
    estimates = separated("mixture", prepare(44100, **parts), tmp_path)
    assert list(estimates) == list(parts)
    assert all(np.array_equal(audio, sum(parts.values())) for audio in estimates.values())


def test_oracles_are_above_the_floor_and_in_order(prepare: Prepare, tmp_path: Path) -> None:
    rate = 44100
    music = noise(3 * rate, 2) + voice(3 * rate, rate, 2, 300, 150)
    prepared = prepare(rate, vocals=voice(3 * rate, rate, 2, 200, 400), accompaniment=music)
    floor, ratio, complex_ = (sdr(name, prepared, tmp_path) for name in ("mixture", "irm", "icm"))
    assert floor + 10 < ratio < complex_
    assert complex_ > 30


def test_ratio_masked_stems_add_up_to_the_mixture(prepare: Prepare, tmp_path: Path) -> None:
    parts = {"vocals": voice(50001, 44100, 2), "drums": noise(50001, 2, 2), "bass": voice(50001, 44100, 2, 60, 70)}
    estimates = separated("irm", prepare(44100, **parts), tmp_path)
    np.testing.assert_allclose(sum(estimates.values()), sum(parts.values()), atol=1e-6)


def test_with_one_reference_the_rest_of_the_mixture_is_the_other(prepare: Prepare, tmp_path: Path) -> None:
    parts = {"vocals": voice(50001, 44100), "accompaniment": noise(50001)}
    both = separated("irm", prepare(44100, **parts), tmp_path)["vocals"]
    alone = prepare(44100, vocals=parts["vocals"], mixture=sum(parts.values()))
    alone = separated("irm", alone, tmp_path)
    assert list(alone) == ["vocals"]
    np.testing.assert_allclose(alone["vocals"], both, atol=1e-4)


def test_complex_mask_is_bounded_where_the_mixture_cancels_out(prepare: Prepare, tmp_path: Path) -> None:
    vocals = voice(40000, 44100)
    prepared = prepare(44100, vocals=vocals, accompaniment=np.float32(-0.99) * vocals)
    estimate = separated("icm", prepared, tmp_path)["vocals"]
    np.testing.assert_allclose(estimate, 0.1 * vocals, atol=1e-4)


def test_oracles_without_references_give_nothing(prepare: Prepare, tmp_path: Path) -> None:
    for name in ("irm", "icm", "mixture"):
        assert separated(name, prepare(44100, mixture=noise(100)), tmp_path) == {}


def test_failure_leaves_no_estimate_behind(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(44100, vocals=noise(70000), accompaniment=noise(70000))
    soundfile.write(prepared.references["vocals"], noise(10), 44100, subtype="FLOAT")
    with pytest.raises(ValueError):
        baselines["irm"]().separate(prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("samples", [1, 5, 1024, 4096, 99999])
@pytest.mark.parametrize("size", [1000, 4096, 65536])
def test_a_mask_of_one_gives_the_signal_back(samples: int, size: int) -> None:
    signal = noise(samples, 2)[None]
    out = list(map_spectra(cut(signal, size), lambda spectra: spectra, n_fft=4096))
    assert len(out) == 1 or max(block.shape[1] for block in out) <= 20 * 1024
    np.testing.assert_allclose(np.concatenate(out, axis=1), signal, atol=1e-7)


def cut(signals: Floats, size: int) -> list[Floats]:
    return [signals[:, start : start + size] for start in range(0, signals.shape[1], size)]


@pytest.mark.parametrize("oracle", [IdealRatioMask(), IdealComplexMask()])
def test_streamed_masks_equal_masks_of_the_whole(oracle: IdealRatioMask | IdealComplexMask) -> None:
    samples, n_fft = 54321, 2048
    hop = n_fft // 4
    signals = np.stack((voice(samples, 22050)[:, 0], noise(samples)[:, 0]))
    signals = np.concatenate((signals.sum(axis=0, keepdims=True), signals)).astype(np.float64)

    def streamed(size: int) -> NDArray[np.floating]:
        def estimate(spectra: Spectra) -> Spectra:
            return oracle.estimates(spectra[0], spectra[1:])

        blocks = cut(signals[:, :, None].astype(np.float32), size)
        return np.concatenate(list(map_spectra(blocks, estimate, n_fft=n_fft)), axis=1)[:, :, 0]

    # librosa on the whole array, padded by hand so that its frames are these
    padded = np.pad(signals, ((0, 0), (3 * hop, 3 * hop + -samples % hop)))
    spectra = librosa.stft(padded, n_fft=n_fft, hop_length=hop, center=False).transpose(0, 2, 1)[:, None]
    masked = oracle.estimates(spectra[0], spectra[1:])[:, 0].transpose(0, 2, 1)
    whole = librosa.istft(masked, n_fft=n_fft, hop_length=hop, center=False)[:, 3 * hop :][:, :samples]
    for size in (777, 8192, samples):
        np.testing.assert_allclose(streamed(size), whole, atol=1e-6)


def test_windows_of_the_masks_are_near_93_ms() -> None:
    sizes = {rate: fitting_n_fft(rate) for rate in (8000, 16000, 22050, 44100, 48000, 96000)}
    assert sizes == {8000: 1024, 16000: 2048, 22050: 2048, 44100: 4096, 48000: 4096, 96000: 8192}


def test_what_repeats_is_accompaniment(prepare: Prepare, tmp_path: Path) -> None:
    rate = 16000
    bar = noise(rate) * np.linspace(1, 0, rate, dtype=np.float32)[:, None]
    music = np.tile(bar, (12, 1))
    prepared = prepare(rate, vocals=voice(len(music), rate, 1, 200, 800), accompaniment=music)
    for stem in ("vocals", "accompaniment"):
        assert sdr("nn-filter", prepared, tmp_path, stem) > sdr("mixture", prepared, tmp_path, stem) + 2


def test_pieces_of_the_filter_join_without_a_seam(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 8000
    tone = voice(30 * rate + 7, rate)
    prepared = prepare(rate, vocals=np.zeros_like(tone), accompaniment=tone)
    monkeypatch.setattr(nn_filter, "PIECE_SECONDS", 7.0)
    estimates = separated("nn-filter", prepared, tmp_path)
    inside = slice(rate, -rate)  # where the tone begins and ends it does not repeat
    assert np.abs(estimates["accompaniment"] - tone)[inside].max() < 0.02
    assert np.abs(estimates["vocals"])[inside].max() < 0.02


@pytest.mark.parametrize("samples", [1, 100, 1000, 6000, 60001])
def test_pieces_cover_everything_and_are_never_too_long(samples: int) -> None:
    cuts = nn_filter._pieces(samples, 1000, 100)
    assert cuts[0][0] == 0 and cuts[-1][1] == samples
    assert max(stop - start for start, stop in cuts) <= 1000
    assert all(before[1] - after[0] == 100 for before, after in zip(cuts, cuts[1:], strict=False))


def test_what_a_baseline_cannot_do_is_explained(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(16000, mixture=noise(1600))
    for name in SEPARATORS:
        with pytest.raises(UsageError, match=f"{name} finds no melody"):
            baselines[name]().estimate_f0(prepared, "mixture", {})
    assert baselines["pyin"]().separate(prepared, tmp_path / "out") == {}
    with pytest.raises(UsageError, match="pyin: no input 'drums'"):
        baselines["pyin"]().estimate_f0(prepared, "drums", {})
    with pytest.raises(DataError, match="track t: no reference vocals"):
        baselines["pyin"]().estimate_f0(prepared, "vocals", {})


@pytest.mark.data
def test_real_singing_lies_between_floor_and_ceiling(shared_data: Path, prepare: Prepare, tmp_path: Path) -> None:
    track = next(track for track in corpora["mir-1k"](shared_data / "mir1k") if track.split == "validation")
    vocals, accompaniment, rate = load_sources(track)
    vocals, accompaniment = mix_at(vocals, accompaniment, 0.0)
    prepared = prepare(rate, vocals=vocals, accompaniment=accompaniment, track=track)
    assert sdr("mixture", prepared, tmp_path) == pytest.approx(0.0, abs=0.01)
    assert sdr("irm", prepared, tmp_path) > 10
    assert sdr("icm", prepared, tmp_path) > 30
