"""Note measures of MIREX (note tracking), computed by mir_eval.transcription.

An estimated note is right, for COn, if it starts within 50 ms of a reference note; for COnP, if its pitch is within 50
cents as well; for COnPOff, if it also ends within 50 ms or, where that is more, 20 % of the reference note's length of
the reference's end (Molina et al., ISMIR 2014, for these names). Each note counts once: notes are paired so that as
many as possible are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mir_eval
import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError

ONSET_SECONDS = 0.05
PITCH_CENTS = 50.0
OFFSET_SECONDS = 0.05
OFFSET_SHARE = 0.2

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NoteScores:
    """Precision, recall and F1, in [0, 1], of notes right by onset (``con``), by onset and pitch (``conp``), and by
    onset, pitch and offset (``conpoff``); ``reference_notes`` and ``estimate_notes`` say how many there are.

    Without a reference note all are nan; without an estimated note, but with a reference, all are 0.
    """

    con_precision: float = math.nan
    con_recall: float = math.nan
    con_f1: float = math.nan
    conp_precision: float = math.nan
    conp_recall: float = math.nan
    conp_f1: float = math.nan
    conpoff_precision: float = math.nan
    conpoff_recall: float = math.nan
    conpoff_f1: float = math.nan
    reference_notes: int = 0
    estimate_notes: int = 0


def note_scores(
    reference_intervals: ArrayLike,
    reference_pitches: ArrayLike,
    estimate_intervals: ArrayLike,
    estimate_pitches: ArrayLike,
) -> NoteScores:
    """Scores of notes against reference notes, in any order: intervals (N, 2), onset and offset in s, and pitches (N,)
    in Hz. Raises DataError."""
    reference = _checked("reference", reference_intervals, reference_pitches)
    estimate = _checked("estimate", estimate_intervals, estimate_pitches)
    count, estimate_count = len(reference[1]), len(estimate[1])
    if not count:
        return NoteScores(estimate_notes=estimate_count)
    con = conp = conpoff = (0.0, 0.0, 0.0)
    if estimate_count:
        con = mir_eval.transcription.onset_precision_recall_f1(reference[0], estimate[0], ONSET_SECONDS)
        conp = _pitched(*reference, *estimate, offset_ratio=None)
        conpoff = _pitched(*reference, *estimate, offset_ratio=OFFSET_SHARE)
    return NoteScores(
        con_precision=float(con[0]),
        con_recall=float(con[1]),
        con_f1=float(con[2]),
        conp_precision=float(conp[0]),
        conp_recall=float(conp[1]),
        conp_f1=float(conp[2]),
        conpoff_precision=float(conpoff[0]),
        conpoff_recall=float(conpoff[1]),
        conpoff_f1=float(conpoff[2]),
        reference_notes=count,
        estimate_notes=estimate_count,
    )


def _pitched(*notes: FloatArray, offset_ratio: float | None) -> tuple[float, float, float]:
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        *notes,
        onset_tolerance=ONSET_SECONDS,
        pitch_tolerance=PITCH_CENTS,
        offset_ratio=offset_ratio,
        offset_min_tolerance=OFFSET_SECONDS,
    )
    return precision, recall, f1


def _checked(name: str, intervals: ArrayLike, pitches: ArrayLike) -> tuple[FloatArray, FloatArray]:
    intervals, pitches = np.array(intervals, dtype=np.float64), np.array(pitches, dtype=np.float64)
    if not pitches.size and not intervals.size:
        return np.zeros((0, 2)), np.zeros(0)
    if pitches.ndim != 1 or intervals.shape != (len(pitches), 2):
        raise DataError(
            f"{name}: intervals {intervals.shape} and pitches {pitches.shape} do not belong together",
            "give an onset, an offset and a pitch for each note",
        )
    if not (np.isfinite(intervals).all() and np.isfinite(pitches).all()):
        raise DataError(f"{name}: holds values that are not finite", "leave out notes without a pitch or an end")
    bad = np.flatnonzero((intervals[:, 0] < 0) | (intervals[:, 1] <= intervals[:, 0]))
    if len(bad):
        onset, offset = intervals[bad[0]]
        raise DataError(
            f"{name}: a note from {onset:g} s to {offset:g} s", "notes start at 0 s or later and end after their start"
        )
    if (pitches <= 0).any():
        raise DataError(f"{name}: a note of {pitches.min():g} Hz", "give pitches in Hz; leave out notes without one")
    return intervals, pitches
