"""Excerpts of the tracks an estimator did worst on, to look at and listen to."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import AudioReader, read_audio
from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import Track
from majl_cli.evaluation.prepared import Estimator, PreparedTrack, prepare_track
from majl_cli.evaluation.results import F0, Exhibit, Result, TrackRow
from majl_cli.evaluation.scoring import Scoring
from majl_cli.metrics.names import metric_of, part_of

EXCERPT_SECONDS = 12.0
_SHOWN = ("sdr", "sdr_gain", "v3_nsdr", "v4_sdr", "v3_sir", "v4_sir", "rpa", "rca", "oa", "vfa", "octave_errors")
# The first of these that a result has says which tracks are the worst.
_DECIDING = ("sdr", "v4_sdr", "v3_sdr", "oa", "rpa")


def deciding_key(result: Result) -> str | None:
    """The score by which tracks are called bad."""
    keys = list(dict.fromkeys(key for row in result.rows for key in row.scores))
    for metric in _DECIDING:
        for key in keys:
            if metric_of(key).key == metric and part_of(key) != "melody_clean":
                return key
    return None


def worst_rows(result: Result, key: str, count: int) -> list[TrackRow]:
    """The rows with the lowest score, the lowest first; rows without a number are left out."""
    scored = [row for row in result.rows if not math.isnan(row.scores.get(key, math.nan))]
    return sorted(scored, key=lambda row: row.scores[key])[:count]


def make_exhibits(
    estimator: Estimator, result: Result, tracks: Sequence[Track], work: Path, *, scoring: Scoring, count: int
) -> list[Exhibit]:
    """Estimate the ``count`` worst tracks once more, below ``work``, and cut out of each the 12 s that went worst."""
    key = deciding_key(result)
    if key is None or count < 1:
        return []
    by_id = {track.id: track for track in tracks}
    exhibits = []
    for row in worst_rows(result, key, count):
        try:
            exhibits.append(_exhibit(estimator, by_id[row.id], row, key, work, scoring))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return exhibits


def _exhibit(estimator: Estimator, track: Track, row: TrackRow, key: str, work: Path, scoring: Scoring) -> Exhibit:
    metric, part = metric_of(key), part_of(key)
    stem = part if part in scoring.stems else "vocals"
    prepared = prepare_track(track, work, stems=scoring.stems, snr_db=scoring.snr_db)
    separated = estimator.separate(prepared, work / "estimates") if estimator.stems and prepared.references else {}
    paths = {"mixture": prepared.mixture}
    if stem in prepared.references:
        paths["reference"] = prepared.references[stem]
    if stem in separated:
        paths["estimate"] = separated[stem]
    start = _worst_start(prepared, paths)
    frames = round(EXCERPT_SECONDS * prepared.sample_rate)
    audio = {name: read_audio(path, start=start, frames=frames)[0] for name, path in paths.items()}
    return Exhibit(
        estimator=estimator.name,
        track=track.id,
        why=f"{part} {metric.name} {row.scores[key] * metric.scale:.{metric.digits}f} {metric.unit}".strip(),
        stem=stem,
        start=start / prepared.sample_rate,
        sample_rate=prepared.sample_rate,
        audio=audio,
        reference_f0=_label(track),
        estimate_f0=_melody(estimator, prepared, separated),
        scores={k: v for k, v in row.scores.items() if part_of(k) in (stem, "melody") and metric_of(k).key in _SHOWN},
    )


def _melody(estimator: Estimator, prepared: PreparedTrack, separated: Mapping[str, Path]) -> F0 | None:
    if "mixture" not in estimator.inputs or prepared.track.pitch is None:
        return None
    return estimator.estimate_f0(prepared, "mixture", separated)


def _label(track: Track) -> F0 | None:
    if track.pitch is None:
        return None
    times, frequencies, known = read_pitch(track)
    return F0(times=times[known], frequency=frequencies[known])


def _worst_start(prepared: PreparedTrack, paths: Mapping[str, Path]) -> int:
    """The first sample of the excerpt with the largest error, or of the loudest where there is nothing to compare."""
    frames = round(EXCERPT_SECONDS * prepared.sample_rate)
    if prepared.samples <= frames:
        return 0
    energies = _second_energies(paths, prepared.sample_rate)
    window = min(round(EXCERPT_SECONDS), len(energies))
    sums = np.convolve(energies, np.ones(window), "valid")
    return min(int(np.argmax(sums)) * prepared.sample_rate, prepared.samples - frames)


def _second_energies(paths: Mapping[str, Path], sample_rate: int) -> NDArray[np.float64]:
    compared = [paths[name] for name in ("reference", "estimate") if name in paths]
    if len(compared) < 2:
        compared = [paths["mixture"]]
    readers = [AudioReader(path) for path in compared]
    try:
        pieces = zip(*(reader.blocks(sample_rate) for reader in readers), strict=True)
        return np.array([float(np.square(np.subtract(*p) if len(p) == 2 else p[0]).sum()) for p in pieces])
    finally:
        for reader in readers:
            reader.close()
