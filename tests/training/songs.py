"""Songs of generated audio, labelled fully or in part, laid out as a folder of stems; and pseudo-labels by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from majl_cli.data.manifest import Stem, Track

RATE = 16000
KINDS = {"mss": "pitch", "pe": "stems"}


def voice(hertz: float, seconds: float) -> NDArray[np.float64]:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * hertz * h * time) / h for h in range(1, 6))


def write_song(folder: Path, id: str, labels: str, *, hertz: float = 220.0, seconds: float = 1.0) -> None:
    """``folder``/``id`` with a voice of harmonics over noise: what ``labels`` (full, mss, pe) says."""
    place = folder / id
    place.mkdir(parents=True)
    sung = voice(hertz, seconds)
    noise = 0.05 * np.random.default_rng(round(hertz)).standard_normal(len(sung))
    audio = {"mixture": sung + noise} if labels == "pe" else {"vocals": sung, "accompaniment": noise}
    for name, samples in audio.items():
        soundfile.write(place / f"{name}.wav", samples, RATE, subtype="FLOAT")
    if labels != "mss":
        write_csv(place / "pitch.csv", "time,frequency", seconds, lambda time: np.full(len(time), hertz))


def write_csv(path: Path, header: str, seconds: float, values) -> Path:  # type: ignore[no-untyped-def]
    """Rows of (time, value) every 10 ms."""
    time = np.arange(round(seconds * 100) + 1) / 100
    rows = "".join(f"{t:.6f},{value:.6f}\n" for t, value in zip(time, values(time), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{header}\n{rows}")
    return path


def pseudo_labelled(
    track: Track,
    folder: Path,
    *,
    hertz: float = 220.0,
    confidence: float = 0.9,
    kept: tuple[tuple[float, float], ...] | None = None,
) -> Track:
    """An mss or pe track with the label it lacked, as ``majl pseudolabel`` and ``majl filter`` leave it."""
    place = folder / track.id
    sure = write_csv(
        place / "confidence.csv", "time,confidence", track.duration, lambda time: np.full(len(time), confidence)
    )
    done = dataclasses.replace(track, labels="full", pseudo=KINDS[track.labels], confidence=sure, kept=kept)
    if track.labels == "mss":
        pitch = write_csv(place / "pitch.csv", "time,frequency", track.duration, lambda time: np.full(len(time), hertz))
        return dataclasses.replace(done, pitch=pitch)
    soundfile.write(place / "vocals.flac", voice(hertz, track.duration), RATE)
    return dataclasses.replace(done, stems={"vocals": Stem(path=place / "vocals.flac")})


def write_project(folder: Path, *, settings: str = "", steps: int = 2, songs: dict[str, str] | None = None) -> Path:
    """A project of tiny trainings in ``folder``: its ``songs`` (id: labels), and majl.toml with ``settings`` at its
    end."""
    for n, (id, labels) in enumerate((songs or SONGS).items()):
        write_song(folder / "songs", id, labels, hertz=200 + 17 * n)
    file = folder / "majl.toml"
    file.write_text(PROJECT.format(steps=steps) + settings)
    return file


SONGS = {"train/full": "full", "train/mss": "mss", "train/pe": "pe", "validation/full": "full"}
PROJECT = """\
[data.folders]
stems = "songs"
[train]
preset = "tiny"
device = "cpu"
[train.data]
segment_seconds = 0.5
[train.loop]
steps = {steps}
validate_every = 100
precision = "no"
"""
