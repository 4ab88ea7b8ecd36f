"""The melody of one track scored: f0 against its label, and notes against notes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import Track
from majl_cli.data.note_files import read_note_file
from majl_cli.data.note_labels import Note, note_arrays, read_mir_st500, read_ultrastar
from majl_cli.evaluation.results import F0
from majl_cli.inference.notes import f0_to_notes, pitched_intervals
from majl_cli.inference.outputs import written_aside
from majl_cli.metrics.melody import melody_scores
from majl_cli.metrics.names import METRICS
from majl_cli.metrics.notes import note_scores

# What is right of a label whose octave is free.
_OCTAVE_FREE = ("rca", "vr", "vfa", "voicing_f1")


def score_f0(track: Track, f0: F0) -> dict[str, float]:
    """Melody measures by name; of an octave-free label only those that do not ask for the octave."""
    times, frequencies, known = read_pitch(track)
    scores = asdict(melody_scores(times[known], frequencies[known], f0.times, f0.frequency))
    wanted = _OCTAVE_FREE if track.octave_free else METRICS
    return {key: value for key, value in scores.items() if key in wanted}


def score_notes(track: Track, f0: F0, note_file: Path | None = None) -> dict[str, float]:
    """Note measures by name: of the notes in ``note_file``, or of those that the f0 is cut into; empty for a track
    without note labels, or with octave-free ones."""
    reference = note_labels(track)
    if reference is None or track.octave_free:
        return {}
    if note_file is not None:
        estimate = note_arrays(read_note_file(note_file))
    else:
        estimate = pitched_intervals(f0_to_notes(f0.times, np.maximum(f0.frequency, 0.0)))
    scores = asdict(note_scores(*note_arrays(reference), *estimate))
    return {key: value for key, value in scores.items() if key in METRICS}


def note_labels(track: Track) -> list[Note] | None:
    """The notes of a label that consists of notes."""
    if track.pitch is None:
        return None
    if track.pitch_format == "mir-st500":
        return read_mir_st500(track.pitch)
    if track.pitch_format == "notes":
        return read_note_file(track.pitch)
    return read_ultrastar(track.pitch).notes if track.pitch_format == "ultrastar" else None


def write_f0(f0: F0, path: Path) -> None:
    """``time,frequency``: s and Hz, negative where unvoiced with a guess."""
    rows = [f"{time:.6f},{hertz:.3f}\n" for time, hertz in zip(f0.times, f0.frequency, strict=True)]
    with written_aside(path) as file:
        file.write(("time,frequency\n" + "".join(rows)).encode("ascii"))
