"""Notes to a MIDI file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from majl_cli.convert import frequency_to_midi
from majl_cli.inference.outputs import written_aside

if TYPE_CHECKING:
    from majl_cli.inference.notes import Note
    from majl_cli.inference.pitch import PitchTrack

TICKS_PER_SECOND = 1000
BEND_RANGE = 2.0
VOICE_OOHS = 53
VELOCITY = 90


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
