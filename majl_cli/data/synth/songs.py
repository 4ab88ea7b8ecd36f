"""Songs as notes in beats, read from MIDI files with the tracks MELODY, BRIDGE and PIANO (POP909), and their chords."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np

from majl_cli.errors import DataError

BEATS_PER_BAR = 4
CHORD_BEATS = 2
EARLY_BEATS = 0.06  # a note this little before the line still belongs to the bar
# Semitones above the root, the commoner chord first: it wins a tie.
CHORD_SHAPES = ((0, 4, 7), (0, 3, 7), (0, 5, 7), (0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11), (0, 3, 6))


@dataclass(frozen=True)
class Note:
    """``start`` and ``length`` in beats, ``pitch`` a MIDI number, ``velocity`` 1 to 127."""

    start: float
    length: float
    pitch: int
    velocity: int = 90


@dataclass(frozen=True)
class Chord:
    """A chord of CHORD_BEATS beats: pitch classes of its root and of its lowest note, semitones above the root."""

    start: float
    root: int
    bass: int
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Song:
    """Notes in beats; beat 0 opens a bar of four."""

    name: str
    melody: tuple[Note, ...]
    bridge: tuple[Note, ...]
    piano: tuple[Note, ...]
    chords: tuple[Chord, ...]

    @property
    def bars(self) -> int:
        return len(self.chords) * CHORD_BEATS // BEATS_PER_BAR


def read_songs(path: Path) -> list[Song]:
    """All songs of a tar file of MIDI files, by name. Raises DataError."""
    songs = []
    try:
        with tarfile.open(path) as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                file = archive.extractfile(member) if member.name.endswith(".mid") else None
                if file is not None:
                    songs.append(song_from_midi(Path(member.name).stem, file.read()))
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a tar file of MIDI files: {error}", "give POP909's MIDI files, packed") from error
    if not songs:
        raise DataError(f"{path}: no .mid file in it", "give POP909's MIDI files, packed")
    return songs


def song_from_midi(name: str, data: bytes) -> Song:
    """One song; the bars are laid where the bass changes most. Raises DataError for a file without PIANO notes."""
    midi = mido.MidiFile(file=io.BytesIO(data))
    tracks = {track.name: _notes(track, midi.ticks_per_beat) for track in midi.tracks}
    piano = tracks.get("PIANO", [])
    if not piano:
        raise DataError(f"{name}: no notes in a track called PIANO", "give MIDI files as POP909 has them")
    shift = _first_downbeat(piano)
    melody, bridge, piano = (
        _shifted(notes, shift) for notes in (tracks.get("MELODY", []), tracks.get("BRIDGE", []), piano)
    )
    return Song(name=name, melody=tuple(melody), bridge=tuple(bridge), piano=tuple(piano), chords=find_chords(piano))


def find_chords(notes: Sequence[Note]) -> tuple[Chord, ...]:
    """The chord of each CHORD_BEATS beats: the shape that holds most of what sounds; a rest keeps the last chord."""
    end = max(note.start + note.length for note in notes)
    bars = max(1, int(np.ceil(end / BEATS_PER_BAR)))
    starts = np.array([note.start for note in notes])
    ends = starts + [note.length for note in notes]
    pitches = np.array([note.pitch for note in notes])
    templates = np.zeros((len(CHORD_SHAPES) * 12, 12))
    for row in range(len(templates)):
        templates[row, (np.array(CHORD_SHAPES[row // 12]) + row % 12) % 12] = 1.0
    templates -= 0.15 * templates.sum(axis=1, keepdims=True)  # a chord of more notes must earn them
    chords: list[Chord] = []
    for index in range(bars * BEATS_PER_BAR // CHORD_BEATS):
        start = float(index * CHORD_BEATS)
        weights = np.clip(np.minimum(ends, start + CHORD_BEATS) - np.maximum(starts, start), 0.0, None)
        if weights.sum() < 0.1:
            chords.append(replace(chords[-1], start=start) if chords else Chord(start, 0, 0, CHORD_SHAPES[0]))
            continue
        lowest = (
            int(pitches[weights > 0.1].min(initial=127)) if (weights > 0.1).any() else int(pitches[weights > 0].min())
        )
        histogram = np.bincount(pitches % 12, weights, minlength=12)
        histogram[lowest % 12] += 0.2 * histogram.sum()
        best = int((templates @ histogram).argmax())
        chords.append(Chord(start, best % 12, lowest % 12, CHORD_SHAPES[best // 12]))
    return tuple(chords)


def _notes(track: mido.MidiTrack, ticks_per_beat: int) -> list[Note]:
    now = 0
    sounding: dict[int, tuple[int, int]] = {}
    notes = []
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        if message.note in sounding:
            start, velocity = sounding.pop(message.note)
            if now > start:
                notes.append(Note(start / ticks_per_beat, (now - start) / ticks_per_beat, message.note, velocity))
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = (now, message.velocity)
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def _first_downbeat(notes: Sequence[Note]) -> float:
    """Beats from the file's beginning to the first line of a bar, less than BEATS_PER_BAR."""
    onsets = np.array([note.start for note in notes])
    # The notes lie on a grid of sixteenths, wherever the file begins; low and long ones open a bar or half of it.
    phase = np.angle(np.exp(8j * np.pi * onsets).mean()) / (8 * np.pi)
    weights = np.array([note.length for note in notes]) * np.exp(-np.array([note.pitch for note in notes]) / 8.0)
    steps = np.round((onsets - phase) * 4).astype(int) % 16
    histogram = np.bincount(steps, weights, minlength=16)
    metre = np.zeros(16)
    metre[[0, 4, 8, 12]] = 1.0, 0.3, 0.6, 0.3
    scores = [metre @ np.roll(histogram, -step) for step in range(16)]
    return float((phase + int(np.argmax(scores)) / 4 + EARLY_BEATS) % BEATS_PER_BAR - EARLY_BEATS)


def _shifted(notes: Sequence[Note], beats: float) -> list[Note]:
    """Notes with ``beats`` as beat 0, without those before it."""
    return [replace(note, start=note.start - beats) for note in notes if note.start >= beats - EARLY_BEATS]
