"""Voices put together by WORLD: their labels are exact, whatever melody, key or throat they were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from synth_recordings import BINS, RATE, midi_song, spoken, vowel, write_recordings

from majl_cli.data.manifest import Stem, Track
from majl_cli.data.synth.contour import draw_manner, note_runs, recontoured, sung_notes
from majl_cli.data.synth.resynthesis import resing
from majl_cli.data.synth.songs import song_from_midi
from majl_cli.data.synth.sung import nucleus, read_bank, sing
from majl_cli.data.synth.world import FRAME_SECONDS, analyse, at_places, breathier, reshaped, synthesise
from majl_cli.errors import DataError

pytest.importorskip("pyworld", reason="pyworld is not installed; the synth extra brings it")


def autocorrelation_cents(audio: NDArray[np.float32], rate: int, f0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviation of the audio's period from the label, at frames voiced for 60 ms around."""
    deviations = []
    half = round(0.03 / FRAME_SECONDS)
    for frame in range(half, len(f0) - half, 5):
        around = f0[frame - half : frame + half + 1]
        if around.min() <= 0 or np.ptp(1200 * np.log2(around)) > 15:
            continue
        centre, width = round(frame * FRAME_SECONDS * rate), round(0.02 * rate)
        lags = np.arange(round(rate / f0[frame] * 0.9), round(rate / f0[frame] * 1.1) + 2)
        window = audio[centre - width : centre + width].astype(np.float64)
        scores = []
        for lag in lags:
            first = audio[centre - width - lag // 2 : centre + width - lag // 2].astype(np.float64)
            second = audio[centre - width + lag - lag // 2 :][: 2 * width].astype(np.float64)
            scores.append(first @ second / np.sqrt((first @ first) * (second @ second) + 1e-12))
        best = int(np.argmax(scores))
        if window @ window < 1e-4 * 2 * width or not 0 < best < len(lags) - 1:
            continue
        before, at, after = scores[best - 1 : best + 2]
        period = lags[best] + 0.5 * (before - after) / (before - 2 * at + after)
        deviations.append(1200 * np.log2(rate / period / f0[frame]))
    return np.array(deviations)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("recordings"))


def track(path: Path) -> Track:
    return Track(id="voice", corpus="c", labels="vocals", sample_rate=RATE, channels=1, duration=3.0,
                 stems={"vocals": Stem(path=path)})  # fmt: skip


def test_synthesised_pitch_is_the_label() -> None:
    times = np.arange(400) * FRAME_SECONDS
    f0 = 200.0 * 2 ** (0.05 * np.sin(2 * np.pi * 0.7 * times))
    audio = synthesise(vowel(f0))
    assert len(audio) == 2 * RATE
    deviations = autocorrelation_cents(audio, RATE, f0)
    assert len(deviations) > 30
    assert np.abs(deviations).max() < 10 and abs(np.median(deviations)) < 2


def test_analysis_finds_the_voice_and_its_rests() -> None:
    voice = analyse(spoken(), RATE)
    assert voice.log_envelope.shape == voice.aperiodicity.shape == (len(voice.f0), BINS)
    assert not voice.f0[:15].any()
    assert np.median(voice.f0[40:150]) == pytest.approx(180.0, rel=0.003)
    first, end = nucleus(voice)
    assert 10 <= first <= 30 and 160 <= end <= 175


def test_silence_can_be_analysed() -> None:
    voice = analyse(np.zeros(RATE), RATE)
    assert not voice.f0.any() and np.isfinite(voice.log_envelope).all()


def test_places_stretch_and_keep_voicing() -> None:
    f0 = np.r_[np.zeros(10), np.full(10, 100.0), np.full(10, 200.0)]
    slow = at_places(vowel(f0), np.arange(0.0, 29.0, 0.5))
    assert len(slow.f0) == 58
    assert not slow.f0[:19].any() and (slow.f0[20:] > 0).all()
    assert slow.f0[39] == pytest.approx(np.sqrt(100.0 * 200.0))


def test_formants_move_and_highs_are_added() -> None:
    voice = vowel(np.full(40, 150.0), formants=(1000.0,))
    moved = reshaped(voice, formants=1.2, sample_rate=44100, bandwidth=8000.0)
    frequencies = np.linspace(0.0, 22050.0, moved.log_envelope.shape[1])
    assert frequencies[moved.log_envelope[0].argmax()] == pytest.approx(1200.0, abs=25.0)
    above = frequencies > 1.2 * 8000.0
    assert (moved.aperiodicity[:, above] == 1.0).all()
    assert (np.diff(moved.log_envelope[0, above]) < 0).all()
    assert len(synthesise(moved)) == round(40 * FRAME_SECONDS * 44100)


def test_breath_only_adds_noise() -> None:
    voice = vowel(np.full(10, 150.0))
    breathy = breathier(voice, 0.9)
    assert (breathy.aperiodicity >= voice.aperiodicity).all()
    assert breathy.aperiodicity[0, 50] > voice.aperiodicity[0, 50]
    assert breathy.aperiodicity.max() <= 1.0


@pytest.mark.parametrize("seed", range(8))
def test_another_melody_keeps_the_voicing_and_the_range(seed: int) -> None:
    f0 = np.r_[np.zeros(50), np.full(80, 200.0), np.full(80, 250.0), np.zeros(40), np.full(100, 180.0)]
    changed = recontoured(f0, np.random.default_rng(seed))
    np.testing.assert_array_equal(changed > 0, f0 > 0)
    assert changed[changed > 0].min() >= 65 and changed.max() <= 1100
    np.testing.assert_array_equal(recontoured(f0, np.random.default_rng(seed)), changed)
    assert not np.allclose(changed, f0)


def test_note_runs_end_at_jumps_and_rests() -> None:
    f0 = np.r_[np.zeros(50), np.full(60, 200.0), np.full(60, 250.0), np.zeros(40)]
    assert note_runs(f0) == [(50, 110), (110, 170)]


def test_notes_are_reached() -> None:
    generator = np.random.default_rng(0)
    cents = sung_notes([(0.0, 1.0, -900.0), (1.0, 2.0, -500.0)], 400, draw_manner(generator), generator)
    assert np.median(cents[80:180]) == pytest.approx(-900.0, abs=40.0)
    assert np.median(cents[280:380]) == pytest.approx(-500.0, abs=40.0)


def test_resung_voice_has_its_label(recordings: Path) -> None:
    source = track(recordings / "voice.wav")
    audio, f0 = resing(source, source.stems["vocals"], seed=0, index=5, takes=2)
    assert len(audio) == pytest.approx(len(f0) * FRAME_SECONDS * RATE, abs=2)
    assert np.abs(audio).max() == pytest.approx(0.5, abs=0.01)
    deviations = autocorrelation_cents(audio, RATE, f0)
    assert len(deviations) > 20 and np.median(np.abs(deviations)) < 10
    again, same = resing(source, source.stems["vocals"], seed=0, index=5, takes=2)
    np.testing.assert_array_equal(again, audio)
    np.testing.assert_array_equal(same, f0)
    assert not np.array_equal(resing(source, source.stems["vocals"], seed=0, index=6, takes=2)[1], f0)


def test_sung_melody_has_its_label(recordings: Path) -> None:
    song = song_from_midi("song", midi_song())
    bank = read_bank(recordings / "bank")
    audio, f0 = sing([song], bank, seed=0, index=1, seconds=(8.0, 8.0))
    assert len(audio) == 8 * 44100 and len(f0) == 1600
    deviations = autocorrelation_cents(audio, 44100, f0)
    assert len(deviations) > 20 and np.median(np.abs(deviations)) < 10
    assert 0.2 < (f0 > 0).mean() < 0.98
    np.testing.assert_array_equal(sing([song], bank, seed=0, index=1, seconds=(8.0, 8.0))[0], audio)


def test_folder_without_units_is_no_bank(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a voice bank"):
        read_bank(tmp_path)
