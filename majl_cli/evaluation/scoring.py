"""One track scored: its estimates against its references, in memory that does not grow with its length."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, UsageError
from majl_cli.evaluation.melody_scoring import score_f0, score_notes, write_f0
from majl_cli.evaluation.prepared import ACCOMPANIMENT, Estimator, PreparedTrack, prepare_track, reference_parts
from majl_cli.evaluation.protocols import FAMILIES
from majl_cli.evaluation.results import TrackRow
from majl_cli.evaluation.stem_scoring import score_stems
from majl_cli.inference.pitch import INPUTS
from majl_cli.inference.track_log import safe_name
from majl_cli.inference.workers import Stop

Scores = dict[str, float]
PARTS = {"mixture": "melody", "vocals": "melody_clean"}
NOTE_PARTS = {"mixture": "notes", "vocals": "notes_clean"}


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored: ``families`` of metrics on ``stems``, and the melody found in ``inputs``; the mixture is made at
    ``snr_db`` (None: taken as it is). ``device`` computes BSS Eval."""

    families: tuple[str, ...]
    stems: tuple[str, ...] = ("vocals", "accompaniment")
    inputs: tuple[str, ...] = INPUTS
    snr_db: float | None = None
    target: str = "vocals"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for what, given, known in (("metrics", self.families, FAMILIES), ("input", self.inputs, INPUTS)):
            for name in given:
                if name not in known:
                    raise UsageError(f"no {what} {name!r}", f"use some of {', '.join(known)}")
        if not (self.families and self.stems and self.inputs):
            raise UsageError("nothing to score", f"use some of {', '.join(FAMILIES)}")
        if self.snr_db is not None and not math.isfinite(self.snr_db):
            raise UsageError(f"cannot mix at {self.snr_db} dB", "give a finite number")

    def as_json(self) -> dict[str, Any]:
        """What figures depend on."""
        return {
            "metrics": list(self.families),
            "stems": list(self.stems),
            "inputs": list(self.inputs),
            "snr_db": self.snr_db,
        }


def check_scorable(estimator: Estimator, tracks: Sequence[Track], scoring: Scoring) -> None:
    """Raise DataError where nothing can be scored (``is_scorable``), UsageError for a stem that no track has."""
    for stem in scoring.stems:
        if not any(reference_parts(track, stem, scoring.target) for track in tracks) and any(t.stems for t in tracks):
            known = sorted({name for track in tracks for name in track.stems} | {ACCOMPANIMENT})
            raise UsageError(f"no track has the stem {stem!r}", f"there are {', '.join(known)}")
    if is_scorable(estimator, tracks, scoring):
        return
    stems, labels = _references(tracks, scoring)
    there = [what for what, is_there in (("stems", stems), ("pitch labels", labels)) if is_there]
    gives = [what for what, is_there in (("stems", estimator.stems), ("f0", estimator.inputs)) if is_there]
    raise DataError(
        f"{estimator.name}: nothing to score: it gives {' and '.join(gives) or 'nothing'}, "
        f"the tracks have {' and '.join(there) or 'neither stems nor pitch labels'}",
        f"metrics asked for: {', '.join(scoring.families)}; inputs: {', '.join(scoring.inputs)}",
    )


def is_scorable(estimator: Estimator, tracks: Sequence[Track], scoring: Scoring) -> bool:
    """Whether some track has stems or labels that the estimator can be scored on."""
    separates = set(scoring.families) & {"energy", "v3", "v4"} and set(estimator.stems) & set(scoring.stems)
    tracks_pitch = set(scoring.families) & {"pitch", "notes"} and set(estimator.inputs) & set(scoring.inputs)
    stems, labels = _references(tracks, scoring)
    return bool((separates and stems) or (tracks_pitch and labels))


def _references(tracks: Sequence[Track], scoring: Scoring) -> tuple[bool, bool]:
    """Whether some track has one of the stems, and whether one has a pitch label."""
    stems = any(reference_parts(track, stem, scoring.target) for track in tracks for stem in scoring.stems)
    return stems, any(track.pitch is not None for track in tracks)


def score_track(
    estimator: Estimator,
    track: Track,
    place: Path,
    *,
    scoring: Scoring,
    stop: Stop,
    f0_folder: Path | None = None,
    keep: Path | None = None,
) -> TrackRow:
    """Everything the estimator can be scored on. ``place`` is a folder to work in; f0 curves are left in
    ``f0_folder``, stems in ``keep``. Raises MajlError."""
    separates = bool({"energy", "v3", "v4"} & set(scoring.families)) and bool(estimator.stems)
    prepared = prepare_track(track, place, stems=scoring.stems, target=scoring.target, snr_db=scoring.snr_db)
    scores: Scores = {}
    counts: dict[str, int] = {}
    separated: dict[str, Path] = {}
    if prepared.references and separates:
        separated = estimator.separate(prepared, place / "estimates")
        if separated:
            stem_scores, counts = score_stems(prepared, separated, scoring.families, stop=stop, device=scoring.device)
            scores |= stem_scores
    if track.pitch is not None and {"pitch", "notes"} & set(scoring.families):
        for input in scoring.inputs:
            if input in estimator.inputs and (input == "mixture" or scoring.target in prepared.references):
                stop.check()
                scores |= _score_melody(estimator, prepared, input, separated, scoring, f0_folder)
    if keep is not None and separated:
        keep.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(keep, ignore_errors=True)  # of a start that was killed before the row was written
        (place / "estimates").replace(keep)
    return TrackRow(
        id=track.id,
        seconds=prepared.samples / prepared.sample_rate,
        group=track.artist,
        scores=scores,
        counts=counts,
        notes=tuple(prepared.notes),
    )


def _score_melody(
    estimator: Estimator,
    prepared: PreparedTrack,
    input: str,
    separated: Mapping[str, Path],
    scoring: Scoring,
    f0_folder: Path | None,
) -> Scores:
    track, part = prepared.track, PARTS[input]
    f0 = estimator.estimate_f0(prepared, input, separated)
    if f0 is None:
        prepared.notes.append(f"no f0 file of {track.id}")
        return {}
    if f0_folder is not None:
        write_f0(f0, f0_folder / f"{safe_name(track.id)}.{part}.csv")
    scores: Scores = {}
    if "pitch" in scoring.families:
        scores |= {f"{part}/{key}": value for key, value in score_f0(track, f0).items()}
    if "notes" in scoring.families:
        found = score_notes(track, f0, estimator.note_file(track))
        scores |= {f"{NOTE_PARTS[input]}/{key}": value for key, value in found.items()}
    return scores
