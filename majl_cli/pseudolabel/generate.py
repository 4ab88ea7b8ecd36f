"""Pseudo-labels for partly labelled tracks: pitch where stems are known, stems where pitch is known.

Each finished track has its files below ``tracks/`` and a line in ``results.jsonl``; started again on the folder, the
work goes on with the others. Audio is streamed: of a track only some numbers per frame are held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from majl_cli.audio import AudioWriter
from majl_cli.data.labels import PitchLabels, read_pitch
from majl_cli.data.manifest import Stem, Track, write_manifest
from majl_cli.errors import DataError, MajlError, UsageError
from majl_cli.inference.session import Model
from majl_cli.inference.track_log import ResultLog, read_json, safe_name, write_json
from majl_cli.inference.workers import Stop, run_on_tracks
from majl_cli.pseudolabel.confidence import Floats
from majl_cli.pseudolabel.fingerprint import Fingerprint
from majl_cli.pseudolabel.folder import (
    KIND_OF_LABELS,
    MANIFEST_FILE,
    RESULTS_FILE,
    SETTINGS_FILE,
    write_arrays,
    write_columns,
)
from majl_cli.pseudolabel.held_out import Calibration
from majl_cli.pseudolabel.listening import NO_OCTAVE, Heard, hear, hear_apart
from majl_cli.pseudolabel.octaves import OCTAVES, resolve_octaves
from majl_cli.pseudolabel.stems import open_stem


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A track that came to an end: ``confidence`` its mean over frames, or the ``error``; ``before``: by an earlier
    start; ``clipped``: samples of the separated voice beyond full scale, which were clamped."""

    track: Track
    confidence: float = 0.0
    clipped: int = 0
    before: bool = False
    error: MajlError | OSError | None = None


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """``tracks`` with their pseudo-labels, in the order given, without those that ``failed``."""

    tracks: list[Track]
    failed: list[Outcome]


