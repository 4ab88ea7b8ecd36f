"""Pitch labels: files to (times in s, frequencies in Hz with 0 = unvoiced, known), and from there to frames."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import midi_to_frequency
from majl_cli.data.manifest import Track
from majl_cli.data.note_files import read_note_file
from majl_cli.data.note_labels import frames_from_notes, read_mir_st500, read_ultrastar
from majl_cli.data.number_tables import read_numbers, table_layout
from majl_cli.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
PitchLabels = tuple[Floats, Floats, Bools]
PV_HOP_SECONDS = 0.020
IKALA_HOP_SECONDS = 0.032


def read_pitch(track: Track) -> PitchLabels:
    """The pitch labels of a track: times (N,), frequencies (N,), known (N,). Raises DataError."""
    if track.pitch is None:
        raise DataError(f"track {track.id}: no pitch label", "choose a track that has one")
    if track.pitch_format == "mir-st500":
        return frames_from_notes(read_mir_st500(track.pitch), track.duration)
    if track.pitch_format == "ultrastar":
        return frames_from_notes(read_ultrastar(track.pitch).notes, track.duration)
    if track.pitch_format == "notes":
        return frames_from_notes(read_note_file(track.pitch), track.duration)
    return {"pv": read_pv, "ikala": read_ikala}.get(track.pitch_format, read_csv)(track.pitch)


def read_pv(path: Path) -> PitchLabels:
    """MIR-1K's ``.pv``: one MIDI number a line, 0 = unvoiced, 20 ms apart.

    A line describes a window of 40 ms, so line k (from 0) is centred at (k + 1) * 20 ms: reading it at k * 20 ms
    costs nine points of raw pitch accuracy.
    """
    return _from_semitones(path, first=PV_HOP_SECONDS, hop=PV_HOP_SECONDS)


def read_ikala(path: Path) -> PitchLabels:
    """iKala's ``.pv``: one MIDI number a line, 0 = unvoiced, 32 ms apart; line k (from 0) is centred at
    (k + 1/2) * 32 ms."""
    return _from_semitones(path, first=IKALA_HOP_SECONDS / 2, hop=IKALA_HOP_SECONDS)


def read_csv(path: Path) -> PitchLabels:
    """``time,frequency[,...]`` in s and Hz, with commas, tabs or spaces between, with or without a header line.

    A third column named ``agree`` marks rows to believe (1) or not (0); a column named ``voiced`` with 0 makes a
    row unvoiced whatever its frequency. A negative frequency is unvoiced too.
    """
    layout = table_layout(path, what="label")
    names = layout.names
    rows = _numbers(path, delimiter=layout.delimiter, skip=layout.skip)
    if rows.shape[1] < 2:
        raise DataError(f"{path}: one column only", "a pitch CSV has time and frequency")
    times, frequencies = rows[:, 0], np.maximum(rows[:, 1], 0.0)
    known = rows[:, names.index("agree")] > 0 if "agree" in names else np.ones(len(rows), bool)
    if "voiced" in names:
        frequencies = np.where(rows[:, names.index("voiced")] > 0, frequencies, 0.0)
    return times, frequencies, known


def frames_from_labels(labels: PitchLabels, frame_times: Floats) -> tuple[Floats, Bools]:
    """f0 in Hz (N,) and known (N,) at ``frame_times`` (N,) in seconds.

    Voicing is that of the nearest label. Between two voiced labels less than a semitone apart the frequency is
    interpolated on a logarithmic scale. Beyond the last label, by more than one hop, nothing is known.
    """
    times, frequencies, known = labels
    if len(times) < 2:
        return np.zeros(len(frame_times)), np.zeros(len(frame_times), bool)
    right = np.searchsorted(times, frame_times).clip(1, len(times) - 1)
    left = right - 1
    share = ((frame_times - times[left]) / (times[right] - times[left])).clip(0.0, 1.0)
    nearest = np.where(share < 0.5, left, right)
    logs = np.log(np.where(frequencies > 0, frequencies, 1.0))
    close = (frequencies[left] > 0) & (frequencies[right] > 0) & (np.abs(logs[left] - logs[right]) < np.log(2) / 12)
    between = np.exp((1 - share) * logs[left] + share * logs[right])
    hop = float(np.median(np.diff(times)))
    inside = (frame_times >= times[0] - hop - 1e-9) & (frame_times <= times[-1] + hop + 1e-9)
    return np.where(close, between, frequencies[nearest]), known[nearest] & inside


def read_confidence(path: Path) -> tuple[Floats, Floats]:
    """The confidence of pseudo-labels, ``time,confidence`` with a header line: rising times in s and values in [0, 1],
    both (N,), N >= 1. Raises DataError."""
    again = "run majl pseudolabel again"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*no data", category=UserWarning)  # an error below
            rows: Floats = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable: {error}", again) from error
    if not rows.size or rows.shape[1] != 2 or not (np.diff(rows[:, 0]) > 0).all():
        raise DataError(f"{path}: not times and confidences", again)
    if not ((rows[:, 1] >= 0) & (rows[:, 1] <= 1)).all():
        raise DataError(f"{path}: a confidence outside [0, 1]", again)
    return rows[:, 0], rows[:, 1]


def _from_semitones(path: Path, *, first: float, hop: float) -> PitchLabels:
    midi = _numbers(path)[:, 0]
    times = np.add(np.arange(len(midi)) * hop, first, dtype=np.float64)
    voiced = midi > 0
    return times, np.where(voiced, midi_to_frequency(np.where(voiced, midi, 69.0)), 0.0), np.ones(len(midi), bool)


def _numbers(path: Path, *, delimiter: str | None = None, skip: int = 0) -> Floats:
    rows = read_numbers(path, what="label", delimiter=delimiter, skip=skip)
    if not rows.size:
        raise DataError(f"{path}: no labels in it", "check the label file")
    return rows
