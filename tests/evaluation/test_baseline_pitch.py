"""Baselines of pitch: tones found, silence unvoiced, and the same whatever the window."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from baseline_tracks import lay_out, noise, voice
from numpy.typing import NDArray

from majl_cli.data.corpora import corpora
from majl_cli.data.labels import read_pitch
from majl_cli.errors import DependencyError
from majl_cli.evaluation.baselines import baselines, families
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.evaluation.sources import load_sources
from majl_cli.metrics.melody import melody_scores

PACKAGES = {
    "torchcrepe-tiny": ("torchcrepe", "torchcrepe"),
    "torchcrepe-full": ("torchcrepe", "torchcrepe"),
    "pesto": ("pesto", "pesto-pitch"),
    "swift-f0": ("swift_f0", "swift-f0"),
    "fcpe": ("torchfcpe", "torchfcpe"),
}
TRACKERS = ("pyin", *PACKAGES)
FAST_TRACKERS = tuple(name for name in TRACKERS if name != "torchcrepe-full")
Prepare = Callable[..., PreparedTrack]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return partial(lay_out, tmp_path)


def tracked(name: str, prepared: PreparedTrack, input: str = "vocals") -> tuple[NDArray, NDArray]:
    if name in PACKAGES:
        module, package = PACKAGES[name]
        pytest.importorskip(module, reason=f"{package} is not installed; pip install 'majl[peers]' to run this")
    f0 = baselines[name]().estimate_f0(prepared, input, {})
    hop = 0.016 if name == "swift-f0" else 0.01
    assert f0.times.shape == f0.frequency.shape == (int(prepared.samples / prepared.sample_rate / hop + 1e-9) + 1,)
    np.testing.assert_allclose(f0.times, np.arange(len(f0.times)) * hop)
    return f0.times, f0.frequency


@pytest.mark.parametrize("name", TRACKERS)
def test_gliding_tone_is_followed(name: str, prepare: Prepare) -> None:
    rate = 44100
    samples = 2 * rate + 321
    prepared = prepare(rate, vocals=voice(samples, rate, 2, 150, 600), mixture=noise(samples, 2))
    times = np.arange(0.1, 1.9, 0.01)
    truth = 150 * 4 ** (times * rate / samples)
    scores = melody_scores(times, truth, *tracked(name, prepared))
    assert scores.rpa > 0.98 and scores.vr > 0.98


@pytest.mark.parametrize("name", FAST_TRACKERS)
def test_frames_lie_where_their_times_say(name: str, prepare: Prepare) -> None:
    """A frame that is late sees a rising tone too high and a falling one too low; a bias of pitch cancels out."""
    rate, seconds = 16000, 4
    lows_and_highs = ((150.0, 600.0), (600.0, 150.0))
    errors = []
    for low, high in lows_and_highs:
        prepared = prepare(rate, vocals=voice(seconds * rate, rate, 1, low, high))
        times, frequency = tracked(name, prepared)
        inside = (times > 0.3) & (times < seconds - 0.3)
        truth = low * (high / low) ** (times[inside] / seconds)
        errors.append(np.mean(1200 * np.log2(np.abs(frequency[inside]) / truth)))
    milliseconds_late = 1000 * (errors[0] - errors[1]) / 2 / (2400 / seconds)
    assert abs(milliseconds_late) < 3


@pytest.mark.parametrize("name", FAST_TRACKERS)
def test_silence_is_unvoiced_and_guessed_at(name: str, prepare: Prepare) -> None:
    rate = 16000
    audio = voice(2 * rate, rate, 1, 300, 300)
    audio[rate:] = 0
    times, frequency = tracked(name, prepare(rate, mixture=audio), "mixture")
    assert (frequency[times < 0.9] > 0).mean() > 0.95
    assert (frequency[times > 1.1] < 0).all()


@pytest.mark.parametrize("name", FAST_TRACKERS)
@pytest.mark.parametrize("samples", [1, 300, 441, 2000])
def test_shortest_files_have_their_frames(name: str, samples: int, prepare: Prepare) -> None:
    _, frequency = tracked(name, prepare(44100, mixture=noise(samples)), "mixture")
    assert np.isfinite(frequency).all() and frequency.all()


@pytest.mark.parametrize("name", FAST_TRACKERS)
def test_windows_of_the_trackers_join_without_a_seam(
    name: str, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 22050
    prepared = prepare(rate, vocals=voice(round(8.5 * rate), rate, 1, 200, 400))
    whole = tracked(name, prepared)[1]
    lengths: list[int] = []
    monkeypatch.setattr(families, "WINDOW_SECONDS", 4)
    read = families.read_audio
    monkeypatch.setattr(families, "read_audio", lambda *a, **k: (lengths.append(k["frames"]), read(*a, **k))[1])
    pieces = tracked(name, prepared)[1]
    assert lengths == [6 * rate, 8 * rate, 8 * rate]
    inside = slice(10, -10)
    assert np.abs(1200 * np.log2(pieces[inside] / whole[inside])).max() <= 20.1  # a bin of CREPE
    assert (np.abs(1200 * np.log2(pieces[inside] / whole[inside])) > 1).mean() < 0.02


# The confidences of PESTO and SwiftF0 fall with the level; that is their own.
@pytest.mark.parametrize("name", ["pyin", "torchcrepe-tiny", "fcpe"])
def test_soft_singing_is_tracked_like_loud(name: str, prepare: Prepare) -> None:
    audio = voice(16000, 16000, 1, 200, 300)
    loud = tracked(name, prepare(16000, mixture=audio), "mixture")[1][5:-5]
    soft = tracked(name, prepare(16000, mixture=audio / np.float32(50)), "mixture")[1][5:-5]
    assert (loud > 0).all() and (soft > 0).all()
    np.testing.assert_allclose(soft, loud, rtol=0.012)  # a bin of CREPE


def test_torchcrepe_repeats_itself_and_leaves_the_random_state_alone(prepare: Prepare) -> None:
    prepared = prepare(16000, mixture=voice(8000, 16000) + noise(8000))
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    first = tracked("torchcrepe-tiny", prepared, "mixture")[1]
    assert np.random.random() == expected
    assert np.array_equal(first, tracked("torchcrepe-tiny", prepared, "mixture")[1])


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_package_is_explained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, package = PACKAGES[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DependencyError, match=f"{name} needs {package}, which is not installed") as caught:
        baselines[name]()
    assert caught.value.hint == f"pip install {package}"


@pytest.mark.data
def test_real_singing_is_followed(shared_data: Path, prepare: Prepare) -> None:
    track = next(track for track in corpora["mir-1k"](shared_data / "mir1k") if track.split == "validation")
    vocals, _, rate = load_sources(track)
    prepared = prepare(rate, vocals=vocals, track=track)
    times, frequency, known = read_pitch(track)
    for name in FAST_TRACKERS:
        assert melody_scores(times[known], frequency[known], *tracked(name, prepared)).rpa > 0.8