def pseudolabel(
    model: Model,
    tracks: Sequence[Track],
    out: Path,
    *,
    calibration: Calibration,
    jobs: int = 1,
    npz: bool = False,
    listener: Callable[[Outcome], None] = lambda outcome: None,
) -> PseudoLabels:
    """Label the ``tracks``, mss or pe, and write ``out``/manifest.jsonl.

    mss: the pitch of the true stem; pe: the stem separated from the mixture. ``npz`` writes pitch.npz beside the CSV
    files. ``listener`` gets each track that ends or was finished before. Raises DataError where a track is neither,
    or ``out`` belongs to another model or another temperature; what is wrong with one track is in the result.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs", "use --jobs 1 or more")
    _check_tracks(tracks)
    _claim(out, model, calibration)
    log = ResultLog(out / RESULTS_FILE)
    waiting = []
    for track in tracks:
        if _is_finished(track, log, out, npz):
            listener(_outcome(track, log.rows[track.id], before=True))
        else:
            waiting.append(track)

    def work(track: Track, stop: Stop) -> dict[str, Any]:
        row = _label(model, track, out, calibration.temperature, npz, stop)
        log.append(row)
        return row

    failed = []
    with run_on_tracks(work, waiting, jobs=jobs, threads=model.runtime.threads) as ends:
        for track, result in ends:
            outcome = _outcome(track, result) if isinstance(result, dict) else Outcome(track=track, error=result)
            if outcome.error is not None:
                failed.append(outcome)
            listener(outcome)
    lost = {outcome.track.id for outcome in failed}
    done = [_labelled(model, track, log.rows[track.id], out) for track in tracks if track.id not in lost]
    write_manifest(out / MANIFEST_FILE, done)
    return PseudoLabels(tracks=done, failed=failed)


def _check_tracks(tracks: Sequence[Track]) -> None:
    if not tracks:
        raise DataError("no track to label", "give tracks with labels mss or pe")
    seen = set()
    for track in tracks:
        if track.labels not in KIND_OF_LABELS:
            raise DataError(f"track {track.id}: labels {track.labels}, so nothing to add", "give mss or pe tracks")
        if track.id in seen:
            raise DataError(f"two tracks are called {track.id!r}", "ids must differ")
        seen.add(track.id)


def _claim(out: Path, model: Model, calibration: Calibration) -> None:
    settings: dict[str, Any] = {**Fingerprint.claim(out, model).as_json(), "temperature": calibration.temperature}
    path = out / SETTINGS_FILE
    before = read_json(path).get("temperature")
    if before not in (None, calibration.temperature):
        raise DataError(
            f"{out}: was labelled at the temperature {before}, this is {calibration.temperature}",
            "use another folder, or calibrate on the data of before",
        )
    write_json(path, settings)


def _is_finished(track: Track, log: ResultLog, out: Path, npz: bool) -> bool:
    """Whether the track has a line for the kind of label it lacks, with the files asked for, and they are there."""
    row = log.rows.get(track.id)
    if row is None or row["kind"] != KIND_OF_LABELS[track.labels]:
        return False
    wanted = {"pitch"} if track.octave_free else set()
    wanted |= {"npz"} if npz else set()
    return wanted <= row["files"].keys() and all((out / name).exists() for name in row["files"].values())


def _label(model: Model, track: Track, out: Path, temperature: float, npz: bool, stop: Stop) -> dict[str, Any]:
    """Do one track: its files, and its row for ``results.jsonl``."""
    kind = KIND_OF_LABELS[track.labels]
    folder = out / "tracks" / safe_name(track.id)
    for path in folder.glob(".tmp-majl-*"):  # of a process that was killed
        path.unlink()
    try:
        do = _label_pitch if kind == "pitch" else _label_stems
        heard, confidence, files, clipped = do(model, track, folder, temperature, stop)
        write_columns(folder / "confidence.csv", "time,confidence", heard.times, confidence)
        if npz:
            f0 = heard.f0 if kind == "pitch" else heard.label
            kept = {"frequency": heard.frequency, "voiced": f0 > 0, "confidence": confidence}
            write_arrays(folder / "pitch.npz", times=heard.times, f0=f0, **kept)
            files["npz"] = folder / "pitch.npz"
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # only if empty
        raise
    files["confidence"] = folder / "confidence.csv"
    return {
        "id": track.id,
        "kind": kind,
        "confidence": round(float(confidence.mean()), 5),
        "frames": len(confidence),
        "voiced": round(float((heard.f0 if kind == "pitch" else heard.label).astype(bool).mean()), 5),
        "clipped": clipped,
        "files": {name: path.relative_to(out).as_posix() for name, path in files.items()},
    }


Labelled = tuple[Heard, Floats, dict[str, Path], int]


def _label_pitch(model: Model, track: Track, folder: Path, temperature: float, stop: Stop) -> Labelled:
    target = model.joint.target
    if target not in track.stems:
        raise DataError(f"track {track.id}: no stem {target!r}", f"the model labels the pitch of {target}")
    with open_stem(track, track.stems[target]) as stem:
        blocks = stop.guard(stem.blocks)
        heard = hear(model.joint.pitch, blocks, stem.sample_rate, runtime=model.runtime, temperatures=[temperature])
    write_columns(folder / "pitch.csv", "time,frequency", heard.times, heard.f0)
    return heard, heard.own[:, 0], {"pitch": folder / "pitch.csv"}, 0


def _label_stems(model: Model, track: Track, folder: Path, temperature: float, stop: Stop) -> Labelled:
    if track.mixture is None:
        raise DataError(f"track {track.id}: labels pe, but no mixture", "give the mixture in the manifest")
    label, path = read_pitch(track), folder / f"{model.joint.target}.flac"
    files = {"stem": path}
    with open_stem(track, track.mixture) as mixture:
        mixture = dataclasses.replace(mixture, blocks=stop.guard(mixture.blocks))
        writer = AudioWriter(path, sample_rate=mixture.sample_rate, channels=mixture.channels, subtype="PCM_16")
        with writer:
            apart = hear_apart(
                model,
                mixture,
                temperatures=[temperature],
                label=label,
                octaves=OCTAVES if track.octave_free else NO_OCTAVE,
                on_vocals=writer.write,
            )
    if track.octave_free:
        label, heard = resolve_octaves(label, apart.heard)
        apart = dataclasses.replace(apart, heard=heard)
        _write_label(folder / "pitch.csv", label)
        files["pitch"] = folder / "pitch.csv"
    return apart.heard, apart.confidence()[:, 0], files, writer.clipped


def _write_label(path: Path, label: PitchLabels) -> None:
    times, frequencies, known = label
    if known.all():
        write_columns(path, "time,frequency", times, frequencies)
    else:
        write_columns(path, "time,frequency,agree", times, frequencies, known.astype(np.float64))


def _labelled(model: Model, track: Track, row: dict[str, Any], out: Path) -> Track:
    """The track with what has been found out about it."""
    files = {name: out / path for name, path in row["files"].items()}
    labelled = dataclasses.replace(
        track, labels="full", pseudo=row["kind"], confidence=files["confidence"], octave_free=False
    )
    if "pitch" in files:
        labelled = dataclasses.replace(labelled, pitch=files["pitch"], pitch_format="csv")
    if row["kind"] == "pitch":
        return labelled
    # Above half the model's rate its stem holds nothing.
    highest = min(track.bandwidth or track.sample_rate / 2, model.joint.separation.sample_rate / 2)
    return dataclasses.replace(
        labelled,
        stems={model.joint.target: Stem(path=files["stem"])},
        bandwidth=highest if highest < track.sample_rate / 2 else track.bandwidth,
    )


def _outcome(track: Track, row: dict[str, Any], *, before: bool = False) -> Outcome:
    return Outcome(track=track, confidence=row["confidence"], clipped=row["clipped"], before=before)
