"""Tracks and the files that list them: JSON Lines, one track a line, paths relative to the file."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from majl_cli.errors import DataError
from majl_cli.files import aside_path

LABELS = ("full", "mss", "pe", "vocals", "accompaniment", "mixture")
PITCH_FORMATS = ("csv", "agree-csv", "pv", "ikala", "mir-st500", "ultrastar", "notes")
PSEUDO = ("", "pitch", "stems")


@dataclass(frozen=True, kw_only=True)
class Stem:
    """One source on disk: a file, one ``channel`` (from 0) of it, or one audio ``stream`` (from 0) of a container."""

    path: Path
    channel: int | None = None
    stream: int | None = None


@dataclass(frozen=True, kw_only=True)
class Track:
    """One piece of music with its audio and labels.

    ``mixture`` None means the sum of the stems. ``labels``: full (stems and pitch), mss (stems), pe (mixture and
    pitch), vocals or accompaniment (that stem alone), mixture. ``duration`` in seconds. ``bandwidth`` in Hz: above it
    the recording holds nothing (None: up to half its sample rate). ``artist`` is the singer where that is known.
    ``octave_free``: the pitch label is right up to whole octaves only; such labels teach nothing before
    ``majl pseudolabel`` has found their octave.

    Of a pseudo-labelled track, ``pseudo`` says which label a model made, "pitch" or "stems"; ``confidence`` is a CSV
    file ``time,confidence`` per frame; ``kept`` are the runs of frames (start, end) in seconds that the filter left
    for training (None: everything).

    ``stream``: pieces without end in the place of a track; a TOML file that ``data/synth/stream.py`` reads.
    """

    id: str
    corpus: str
    labels: str
    sample_rate: int
    channels: int
    duration: float
    split: str = "train"
    artist: str = ""
    mixture: Stem | None = None
    stems: dict[str, Stem] = field(default_factory=dict)
    pitch: Path | None = None
    pitch_format: str = "csv"
    bandwidth: float | None = None
    octave_free: bool = False
    pseudo: str = ""
    confidence: Path | None = None
    kept: tuple[tuple[float, float], ...] | None = None
    stream: Path | None = None

    @property
    def bucket(self) -> str:
        """The bucket of data the track came from, whatever labels a model has added since: full, mss, pe, ..."""
        return {"": self.labels, "pitch": "mss", "stems": "pe"}[self.pseudo]

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise DataError(f"track {self.id}: labels {self.labels!r}", f"use one of {', '.join(LABELS)}")
        if self.pitch_format not in PITCH_FORMATS:
            raise DataError(f"track {self.id}: pitch_format {self.pitch_format!r}", f"use {', '.join(PITCH_FORMATS)}")
        if self.pseudo not in PSEUDO:
            raise DataError(f"track {self.id}: pseudo {self.pseudo!r}", "use pitch or stems, or leave it out")
        if not self.stems and self.mixture is None:
            raise DataError(f"track {self.id}: neither stems nor a mixture", "give one of them")


_FIELDS = [f.name for f in dataclasses.fields(Track)]
_REQUIRED = {f.name for f in dataclasses.fields(Track) if f.default is f.default_factory}


def write_manifest(path: Path, tracks: Iterable[Track]) -> None:
    """Write aside and rename. Raises DataError when two tracks have one id."""
    lines, seen = [], set()
    for track in tracks:
        if track.id in seen:
            raise DataError(f"two tracks are called {track.id!r}", "ids must differ")
        seen.add(track.id)
        lines.append(json.dumps(_to_json(track, path.parent), ensure_ascii=False) + "\n")
    aside = aside_path(path)
    try:
        aside.write_text("".join(lines), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}", "choose another folder") from error
    finally:
        aside.unlink(missing_ok=True)


def read_manifest(path: Path) -> list[Track]:
    """All tracks of a manifest. Raises DataError naming the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such manifest", "check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "check the file") from error
    return [_from_json(line, path.parent, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def summary(tracks: Iterable[Track]) -> dict[str, str]:
    """Counts and hours, keyed by corpus, split and labels."""
    counts: dict[str, list[float]] = {}
    for track in tracks:
        counts.setdefault(f"{track.corpus}/{track.split}/{track.labels}", []).append(track.duration)
    return {key: f"{len(v)} tracks, {sum(v) / 3600:.2f} h" for key, v in sorted(counts.items())}


def accompaniment_stems(track: Track, target: str) -> list[tuple[int, Stem]]:
    """What adds up to all but the target, as (sign, stem): the accompaniment, or all other stems, or, where there is
    nothing but the target, the mixture less the target. Empty for a track without accompaniment."""
    if "accompaniment" in track.stems and target != "accompaniment":
        return [(1, track.stems["accompaniment"])]
    others = [(1, stem) for name, stem in sorted(track.stems.items()) if name != target]
    if others or track.mixture is None or target not in track.stems:
        return others
    return [(1, track.mixture), (-1, track.stems[target])]


def check_rate(track: Track, stem: Stem, sample_rate: int) -> None:
    """Raise DataError unless the file has the track's rate: pitch and time would be wrong."""
    if sample_rate != track.sample_rate:
        raise DataError(
            f"{stem.path}: has {sample_rate} Hz, its track {track.id} says {track.sample_rate} Hz",
            "correct the manifest, or make it again",
        )


def _to_json(track: Track, folder: Path) -> dict[str, Any]:
    def relative(path: Path) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    def stem(value: Stem) -> dict[str, Any]:
        places = {"channel": value.channel, "stream": value.stream}
        return {"path": relative(value.path)} | {name: place for name, place in places.items() if place is not None}

    row: dict[str, Any] = {}
    for item in dataclasses.fields(track):
        value = getattr(track, item.name)
        if item.name not in _REQUIRED and (value is None or value is False or value in ("", {})):
            continue
        if isinstance(value, Path):
            value = relative(value)
        elif isinstance(value, Stem):
            value = stem(value)
        elif isinstance(value, dict):
            value = {name: stem(part) for name, part in value.items()}
        row[item.name] = value
    return row


def _from_json(line: str, folder: Path, where: str) -> Track:
    def stem(value: Any) -> Stem:
        return Stem(path=folder / value["path"], channel=value.get("channel"), stream=value.get("stream"))

    try:
        row = json.loads(line)
        for key in row:
            if key not in _FIELDS:
                near = difflib.get_close_matches(key, _FIELDS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_FIELDS)}"
                raise DataError(f"{where}: unknown key {key!r}", hint)
        missing = sorted(_REQUIRED - row.keys())
        if missing:
            raise DataError(f"{where}: no {missing[0]!r}", f"every track needs {', '.join(sorted(_REQUIRED))}")
        if row.get("mixture") is not None:
            row["mixture"] = stem(row["mixture"])
        row["stems"] = {name: stem(value) for name, value in row.get("stems", {}).items()}
        for name in ("pitch", "confidence", "stream"):
            if row.get(name) is not None:
                row[name] = folder / row[name]
        if row.get("kept") is not None:
            row["kept"] = tuple((float(start), float(end)) for start, end in row["kept"])
        return Track(**row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{where}: not a track: {error}", "each line is one JSON object; see the docs") from error
