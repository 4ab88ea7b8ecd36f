"""Pieces without end: made while training draws segments from them, kept on disk for a while, then gone.

Segment i is drawn from one of ``pieces`` pieces of a kind, and every ``segments_per_piece`` segments one of them makes
room for the next. Which piece it is depends on i and on chance that depends on i; what it sounds like on its number.
So a segment is the same in every worker process and after a resumption, whatever happens to lie on the disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from majl_cli.config import build, read_toml
from majl_cli.data.manifest import Stem, Track
from majl_cli.data.recordings import read_recordings
from majl_cli.data.synth.engine import Order, read_material, solo_voices
from majl_cli.data.synth.pieces import KINDS, Job, Material, make, piece_track
from majl_cli.data.synth.soundfont import RATE
from majl_cli.errors import ConfigError

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """A TOML file's content; relative paths are relative to it.

    ``hours``: by kind (accompaniments, sung, resung, resung-open), as how many hours of recordings it counts when
    segments are drawn. ``pieces`` are there at a time of each kind, and after ``segments_per_piece`` segments the
    oldest makes room for the next.
    """

    recordings: str
    soundfont: str | None = None
    voice_bank: str | None = None
    hours: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    pieces: int = 64
    segments_per_piece: int = 16

    def __post_init__(self) -> None:
        for kind, hours in self.hours.items():
            if kind not in KINDS or not hours > 0:
                raise ConfigError(f"hours of {kind}: {hours}", f"give one of {', '.join(KINDS)} more than 0")
        if not self.hours:
            raise ConfigError("hours: no kind of piece", f"give one of {', '.join(KINDS)} some hours")
        for name in ("pieces", "segments_per_piece"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} is too small", "use 1 or more")


def stream_tracks(file: Path) -> list[Track]:
    """A track for each kind of piece, in the place of all that will be made. Raises ConfigError."""
    config = build(StreamConfig, read_toml(file))
    tracks = []
    for kind, hours in sorted(config.hours.items()):
        stem = "accompaniment" if kind == "accompaniments" else "vocals"
        tracks.append(
            Track(
                id=kind,
                corpus=f"synth {kind}",
                labels=stem,
                stems={stem: Stem(path=file)},
                sample_rate=RATE,
                channels=2 if stem == "accompaniment" else 1,
                duration=HOUR * hours,
                stream=file,
            )
        )
    return tracks


class Stream:
    """The pieces of one file, in a folder of their own in ``folder``.

    What they are made of is read at once, so that worker processes that are forked share it; one that is started afresh
    reads it when it needs to. Raises MajlError where something is missing.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self.file, self.config = file, build(StreamConfig, read_toml(file))
        # Pieces made as another file, or an older version of it, wanted them are others.
        self.folder = folder / hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        self._material: Material | None = self._read()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_material": None}

    def piece(self, kind: str, segment: int, generator: np.random.Generator) -> Track:
        """The piece for a segment, made if it is not there."""
        oldest = segment // self.config.segments_per_piece
        index = oldest + int(generator.integers(self.config.pieces))
        job = Job(kind=kind, index=index, path=self.folder / kind / f"{index:05d}.wav")
        if not job.path.exists():
            self._material = self._material or self._read()
            make(self._material, job)
            self._forget(job.path.parent, oldest)
        return piece_track(job)

    def _forget(self, folder: Path, oldest: int) -> None:
        """Take away what is old, but for as many again: a process that is behind may still read them."""
        for path in folder.glob("*.wav"):
            if int(path.stem) < oldest - self.config.pieces:
                path.unlink(missing_ok=True)
                path.with_suffix(".csv").unlink(missing_ok=True)

    def _read(self) -> Material:
        def beside(name: str | None) -> Path | None:
            return None if name is None else self.file.resolve().parent / name

        config = self.config
        order = Order(
            recordings=self.file.resolve().parent / config.recordings,
            out=self.folder,
            soundfont=beside(config.soundfont),
            voice_bank=beside(config.voice_bank),
            seed=config.seed,
        )
        for kind, key in (("accompaniments", "soundfont"), ("sung", "voice_bank")):
            if kind in config.hours and getattr(config, key) is None:
                raise ConfigError(f"{self.file}: {kind} need a {key}", f'write {key} = "..." in it')
        voices = solo_voices(*read_recordings(order.recordings)) if any("resung" in k for k in config.hours) else {}
        for kind in config.hours:
            if "resung" in kind and not voices[kind]:
                raise ConfigError(f"{self.file}: no recorded voice for {kind}", "leave it out of the hours")
        return read_material(order, voices, set(config.hours))
