"""Notes that transcribers wrote to files."""

from __future__ import annotations

import math
from pathlib import Path

from majl_cli.convert import frequency_to_midi
from majl_cli.data.note_labels import Note
from majl_cli.data.number_tables import (
    HERTZ_NAMES,
    TEXT_ENDINGS,
    needed_column,
    number_or_nan,
    read_numbers,
    table_layout,
)
from majl_cli.errors import DataError

ONSET_NAMES = ("onset", "onset_s", "start", "start_s", "start_time_s")
OFFSET_NAMES = ("offset", "offset_s", "end", "end_s", "end_time_s")
DURATION_NAMES = ("duration", "duration_s")
MIDI_NAMES = ("midi", "pitch_midi", "midi_note", "note")
WHAT_NOTE_FILES_ARE = "give a CSV with columns onset,offset,midi in s and MIDI numbers, or onset,offset,frequency in Hz"
_PIANO = (21.0, 108.0)


def read_note_file(path: Path) -> list[Note]:
    """The notes of a text file, by onset. Raises DataError.

    With a line of names: onset (or start), offset (or end) or duration in s, and midi (a MIDI number) or frequency
    (Hz), under these names or those above, so that the CSV of Basic Pitch is read as it is. Without one: three columns,
    onset, offset and MIDI number, and a number that no piano has is refused, since it may be in Hz. A line of names
    alone, or a comment, says that there are no notes.
    """
    if path.suffix.lower() not in TEXT_ENDINGS:
        raise DataError(f"{path}: no note file ends in {path.suffix!r}", WHAT_NOTE_FILES_ARE)
    layout = table_layout(path, what="note", comment_names=ONSET_NAMES)
    if not path.stat().st_size:
        raise DataError(f"{path}: is empty", "write the line of names alone where there are no notes")
    names = layout.names or ["onset", "offset", "midi"]
    if not layout.names and layout.columns not in (0, 3):
        raise DataError(f"{path}: {layout.columns} columns without names", WHAT_NOTE_FILES_ARE)
    columns = [
        needed_column(path, names, wanted, hint=WHAT_NOTE_FILES_ARE)
        for wanted in (ONSET_NAMES, OFFSET_NAMES + DURATION_NAMES, MIDI_NAMES + HERTZ_NAMES)
    ]
    rows = read_numbers(
        path, what="note", delimiter=layout.delimiter, skip=layout.skip, columns=columns, to_number=number_or_nan
    )
    lowest, highest = (0.0, 128.0) if layout.names else _PIANO
    is_duration, is_hertz = names[columns[1]] in DURATION_NAMES, names[columns[2]] in HERTZ_NAMES
    notes = []
    for onset, second, pitch in rows.tolist():
        offset = onset + second if is_duration else second
        midi = float(frequency_to_midi(pitch if pitch > 0 else math.nan)) if is_hertz else pitch
        if not (0 <= onset < offset < math.inf and lowest <= midi <= highest):
            raise DataError(f"{path}: no note: {onset:g} {second:g} {pitch:g}", WHAT_NOTE_FILES_ARE)
        notes.append(Note(onset=onset, offset=offset, midi=midi))
    return sorted(notes, key=lambda note: note.onset)
