"""Small tracks on disk: a gliding tone as the voice, noise and a chord as the accompaniment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from majl_cli.data.manifest import Stem, Track

RATE = 16000
LABEL_HOP = 0.01


def voice(seconds: float, rate: int = RATE, *, low: float = 200.0, high: float = 400.0) -> np.ndarray:
    """Silent for the first fifth; then a glide with three partials."""
    time = np.arange(round(seconds * rate)) / rate
    f0 = low * (high / low) ** (time / seconds)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    tone = sum(np.sin(k * phase) / k for k in (1, 2, 3))
    return (0.2 * tone * (time >= seconds / 5)).astype(np.float32)


def label(seconds: float, *, low: float = 200.0, high: float = 400.0) -> tuple[np.ndarray, np.ndarray]:
    """Times in s and f0 in Hz of ``voice``."""
    times = np.arange(0.0, seconds, LABEL_HOP)
    return times, np.where(times >= seconds / 5, low * (high / low) ** (times / seconds), 0.0)


def backing(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * tone * time) for tone in (110.0, 138.6, 164.8))
    return (0.05 * chord + 0.05 * rng.standard_normal(len(time))).astype(np.float32)


def write_track(
    folder: Path,
    name: str,
    *,
    seconds: float = 3.0,
    rate: int = RATE,
    corpus: str = "Small",
    split: str = "test",
    artist: str = "",
    seed: int = 0,
    pitch: bool = True,
) -> Track:
    """Two mono stems and a pitch label."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    soundfile.write(place / "vocals.wav", voice(seconds, rate), rate, subtype="FLOAT")
    soundfile.write(place / "accompaniment.wav", backing(seconds, rate, seed), rate, subtype="FLOAT")
    times, f0 = label(seconds)
    (place / "f0.csv").write_text(
        "time,frequency\n" + "".join(f"{t:.3f},{f:.3f}\n" for t, f in zip(times, f0, strict=True))
    )
    return Track(
        id=name,
        corpus=corpus,
        split=split,
        artist=artist,
        labels="full" if pitch else "mss",
        stems={name: Stem(path=place / f"{name}.wav") for name in ("vocals", "accompaniment")},
        pitch=place / "f0.csv" if pitch else None,
        sample_rate=rate,
        channels=1,
        duration=seconds,
    )
