"""From a song's notes to a band: piano, bass, drums, pads, guitars, brass, lead instruments, all drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from majl_cli.data.synth import instruments
from majl_cli.data.synth.drums import draw_drums
from majl_cli.data.synth.playing import draw_feel, played, with_rests
from majl_cli.data.synth.songs import BEATS_PER_BAR, CHORD_BEATS, Chord, Note, Song
from majl_cli.data.synth.soundfont import Bend, Part

# The chance of each part; what plays the chords is chosen so that there is always something.
CHANCES = {"bass": 0.85, "drums": 0.78, "pad": 0.5, "guitar": 0.4, "arpeggio": 0.35, "power": 0.22, "brass": 0.15,
           "counter": 0.4, "lead": 0.4, "pulse": 0.12}  # fmt: skip
Chords = Sequence[Chord]


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Parts in beats from the piece's beginning, and the tempo."""

    parts: tuple[Part, ...]
    seconds_per_beat: float


def arrange(song: Song, seconds: float, generator: np.random.Generator) -> Arrangement:
    """A band's arrangement of ``seconds`` from somewhere in the song."""
    seconds_per_beat = 60.0 / float(np.exp(generator.uniform(np.log(60.0), np.log(180.0))))
    bars = int(np.ceil(seconds / seconds_per_beat / BEATS_PER_BAR)) + 1
    first = int(generator.integers(max(1, song.bars - min(bars, song.bars) + 1)))
    begin = float(first * BEATS_PER_BAR)
    shift = int(generator.integers(-6, 7))
    excerpt = _excerpt(song, begin, bars, shift)
    drawn = {role for role, chance in CHANCES.items() if generator.random() < chance}
    parts = []
    if not drawn & {"pad", "guitar", "arpeggio", "power", "pulse"} or generator.random() < 0.7:
        parts.append(_part("piano", instruments.KEYS, excerpt.piano, generator))
    for role, build in _BUILDERS.items():
        if role in drawn:
            notes = build(excerpt, generator)
            parts.append(_part(role, _PROGRAMS[role], notes, generator))
    if "drums" in drawn:
        kit, notes = draw_drums(bars, generator)
        parts.append(Part(role="drums", program=kit, notes=notes, drums=True, gain_db=generator.uniform(-5.0, 5.0),
                          room=generator.uniform(0.0, 0.4)))  # fmt: skip
    parts = [with_rests(part, bars, generator) for part in parts]
    feel = draw_feel(generator)
    parts = [replace(part, notes=[played(note, feel, generator) for note in part.notes]) for part in parts]
    return Arrangement(parts=tuple(part for part in parts if part.notes), seconds_per_beat=seconds_per_beat)


