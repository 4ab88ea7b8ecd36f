"""An evaluation on disk: a folder for each estimator, a line for each track as soon as it is scored.

``OUT/ESTIMATOR/settings.json`` says what was scored how, ``tracks.jsonl`` has the rows, ``f0/`` the melodies found,
``stems/`` the estimates if they are kept. Started again on the folder, tracks that have a row are not done again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, MajlError
from majl_cli.evaluation.prepared import Estimator
from majl_cli.evaluation.protocols import Protocol, leak_warnings
from majl_cli.evaluation.results import Result, TrackRow
from majl_cli.evaluation.scoring import Scoring, score_track
from majl_cli.inference.track_log import ResultLog, read_json, safe_name, write_json
from majl_cli.inference.workers import Stop, run_on_tracks
from majl_cli.metrics.names import part_of

SETTINGS_FILE, ROWS_FILE, WORK_FOLDER = "settings.json", "tracks.jsonl", ".work"
# Settings in which the starts of one evaluation may differ.
_FREE = ("warnings", "estimates", "tracks", "split", "limit", "jobs", "threads", "device", "versions", "date")


@dataclass(frozen=True, kw_only=True)
class Done:
    """A track that came to an end; ``before``: in an earlier start."""

    track: Track
    row: TrackRow
    before: bool = False


def evaluate(
    estimator: Estimator,
    tracks: Sequence[Track],
    out: Path,
    *,
    protocol: Protocol,
    scoring: Scoring,
    settings: Mapping[str, Any],
    jobs: int = 1,
    threads: int = 1,
    keep_estimates: bool = False,
    listener: Callable[[Done], None] = lambda done: None,
) -> Result:
    """Score ``estimator`` on the tracks, ``jobs`` at a time, into ``out``/its name.

    ``settings`` are what else makes the figures repeatable; a folder that holds figures made otherwise is refused
    (DataError). What is wrong with one track is in its row, and is tried again at the next start.
    """
    folder = out / safe_name(estimator.name)
    warnings = leak_warnings(estimator.trained_on, tracks, estimator.name)
    described: dict[str, Any] = {
        "estimator": estimator.name,
        "kind": estimator.kind,
        "description": estimator.description,
    }
    described |= {"protocol": protocol.name, "warnings": list(warnings), **scoring.as_json(), **settings}
    described["tracks"] = [track.id for track in tracks]
    claim(folder, described)
    log = ResultLog(folder / ROWS_FILE)
    rows: dict[str, TrackRow] = {}
    waiting = []
    for track in tracks:
        kept = log.rows.get(track.id)
        if kept is None or kept.get("inputs") != fingerprint(estimator, track):
            waiting.append(track)
            continue
        row = row_from_json(kept)
        if keep_estimates and _has_stems(row) and not (folder / "stems" / safe_name(track.id)).is_dir():
            waiting.append(track)
            continue
        rows[track.id] = row
        listener(Done(track=track, row=row, before=True))
    work_folder = folder / WORK_FOLDER
    shutil.rmtree(work_folder, ignore_errors=True)  # of a process that was killed

    def work(track: Track, stop: Stop) -> TrackRow:
        place = work_folder / safe_name(track.id)
        inputs = fingerprint(estimator, track)
        try:
            row = score_track(
                estimator, track, place, scoring=scoring, f0_folder=folder / "f0", stop=stop,
                keep=folder / "stems" / safe_name(track.id) if keep_estimates else None,
            )  # fmt: skip
        finally:
            shutil.rmtree(place, ignore_errors=True)
        log.append(row_to_json(row) | {"inputs": inputs})
        return row

    try:
        with run_on_tracks(work, waiting, jobs=jobs, threads=threads) as ends:
            for track, result in ends:
                row = result if isinstance(result, TrackRow) else _failed(track, result)
                rows[track.id] = row
                listener(Done(track=track, row=row))
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)
    return Result(
        name=estimator.name,
        kind=estimator.kind,
        description=estimator.description,
        protocol=protocol.name,
        settings=_cited(described),
        warnings=warnings,
        rows=tuple(rows[track.id] for track in tracks),
    )


def load_result(folder: Path) -> Result:
    """What an evaluation left in an estimator's folder. Raises DataError."""
    settings = read_json(folder / SETTINGS_FILE, "give a folder that majl evaluate has written for one estimator")
    log = ResultLog(folder / ROWS_FILE)
    rows = [log.rows[id] for id in settings.get("tracks", log.rows) if id in log.rows]
    if not rows:
        raise DataError(f"{folder}: no track is scored there", "run majl evaluate first")
    return Result(
        name=str(settings.get("estimator", folder.name)),
        kind=str(settings.get("kind", "estimates")),
        description=str(settings.get("description", "")),
        protocol=str(settings.get("protocol", "")),
        settings=_cited(settings),
        warnings=tuple(settings.get("warnings", ())),
        rows=tuple(row_from_json(row) for row in rows),
    )


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings, or find that the folder has the same. Raises DataError naming the first that differs."""
    path = folder / SETTINGS_FILE
    if path.exists():
        before = read_json(path)
        for key in sorted(before.keys() | settings.keys()):
            if key not in _FREE and before.get(key) != settings.get(key):
                raise DataError(
                    f"{folder}: holds figures made with {key} = {before.get(key)!r}, this is {settings.get(key)!r}",
                    "use another --out, or remove that folder",
                )
    write_json(path, dict(settings))


def _cited(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without what a result says itself."""
    own = ("estimator", "kind", "description", "protocol", "warnings", "tracks", "date")
    return {key: value for key, value in settings.items() if key not in own}


def fingerprint(estimator: Estimator, track: Track) -> str:
    """Sizes and times of change of all files that a track's scores depend on; another one where a file is missing, or
    was not there before."""
    stems = [stem.path for stem in (track.mixture, *track.stems.values()) if stem is not None]
    pitch = [] if track.pitch is None else [track.pitch if track.pitch.exists() else track.pitch.parent]
    try:
        own = estimator.files(track)
    except MajlError:
        own = []  # it is said when the track's turn comes
    states = []
    for path in (*stems, *pitch, *own):
        with suppress(OSError):
            state = path.stat()
            states.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(states).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _has_stems(row: TrackRow) -> bool:
    return any(not part_of(key).startswith(("melody", "notes")) for key in row.scores)


def row_to_json(row: TrackRow) -> dict[str, Any]:
    """null is nan; infinite scores are the words ``inf`` and ``-inf``."""
    values = asdict(row)
    values["scores"] = {
        key: value if math.isfinite(value) else None if math.isnan(value) else str(value)
        for key, value in row.scores.items()
    }
    return {key: value for key, value in values.items() if key in ("id", "seconds", "scores") or value}


def row_from_json(values: Mapping[str, Any]) -> TrackRow:
    scores = {key: math.nan if value is None else float(value) for key, value in values["scores"].items()}
    known = {key: value for key, value in values.items() if key != "inputs"}
    return TrackRow(**{**known, "scores": scores, "notes": tuple(values.get("notes", ()))})


def _failed(track: Track, error: MajlError | OSError) -> TrackRow:
    text = f"{error.message} ({error.hint})" if isinstance(error, MajlError) and error.hint else str(error)
    return TrackRow(id=track.id, seconds=track.duration, group=track.artist, error=text)
