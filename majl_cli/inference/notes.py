"""f0 to notes.

Each voiced stretch is cut into notes by the cheapest path through semitones: a frame costs its distance from
the note in semitones (at most one) times its duration, and each change of note costs ``change_cost`` semitone
seconds. So a vibrato of up to about a semitone either way stays one note, a step of a semitone that lasts
starts a new one, and short octave errors are swallowed. 0 Hz or below means unvoiced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import frequency_to_midi

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Note:
    """``start`` and ``end`` in s, ``midi`` the note number (69 = A4), ``frequency`` the median f0 in Hz."""

    start: float
    end: float
    midi: int
    frequency: float


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Frames ``first`` to ``last`` (inclusive) of a voiced stretch, sung at note number ``midi``."""

    first: int
    last: int
    midi: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def f0_to_notes(
    times: NDArray[Any],
    f0: NDArray[Any],
    *,
    minimum_seconds: float = 0.07,
    gap_seconds: float = 0.03,
    change_cost: float = 0.05,
) -> list[Note]:
    """The notes of ``f0`` (N,) in Hz at ``times`` (N,) in s, evenly spaced.

    Unvoiced gaps up to ``gap_seconds`` do not end a note; shorter notes than ``minimum_seconds`` join a
    neighbour or, alone, are dropped. Note numbers count from the track's own tuning, if it has a clear one.
    """
    voiced = np.flatnonzero(np.asarray(f0) > 0)
    if len(voiced) == 0 or len(times) < 2:
        return []
    hop = float(np.median(np.diff(times)))
    # Half a frame on top: a gap is counted in whole frames, whatever the rounding of the times.
    breaks = np.flatnonzero(np.diff(voiced) > gap_seconds / hop + 1.5) + 1
    stretches = np.split(voiced, breaks)
    semitones = [frequency_to_midi(np.asarray(f0)[frames]) for frames in stretches]
    tuning = _tuning(semitones, hop)
    notes = []
    for frames, pitch in zip(stretches, semitones, strict=True):
        pieces = _merge_short(_cut(pitch - tuning, hop, change_cost), round(minimum_seconds / hop))
        for piece in pieces:
            first, last = frames[piece.first], frames[piece.last]
            median = float(np.median(np.asarray(f0)[frames[piece.first : piece.last + 1]]))
            start = max(0.0, float(times[first]) - hop / 2)
            notes.append(Note(start=start, end=float(times[last]) + hop / 2, midi=piece.midi, frequency=median))
    return notes


def pitched_intervals(notes: Sequence[Note]) -> tuple[FloatArray, FloatArray]:
    """Intervals (N, 2) in s and median frequencies (N,) in Hz of ``notes``, as metrics/notes.py takes them."""
    intervals = np.array([(note.start, note.end) for note in notes], dtype=np.float64).reshape(-1, 2)
    return intervals, np.array([note.frequency for note in notes], dtype=np.float64)


def _tuning(semitones: Sequence[FloatArray], hop: float) -> float:
    """How far the track lies from 440 Hz tuning, in semitones (-0.5, 0.5]; 0 where it has no clear tuning."""
    # Over about one cycle the vibrato, which would blur the tuning, averages out.
    width = max(1, round(0.2 / hop))
    long_enough = [pitch for pitch in semitones if len(pitch) >= width]
    if not long_enough:
        return 0.0
    smooth = np.concatenate([np.convolve(pitch, np.full(width, 1 / width), mode="valid") for pitch in long_enough])
    centre = np.mean(np.exp(2j * np.pi * smooth))
    return float(np.angle(centre) / (2 * np.pi)) if abs(centre) > 0.5 else 0.0


def _cut(pitch: FloatArray, hop: float, change_cost: float) -> list[_Piece]:
    """The cheapest path of ``pitch`` (N,) in semitones through whole semitones (Viterbi), as pieces."""
    lowest = int(np.floor(pitch.min()))
    states = np.arange(lowest, int(np.ceil(pitch.max())) + 1)
    cost = np.minimum(np.abs(pitch[:, None] - states[None]), 1.0) * hop
    origin = np.empty(cost.shape, dtype=np.int64)
    stay = np.arange(len(states))
    total = cost[0]
    for frame in range(1, len(pitch)):
        best = int(np.argmin(total))
        changed = total[best] + change_cost
        origin[frame] = np.where(total <= changed, stay, best)
        total = np.minimum(total, changed) + cost[frame]
    path = np.empty(len(pitch), dtype=np.int64)
    path[-1] = int(np.argmin(total))
    for frame in range(len(pitch) - 1, 0, -1):
        path[frame - 1] = origin[frame, path[frame]]
    starts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return [
        _Piece(first=first, last=after - 1, midi=int(states[path[first]]))
        for first, after in zip(starts[:-1], starts[1:], strict=True)
    ]


def _merge_short(pieces: Sequence[_Piece], minimum: int) -> list[_Piece]:
    """Give pieces of fewer frames than ``minimum`` to the neighbour nearest in pitch; drop a lonely one."""
    merged = list(pieces)
    while len(merged) > 1:
        shortest = min(range(len(merged)), key=lambda index: len(merged[index]))
        if len(merged[shortest]) >= minimum:
            break
        neighbours = [index for index in (shortest - 1, shortest + 1) if 0 <= index < len(merged)]
        piece = merged[shortest]
        kept = min(neighbours, key=lambda index: (abs(merged[index].midi - piece.midi), -len(merged[index])))
        left, right = min(shortest, kept), max(shortest, kept)
        joined = _Piece(first=merged[left].first, last=merged[right].last, midi=merged[kept].midi)
        merged[left : right + 1] = [joined]
        merged = _without_repetition(merged)
    return [piece for piece in merged if len(piece) >= minimum and 0 <= piece.midi <= 127]


def _without_repetition(pieces: Sequence[_Piece]) -> list[_Piece]:
    kept: list[_Piece] = []
    for piece in pieces:
        if kept and kept[-1].midi == piece.midi:
            piece = _Piece(first=kept.pop().first, last=piece.last, midi=piece.midi)
        kept.append(piece)
    return kept
