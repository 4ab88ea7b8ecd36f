"""The embedded model on a singer whose notes are known: synthetic, so it always runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import majl_cli
from majl_cli.metrics.melody import melody_scores
from majl_cli.metrics.separation import global_sdr

RATE = 44100
NOTES = (57, 60, 64, 62, 65, 69, 67, 64, 0, 60, 62, 57)


@pytest.fixture(scope="module")
def model() -> majl_cli.Model:
    return majl_cli.load_model(precision="float32", threads=2)


def singer(seconds_per_note: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A harmonic voice with vibrato and two formants; audio (samples,) and f0 in Hz per sample, 0 in the rest."""
    per_note = round(seconds_per_note * RATE)
    midi = np.repeat(np.array(NOTES, float), per_note)
    time = np.arange(len(midi)) / RATE
    f0 = np.where(midi > 0, 440 * 2 ** ((midi - 69 + 0.3 * np.sin(2 * np.pi * 5.5 * time)) / 12), 0.0)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    voice = np.zeros_like(time)
    for harmonic in range(1, 30):
        frequency = harmonic * f0
        formants = sum(np.exp(-0.5 * ((frequency - c) / w) ** 2) for c, w in ((650, 250), (1100, 300), (2700, 500)))
        voice += np.where(frequency < 8000, (formants + 0.02) / harmonic**0.5, 0.0) * np.sin(harmonic * phase)
    position = np.arange(len(midi)) % per_note
    envelope = np.minimum(1.0, np.minimum(position, per_note - position) / (0.03 * RATE)) * (midi > 0)
    return 0.1 * voice * envelope, f0


def band(samples: int) -> np.ndarray:
    """Chords of decaying strings and a noise drum on every beat; (samples,)."""
    generator = np.random.default_rng(0)
    audio = np.zeros(samples)
    beat = RATE // 2
    for n, start in enumerate(range(0, samples, beat)):
        time = np.arange(min(beat, samples - start)) / RATE
        chord = ((45, 52, 57), (41, 48, 53), (43, 50, 55))[n // 4 % 3]
        for midi in chord:
            f = 440 * 2 ** ((midi - 69) / 12)
            decay = np.exp(-4 * time)
            audio[start : start + len(time)] += sum(
                decay**h * np.sin(2 * np.pi * f * h * time) / h for h in (1, 2, 3, 4)
            )
        audio[start : start + len(time)] += 2 * np.exp(-40 * time) * generator.standard_normal(len(time))
    return 0.05 * audio


@pytest.fixture(scope="module")
def song() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vocals and accompaniment (samples, 2) at equal energy, and f0 per sample."""
    vocals, f0 = singer()
    accompaniment = band(len(vocals))
    accompaniment *= np.sqrt(np.square(vocals).sum() / np.square(accompaniment).sum())
    return (
        np.repeat(vocals[:, None], 2, axis=1).astype(np.float32),
        np.repeat(accompaniment[:, None], 2, axis=1).astype(np.float32),
        f0,
    )


def test_synthetic_singer_is_separated(model: majl_cli.Model, song: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    vocals, accompaniment, _ = song
    mixture = vocals + accompaniment
    separation = model.separate(mixture, sample_rate=RATE)
    assert separation.stems is not None
    assert global_sdr(estimate=separation.stems["vocals"], reference=vocals) > 5.0
    assert global_sdr(estimate=separation.stems["accompaniment"], reference=accompaniment) > 5.0
    assert np.abs(sum(separation.stems.values()) - mixture).max() < 1e-4


@pytest.mark.parametrize(("kind", "least"), [("mixture", 0.85), ("vocals", 0.9)])
def test_synthetic_singer_is_tracked(
    model: majl_cli.Model, song: tuple[np.ndarray, np.ndarray, np.ndarray], kind: str, least: float
) -> None:
    vocals, accompaniment, f0 = song
    audio = vocals + accompaniment if kind == "mixture" else vocals
    track = model.estimate_pitch(audio, sample_rate=RATE, input=kind)
    reference_times = np.arange(0, len(f0), RATE // 100) / RATE
    estimate = np.where(track.voiced, track.frequency, -track.frequency)
    scores = melody_scores(reference_times, f0[:: RATE // 100], track.times, estimate)
    assert scores.rpa > least
    assert scores.oa > 0.75


def test_auto_tells_a_song_from_a_solo_voice(
    model: majl_cli.Model, song: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    vocals, accompaniment, _ = song
    assert model.estimate_pitch(vocals, sample_rate=RATE, input="auto").input == "vocals"
    assert model.estimate_pitch(vocals + accompaniment, sample_rate=RATE, input="auto").input == "mixture"


def test_silence_has_no_voice_and_stays_silent(model: majl_cli.Model) -> None:
    silence = np.zeros((RATE, 2), np.float32)
    separation = model.separate(silence, sample_rate=RATE)
    assert separation.stems is not None
    assert all(np.abs(stem).max() < 1e-4 for stem in separation.stems.values())
    track = model.estimate_pitch(silence, sample_rate=RATE, input="mixture")
    assert not track.voiced.any()
    assert len(track.times) == 101


@pytest.mark.parametrize("rate", [16000, 22050, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_stems_have_rate_channels_length_and_sum_of_the_input(
    model: majl_cli.Model, tmp_path: Path, rate: int, channels: int
) -> None:
    samples = rate // 2 + 13
    mixture = (0.1 * np.random.default_rng(0).standard_normal((samples, channels))).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", mixture, rate, subtype="FLOAT")
    separation = model.separate(tmp_path / "in.wav", out=tmp_path / "out")
    stems = []
    for path in separation.files.values():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (rate, channels, samples, "FLOAT")
        stems.append(soundfile.read(path, dtype="float32", always_2d=True)[0])
    assert np.abs(sum(stems) - mixture).max() < 1e-4


def test_chunked_equals_whole_for_the_embedded_model(model: majl_cli.Model) -> None:
    """40 s pass through several chunks; the network over all of it at once gives the same."""
    import torch

    generator = np.random.default_rng(0)
    mixture = (0.1 * generator.standard_normal((40 * RATE + 77, 2))).astype(np.float32)
    stems = model.separate(mixture, sample_rate=RATE).stems
    with torch.inference_mode():
        whole = model.joint.separate(torch.from_numpy(mixture.T)[None])[0, 0].T.numpy()
    assert stems is not None
    assert np.abs(stems["vocals"] - whole).max() < 1e-4


@pytest.mark.data
def test_real_songs_melody_and_stems_beat_the_mixture(model: majl_cli.Model, shared_data: Path) -> None:
    from majl_cli.data.corpora.mir1k import mir1k
    from majl_cli.evaluation.model_scores import evaluate_tracks, mean_scores

    tracks = [t for t in mir1k(shared_data / "mir1k") if t.split == "validation"][::25]
    scores = mean_scores(evaluate_tracks(model, tracks, snr_db=0.0))
    assert scores["sdr_gain"] > 6.0
    assert scores["rpa"] > 0.8
    assert scores["rpa_clean"] > 0.93
    assert scores["vfa_clean"] < 0.2