def bass_line(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """The chords' lowest notes, between E1 and D#2 or an octave up, in one rhythm."""
    rhythm = str(
        generator.choice(
            ["x.......", "x...x...", "x.x.x.x.", "xxxxxxxx", "x..x..x.", "x..xx.x.", "x.o.x.o.", ".x.x.x.x"]
        )
    )
    raised = 12 * int(generator.random() < 0.2)
    lasting = generator.uniform(0.5, 1.0)
    notes = []
    for chord in excerpt.chords:
        low = 28 + (chord.bass - 4) % 12 + raised
        for step, mark in enumerate(rhythm):
            if mark == ".":
                continue
            length = (rhythm.find("x", step + 1) % (len(rhythm) + 1) or len(rhythm)) - step
            octave = 12 if mark == "o" or generator.random() < 0.05 else 0
            beats = max(0.25, length * CHORD_BEATS / len(rhythm))
            notes.append(Note(chord.start + step * CHORD_BEATS / len(rhythm), beats * lasting, low + octave, 95))
    return notes


def pad(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """Held chords in close position; equal ones that follow each other are one."""
    lowest = int(generator.integers(48, 66))
    notes: list[Note] = []
    for chord, length in _merged(excerpt.chords):
        notes += [Note(chord.start, length * 0.98, pitch, 75) for pitch in _voiced(chord, lowest)]
    return notes


def arpeggio(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """Broken chords in eighths, triplets or sixteenths over one or two octaves."""
    steps = int(generator.choice([2, 3, 4, 4])) * CHORD_BEATS
    lowest, octaves = int(generator.integers(50, 72)), int(generator.integers(1, 3))
    shape = str(generator.choice(["up", "down", "both", "random"]))
    notes = []
    for chord in excerpt.chords:
        ladder = [pitch + 12 * octave for octave in range(octaves) for pitch in _voiced(chord, lowest)]
        ladder = {"down": ladder[::-1], "both": ladder + ladder[-2:0:-1]}.get(shape, ladder)
        for step in range(steps):
            pitch = ladder[int(generator.integers(len(ladder))) if shape == "random" else step % len(ladder)]
            notes.append(Note(chord.start + step * CHORD_BEATS / steps, 0.9 * CHORD_BEATS / steps, pitch, 85))
    return notes


def strummed(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """Chords strummed in one pattern of eighths, string after string."""
    pattern = str(
        generator.choice(["x.xxx.xx", "x...x...", "x.x.x.x.", "x.xx.xxx", "..x...x.", "xxxxxxxx", ".x.x.x.x"])
    )
    spread = generator.uniform(0.0, 0.035)
    notes = []
    for chord in excerpt.chords:
        pitches = [*_voiced(chord, 48), _voiced(chord, 60)[0]]
        for step in range(2 * CHORD_BEATS):
            place = step + 2 * int(chord.start) % 8
            if pattern[place % 8] == "x":
                order = pitches if step % 2 == 0 else pitches[::-1]
                notes += [Note(chord.start + step / 2 + n * spread, 0.45, p, 88 - 4 * n) for n, p in enumerate(order)]
    return notes


def power_chords(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """Root, fifth and octave in eighths, quarters or held."""
    each = float(generator.choice([0.5, 0.5, 1.0, CHORD_BEATS]))
    notes = []
    for chord in excerpt.chords:
        low = 40 + (chord.root - 4) % 12
        for start in np.arange(0.0, CHORD_BEATS, each):
            notes += [Note(chord.start + float(start), each * 0.92, low + above, 100) for above in (0, 7, 12)]
    return notes


def stabs(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """Short chords on a few sixteenths of some bars."""
    steps = np.flatnonzero(generator.random(8) < 0.35)
    notes = []
    for chord in excerpt.chords:
        if generator.random() < 0.6:
            for step in steps:
                notes += [Note(chord.start + step / 4, 0.3, pitch, 105) for pitch in _voiced(chord, 58)]
    return notes


def pulse(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """The whole chord on every eighth or sixteenth."""
    each = float(generator.choice([0.25, 0.5, 1.0]))
    lowest = int(generator.integers(50, 66))
    starts = np.arange(0.0, CHORD_BEATS, each)
    return [
        Note(chord.start + float(start), each * 0.8, pitch, 85)
        for chord in excerpt.chords
        for start in starts
        for pitch in _voiced(chord, lowest)
    ]


def melody(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """The sung melody, for an instrument: a lead is not yet a voice."""
    return _raised(excerpt.melody, generator)


def counter_melody(excerpt: Song, generator: np.random.Generator) -> list[Note]:
    """The second melody."""
    return _raised(excerpt.bridge, generator)


_BUILDERS: dict[str, Callable[[Song, np.random.Generator], list[Note]]] = {
    "bass": bass_line, "pad": pad, "guitar": strummed, "arpeggio": arpeggio, "power": power_chords, "brass": stabs,
    "pulse": pulse, "lead": melody, "counter": counter_melody,
}  # fmt: skip
_PROGRAMS = {
    "bass": instruments.BASSES, "pad": instruments.PADS, "guitar": instruments.GUITARS,
    "arpeggio": instruments.PLUCKS, "power": instruments.DISTORTED, "brass": instruments.BRASS,
    "pulse": (*instruments.KEYS, *instruments.PADS[:6], *instruments.PLUCKS), "lead": instruments.LEADS,
    "counter": (*instruments.LEADS, *instruments.PLUCKS),
}  # fmt: skip
_LEVELS_DB = {"bass": 1.0, "pad": -7.0, "lead": 0.0, "counter": -3.0, "power": -3.0}


def _part(role: str, programs: Sequence[int], notes: Sequence[Note], generator: np.random.Generator) -> Part:
    program = int(generator.choice(programs))
    bends = role in ("lead", "counter") and program in instruments.BENDING and generator.random() < 0.8
    return Part(
        role=role,
        program=program,
        notes=notes,
        gain_db=_LEVELS_DB.get(role, -4.0) + generator.normal(0.0, 3.0),
        pan=0.0 if role == "bass" else float(np.clip(generator.normal(0.0, 0.4), -1.0, 1.0)),
        room=generator.uniform(0.0, 0.15 if role == "bass" else 0.6),
        bend=_draw_bend(generator) if bends else None,
    )


def _draw_bend(generator: np.random.Generator) -> Bend:
    return Bend(
        rate=generator.uniform(4.5, 7.0),
        depth=generator.uniform(5.0, 60.0),
        delay=generator.uniform(0.05, 0.4),
        scoop=generator.normal(0.0, 60.0),
        scoop_seconds=generator.uniform(0.03, 0.2),
    )


def _excerpt(song: Song, begin: float, bars: int, shift: int) -> Song:
    """``bars`` bars from ``begin`` on, moved by ``shift`` semitones; the song repeats if it is too short."""
    length = song.bars * BEATS_PER_BAR
    wanted = bars * BEATS_PER_BAR

    def cut(notes: Sequence[Note]) -> tuple[Note, ...]:
        moved = [
            replace(n, start=(n.start - begin) % length, pitch=int(np.clip(n.pitch + shift, 21, 108))) for n in notes
        ]
        return tuple(sorted((n for n in moved if n.start < wanted), key=lambda n: (n.start, n.pitch)))

    count = wanted // CHORD_BEATS
    start = int(begin) // CHORD_BEATS
    chords = [song.chords[(start + k) % len(song.chords)] for k in range(count)]
    moved = tuple(
        replace(c, start=float(k * CHORD_BEATS), root=(c.root + shift) % 12, bass=(c.bass + shift) % 12)
        for k, c in enumerate(chords)
    )
    return Song(name=song.name, melody=cut(song.melody), bridge=cut(song.bridge), piano=cut(song.piano), chords=moved)


def _voiced(chord: Chord, lowest: int) -> list[int]:
    """The chord's notes from ``lowest`` on, within an octave."""
    return sorted(lowest + (chord.root + above - lowest) % 12 for above in chord.shape)


def _merged(chords: Chords) -> list[tuple[Chord, float]]:
    merged: list[tuple[Chord, float]] = []
    for chord in chords:
        same = merged and (merged[-1][0].root, merged[-1][0].shape) == (chord.root, chord.shape) and merged[-1][1] < 8
        if same:
            merged[-1] = (merged[-1][0], merged[-1][1] + CHORD_BEATS)
        else:
            merged.append((chord, float(CHORD_BEATS)))
    return merged


def _raised(notes: Sequence[Note], generator: np.random.Generator) -> list[Note]:
    octaves = 12 * int(generator.choice([-1, 0, 0, 0, 1]))
    return [replace(note, pitch=int(np.clip(note.pitch + octaves, 36, 100))) for note in notes]
