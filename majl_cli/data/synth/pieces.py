"""One piece of training material: made, written with its label, and described.

Piece ``index`` of a kind and a seed is always the same, whoever makes it and when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from majl_cli.audio import read_audio
from majl_cli.data.manifest import Stem, Track
from majl_cli.data.synth.accompaniment import render_accompaniment
from majl_cli.data.synth.resynthesis import label_text, resing
from majl_cli.data.synth.songs import Song
from majl_cli.data.synth.soundfont import RATE, SoundfontPlayer
from majl_cli.data.synth.sung import Unit, sing
from majl_cli.files import aside_path, write_errors_explained, write_text

STREAM = 4  # of the draw of a recording
KINDS = ("accompaniments", "sung", "resung-open", "resung")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What pieces are made of: ``songs`` for accompaniments and sung voices, a ``player`` for the former, a ``bank`` of
    words for the latter; ``voices``: the recordings that each kind of re-sung voice is made of."""

    seed: int
    songs: Sequence[Song] = ()
    player: SoundfontPlayer | None = None
    bank: Mapping[str, list[Unit]] = field(default_factory=dict)
    voices: Mapping[str, list[Track]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A file to make: piece ``index`` of a ``kind`` (KINDS), or, of the kind "recording", the decoded ``source``."""

    kind: str
    index: int
    path: Path
    source: Path | None = None


def make(material: Material, job: Job) -> Job:
    """Write the piece; its label first, so that audio is never without one."""
    if job.kind == "recording":
        assert job.source is not None
        audio, rate = read_audio(job.source)
        _write(job.path, np.clip(audio, -1.0, 1.0), rate)
        return job
    audio, f0, rate = render(material, job.kind, job.index)
    if f0 is not None:
        write_text(job.path.with_suffix(".csv"), label_text(f0))
    _write(job.path, audio, rate)
    return job


def render(material: Material, kind: str, index: int) -> tuple[NDArray[Any], NDArray[Any] | None, int]:
    """Audio (T,) or (T, C), the f0 of a voice, and the sample rate."""
    if kind == "accompaniments":
        assert material.player is not None
        audio = render_accompaniment(material.songs, material.player, seed=material.seed, index=index)
        return audio.T, None, RATE
    if kind == "sung":
        return *sing(material.songs, material.bank, seed=material.seed, index=index), RATE
    track = source_of(material.voices[kind], material.seed, index)
    return *resing(track, track.stems["vocals"], seed=material.seed, index=index), track.sample_rate


def source_of(tracks: Sequence[Track], seed: int, index: int) -> Track:
    """The recording piece ``index`` is made of: each corpus as often as the others, its tracks by their length."""
    generator = np.random.default_rng([seed, STREAM, index])
    corpus = generator.choice(sorted({track.corpus for track in tracks}))
    among = [track for track in tracks if track.corpus == corpus]
    lengths = np.array([track.duration for track in among])
    return among[int(generator.choice(len(among), p=lengths / lengths.sum()))]


def piece_track(job: Job) -> Track:
    """The manifest's line for a piece that was made."""
    info = soundfile.info(job.path)
    voice = job.kind != "accompaniments"
    return Track(
        id=f"{job.kind}_{job.index:05d}",
        corpus=f"synth {job.kind}",
        labels="vocals" if voice else "accompaniment",
        stems={"vocals" if voice else "accompaniment": Stem(path=job.path)},
        pitch=job.path.with_suffix(".csv") if voice else None,
        sample_rate=info.samplerate,
        channels=info.channels,
        duration=info.frames / info.samplerate,
    )


def _write(path: Path, audio: NDArray[Any], rate: int) -> None:
    aside = aside_path(path)
    with write_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            soundfile.write(aside, audio, rate, format="WAV", subtype="PCM_16")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
