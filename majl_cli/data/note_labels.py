"""Note labels: files to notes, and notes to frames of pitch.

The protocol: on a grid of 10 ms, a frame is voiced with a note's pitch if its centre lies in [onset, offset); of two
notes of one part that overlap, the later one counts; everywhere else nobody sings. Notes are rounded to semitones, so
such labels are right within the vibrato and the glides only, and a frame inside a note may in truth be a breath.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import midi_to_frequency
from majl_cli.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
NOTE_HOP_SECONDS = 0.010
ULTRASTAR_ZERO = 60  # the MIDI number of UltraStar's pitch 0, up to octaves


@dataclass(frozen=True, kw_only=True)
class Note:
    """``onset`` and ``offset`` in seconds; ``midi`` None: something is sung or spoken there, at no known pitch.
    ``part`` tells the singers of a duet apart."""

    onset: float
    offset: float
    midi: float | None
    part: int = 1


@dataclass(frozen=True, kw_only=True)
class UltrastarSong:
    """``headers`` by upper-case name, such as ARTIST, and ``notes``, whose octave is free."""

    headers: dict[str, str]
    notes: list[Note]


def frames_from_notes(notes: Sequence[Note], duration: float) -> tuple[Floats, Floats, Bools]:
    """Times (N,), frequencies (N,) in Hz with 0 = unvoiced, and known (N,), up to ``duration`` seconds.

    Not known: notes without a pitch, and where two parts sing pitches that are no whole octaves apart.
    """
    count = int(duration / NOTE_HOP_SECONDS + 1e-6) + 1
    midi, known = np.zeros(count), np.ones(count, bool)
    for part in sorted({note.part for note in notes}):
        own, sure = np.zeros(count), np.ones(count, bool)
        for note in sorted((n for n in notes if n.part == part), key=lambda n: n.onset):
            inside = slice(_first_frame(note.onset), _first_frame(note.offset))
            own[inside], sure[inside] = note.midi or 0.0, note.midi is not None
        clash = (midi > 0) & (own > 0) & ((midi - own) % 12 != 0)
        known &= sure & ~clash
        midi = np.where(own > 0, own, midi)
    voiced = midi > 0
    times = np.multiply(np.arange(count), NOTE_HOP_SECONDS, dtype=np.float64)
    return times, np.where(voiced, midi_to_frequency(np.where(voiced, midi, 69.0)), 0.0), known


def note_arrays(notes: Sequence[Note]) -> tuple[Floats, Floats]:
    """Intervals (N, 2) in s and pitches (N,) in Hz of ``notes``, as metrics/notes.py takes them.

    Left out, as they cannot be scored: notes without a pitch, and notes that do not end after their start.
    """
    scored = [note for note in notes if note.midi is not None and note.offset > note.onset]
    intervals = np.array([(note.onset, note.offset) for note in scored], dtype=np.float64).reshape(-1, 2)
    return intervals, midi_to_frequency([note.midi for note in scored if note.midi is not None])


def read_mir_st500(path: Path) -> list[Note]:
    """The notes of one song of MIR-ST500: ``path`` is the JSON file and below it, like a file in it, the song's id
    (``MIR-ST500_corrected.json/17``), so that each song has a path of its own. Raises DataError."""
    songs = read_mir_st500_songs(path.parent)
    if path.name not in songs:
        raise DataError(f"{path.parent}: no song {path.name!r}", "its keys are song ids, 1 to 500")
    notes = []
    for row in songs[path.name]:
        try:
            onset, offset, midi = (float(value) for value in row)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {row!r} is not a note", "a note is [onset s, offset s, MIDI number]") from error
        if not (math.isfinite(onset) and math.isfinite(offset) and 0 < midi < 128):
            raise DataError(f"{path}: {row!r} is not a note", "a note is [onset s, offset s, MIDI number]")
        notes.append(Note(onset=onset, offset=offset, midi=midi))
    return notes


def read_mir_st500_songs(path: Path) -> dict[str, list[Any]]:
    """The whole JSON object, song id to rows. The file is parsed once as long as it stays the same."""
    try:
        return _songs(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such label file", "check the corpus") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as note labels: {error}", "copy or download it again") from error


def read_ultrastar(path: Path) -> UltrastarSong:
    """An UltraStar song: ``: beat length pitch text`` in beats of 15 / BPM seconds from ``#GAP`` milliseconds on.

    Pitch counts from MIDI 60, octave free. Freestyle and rap notes (F, R, G) have no pitch. ``P1`` and ``P2`` start
    the parts of a duet. With ``#RELATIVE:YES`` beats count from the line's start. Raises DataError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", "check the song's folder") from error
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = data.decode("cp1252", errors="replace").splitlines()
    pairs = (line[1:].partition(":") for line in lines if line.startswith("#"))
    headers = {name.strip().upper(): value.strip() for name, _, value in pairs}
    bpm, gap = _header_number(path, headers, "BPM"), _header_number(path, headers, "GAP", default="0")
    if bpm <= 0:
        raise DataError(f"{path}: #BPM is {bpm:g}", "it must be above 0")
    notes = _ultrastar_notes(path, lines, gap / 1000, 15 / bpm, headers.get("RELATIVE", "").upper() == "YES")
    if not notes:
        raise DataError(f"{path}: no note in it", "an UltraStar song has lines such as ': 12 4 7 la'")
    return UltrastarSong(headers=headers, notes=notes)


def _ultrastar_notes(path: Path, lines: Sequence[str], start: float, beat: float, relative: bool) -> list[Note]:
    notes, part, base = [], 1, 0
    for number, line in enumerate(lines, 1):
        kind = line[:1]
        if kind in (":", "*", "F", "R", "G"):
            found = re.match(r"\s*(-?\d+)\s+(\d+)\s+(-?\d+)", line[1:])
            if found is None:
                raise DataError(f"{path}, line {number}: {line!r} is not a note", "write ': beat length pitch text'")
            first, length, pitch = (int(value) for value in found.groups())
            onset = start + (base + first) * beat
            midi = float(ULTRASTAR_ZERO + pitch) if kind in (":", "*") else None
            notes.append(Note(onset=onset, offset=onset + length * beat, midi=midi, part=part))
        elif kind == "-" and relative:
            base += int((re.findall(r"-?\d+", line[1:]) or ["0"])[-1])
        elif kind == "P" and (found := re.match(r"P\s*(\d)", line)):
            part, base = int(found[1]), 0
        elif kind == "B":
            raise DataError(f"{path}, line {number}: the BPM changes half-way", "leave this song out")
        elif kind == "E":
            break
    return notes


@lru_cache(maxsize=4)
def _songs(path: Path, modified: int) -> dict[str, list[Any]]:
    songs = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(songs, dict) or not all(isinstance(rows, list) for rows in songs.values()):
        raise ValueError("not an object of song id to list of notes")
    return songs


def _header_number(path: Path, headers: dict[str, str], name: str, default: str = "") -> float:
    text = headers.get(name) or default
    try:
        return float(text.replace(",", "."))
    except ValueError:
        what = f"#{name} is {text!r}" if text else f"no #{name}"
        raise DataError(f"{path}: {what}", "an UltraStar song has #BPM, #GAP and #MP3 on top") from None


def _first_frame(seconds: float) -> int:
    """The first frame whose centre is not before ``seconds``."""
    return max(0, math.ceil(seconds / NOTE_HOP_SECONDS - 1e-6))
