"""Labels that are right up to whole octaves: the octave that the separated voice speaks for, note by note."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.labels import PitchLabels, frames_from_labels
from majl_cli.pseudolabel.confidence import Floats
from majl_cli.pseudolabel.listening import Heard

OCTAVES = (0, -1, 1, -2, 2)  # the label's own comes first: it is kept where nothing speaks for another
SAME_NOTE_CENTS = 50.0


def resolve_octaves(label: PitchLabels, heard: Heard) -> tuple[PitchLabels, Heard]:
    """The label with each note moved to the octave (one of ``OCTAVES``) that has the largest mass over the note.

    A note is a run of voiced rows that follow each other in steps below 50 cents. ``heard`` must have been made with
    these octaves; it comes back with the moved label, and the mass near that alone.
    """
    times, frequencies, known = label
    notes = _note_numbers(frequencies)
    rows = _nearest_rows(times, heard.times)
    frames = np.flatnonzero((heard.label > 0) & heard.known & (notes[rows] >= 0))
    masses = np.zeros((max(int(notes.max(initial=-1)) + 1, 1), len(OCTAVES)))
    np.add.at(masses, notes[rows[frames]], heard.near[frames, 0])
    shifts = np.array(OCTAVES)[masses.argmax(axis=1)]
    moved = np.where(notes >= 0, frequencies * 2.0 ** shifts[notes.clip(0)], 0.0)
    resolved = (times, moved, known)
    at_frames, _ = frames_from_labels(resolved, heard.times)
    octave = np.zeros(len(heard.times), np.int64)
    sung = (at_frames > 0) & (heard.label > 0)
    octave[sung] = np.round(np.log2(at_frames[sung] / heard.label[sung])).astype(np.int64)
    columns = np.array([OCTAVES.index(int(value)) for value in octave], dtype=np.int64)
    near = np.take_along_axis(heard.near, columns[:, None, None], axis=2)
    return resolved, dataclasses.replace(heard, label=at_frames, near=near)


def _note_numbers(frequencies: Floats) -> NDArray[np.int64]:
    """The number of each row's note, from 0, and -1 for unvoiced rows; (N,)."""
    voiced = frequencies > 0
    logs = np.log2(np.where(voiced, frequencies, 1.0))
    starts = voiced.copy()
    starts[1:] &= ~voiced[:-1] | (np.abs(np.diff(logs)) * 1200.0 >= SAME_NOTE_CENTS)
    return np.where(voiced, np.cumsum(starts) - 1, -1)


def _nearest_rows(times: Floats, wanted: Floats) -> NDArray[np.int64]:
    right = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    return np.where(wanted - times[left] < times[right] - wanted, left, right)
