"""f0 to notes to a MIDI file.

Each voiced stretch is cut into notes by the cheapest path through semitones: a frame costs its distance from
the note in semitones (at most one) times its duration, and each change of note costs ``change_cost`` semitone
seconds. So a vibrato of up to about a semitone either way stays one note, a step of a semitone that lasts
starts a new one, and short octave errors are swallowed. 0 Hz means unvoiced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import frequency_to_midi
from majl_cli.inference.outputs import written_aside

if TYPE_CHECKING:
    from majl_cli.inference.pitch import PitchTrack

TICKS_PER_SECOND = 1000
BEND_RANGE = 2.0
VOICE_OOHS = 53
VELOCITY = 90

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


def write_midi(
    notes: Sequence[Note], target: Path | BinaryIO, *, title: str = "", bends: PitchTrack | None = None
) -> None:
    """One channel at 120 beats a minute with ticks of 1 ms; ``bends`` follows that f0 within +-2 semitones."""
    import mido

    # Within one tick: notes end, the wheel moves, notes start.
    events: list[tuple[int, int, Any]] = []
    for note in notes:
        start, end = round(note.start * TICKS_PER_SECOND), round(note.end * TICKS_PER_SECOND)
        events.append((start, 2, mido.Message("note_on", note=note.midi, velocity=VELOCITY)))
        events.append((end, 0, mido.Message("note_off", note=note.midi, velocity=0)))
        if bends is not None:
            wheel = _wheel_positions(note, bends)
            events += [(tick, 1, mido.Message("pitchwheel", pitch=position)) for tick, position in wheel]
    events.sort(key=lambda event: event[:2])

    melody = mido.MidiTrack()
    melody.append(mido.MetaMessage("track_name", name=title or "melody"))
    melody.append(mido.MetaMessage("set_tempo", tempo=500_000))
    melody.append(mido.Message("program_change", program=VOICE_OOHS))
    if bends is not None:
        # Registered parameter 0: the wheel's range in semitones and cents.
        for control, value in ((101, 0), (100, 0), (6, int(BEND_RANGE)), (38, 0)):
            melody.append(mido.Message("control_change", control=control, value=value))
    now = 0
    for tick, _, message in events:
        melody.append(message.copy(time=tick - now))
        now = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_SECOND // 2, charset="utf-8")
    file.tracks.append(melody)
    with written_aside(target) as written:
        file.save(file=written)


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


def _wheel_positions(note: Note, track: PitchTrack) -> Iterator[tuple[int, int]]:
    """(tick, position in -8192...8191) for each change within the note, one for its start at least."""
    times, f0 = np.asarray(track.times), np.asarray(track.f0)
    frames = np.flatnonzero((times >= note.start) & (times <= note.end) & (f0 > 0))
    bend = np.clip((frequency_to_midi(f0[frames]) - note.midi) / BEND_RANGE, -1.0, 1.0)
    positions = np.clip(np.round(bend * 8192), -8192, 8191).astype(int).tolist()
    ticks = np.round(times[frames] * TICKS_PER_SECOND).astype(int).tolist()
    ticks[0] = round(note.start * TICKS_PER_SECOND)
    last = None
    for tick, position in zip(ticks, positions, strict=True):
        if position != last:
            yield tick, position
        last = position
