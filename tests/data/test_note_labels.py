"""Notes to frames: the protocol's numbers, and the files that hold notes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from majl_cli.data.labels import read_ikala
from majl_cli.data.note_labels import (
    Note,
    frames_from_notes,
    read_mir_st500,
    read_mir_st500_songs,
    read_ultrastar,
)
from majl_cli.errors import DataError

SONG = """#TITLE:t
#ARTIST:a
#MP3:audio.ogg
#BPM:300
#GAP:1000
: 0 4 9 la
* 4 2 -3 li
- 8
F 10 2 0 spoken
E
: 20 4 0 not any more
"""


def test_a_frame_is_voiced_from_the_onset_on_and_no_longer_at_the_offset() -> None:
    times, frequencies, known = frames_from_notes([Note(onset=0.02, offset=0.05, midi=69)], 0.1)
    np.testing.assert_allclose(times, np.arange(11) * 0.01)
    np.testing.assert_allclose(frequencies, [0, 0, 440, 440, 440, 0, 0, 0, 0, 0, 0])
    assert known.all()


def test_the_later_of_two_notes_wins_and_notes_end_with_the_recording() -> None:
    notes = [Note(onset=0.03, offset=0.2, midi=57), Note(onset=-0.01, offset=0.06, midi=69)]
    _, frequencies, _ = frames_from_notes(notes, 0.07)
    np.testing.assert_allclose(frequencies, [440, 440, 440, 220, 220, 220, 220, 220])


def test_an_onset_between_frames_waits_for_the_next() -> None:
    _, frequencies, _ = frames_from_notes([Note(onset=0.011, offset=0.0301, midi=69)], 0.05)
    np.testing.assert_allclose(frequencies, [0, 0, 440, 440, 0, 0])


def test_notes_without_a_pitch_and_parts_that_disagree_are_not_known() -> None:
    notes = [
        Note(onset=0.0, offset=0.02, midi=None),
        Note(onset=0.02, offset=0.06, midi=69),
        Note(onset=0.02, offset=0.04, midi=57, part=2),
        Note(onset=0.04, offset=0.06, midi=60, part=2),
    ]
    _, frequencies, known = frames_from_notes(notes, 0.07)
    assert known.tolist() == [False, False, True, True, False, False, True, True]
    assert (frequencies[2:4] > 0).all() and (frequencies[[0, 1, 6, 7]] == 0).all()


def test_mir_st500_gives_each_song_its_own_notes_and_parses_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"1": [[0.5, 1.0, 60.0]], "2": []}))
    assert read_mir_st500(path / "1") == [Note(onset=0.5, offset=1.0, midi=60.0)]
    assert read_mir_st500(path / "2") == []
    assert read_mir_st500_songs(path) is read_mir_st500_songs(path)
    path.write_text(json.dumps({"1": [[0.5, 1.0, 61.0]]}))
    os.utime(path, ns=(1, 1))
    assert read_mir_st500(path / "1")[0].midi == 61.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"1": [[0, 1]]}', r"\[0, 1\] is not a note"),
        ('{"1": [[0, 1, 0]]}', "is not a note"),
        ('{"1": [["a", 1, 60]]}', "is not a note"),
        ('{"1": [[0, NaN, 60]]}', "is not a note"),
        ('{"1": 3}', "not an object of song id to list of notes"),
        ("[", "not readable as note labels"),
        ('{"2": []}', "no song '1'"),
    ],
)
def test_broken_mir_st500_labels_say_so(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_mir_st500(tmp_path / "labels.json" / "1")


def test_ultrastar_beats_are_quarters_after_the_gap(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text(SONG)
    song = read_ultrastar(path)
    assert song.headers["ARTIST"] == "a"
    beat = 0.05  # 15 / 300
    expected = [(1.0, 1.0 + 4 * beat, 69), (1.0 + 4 * beat, 1.0 + 6 * beat, 57), (1.5, 1.6, None)]
    assert [(n.onset, n.offset) for n in song.notes] == [pytest.approx(row[:2]) for row in expected]
    assert [n.midi for n in song.notes] == [row[2] for row in expected]


def test_ultrastar_takes_decimal_commas_old_encodings_and_byte_order_marks(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    text = SONG.replace("300", "297,5").replace("#ARTIST:a", "#Artist: Zoë").replace("1000", "1000,5")
    path.write_bytes(text.encode("cp1252"))
    assert read_ultrastar(path).headers["ARTIST"] == "Zoë"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    song = read_ultrastar(path)
    assert song.headers["ARTIST"] == "Zoë"
    assert song.notes[0].offset == pytest.approx(1.0005 + 4 * 15 / 297.5)


def test_ultrastar_duets_and_relative_beats(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text("#BPM:150\n#RELATIVE:yes\nP1\n: 0 2 0 a\n- 10 10\n: 1 2 0 b\nP 2\n: 3 1 4 c\nE\n")
    notes = [(note.part, note.onset) for note in read_ultrastar(path).notes]
    assert notes == [(1, 0.0), (1, pytest.approx(1.1)), (2, pytest.approx(0.3))]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#BPM:300", "#X:1", "no #BPM"),
        ("#BPM:300", "#BPM:fast", "#BPM is 'fast'"),
        ("#BPM:300", "#BPM:0", "#BPM is 0"),
        (": 0 4 9 la", ": 0 4", "line 6: ': 0 4' is not a note"),
        ("- 8", "B 8 120", "line 8: the BPM changes half-way"),
        (": 0 4 9 la", "E", "no note in it"),
    ],
)
def test_broken_ultrastar_songs_say_so(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "song.txt"
    path.write_text(SONG.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_ultrastar(path)


@pytest.mark.data
def test_the_real_ultrastar_song_is_read_whole(shared_data: Path) -> None:
    song = read_ultrastar(shared_data / "ultrastar" / "joshua-morin_on-the-run" / "song.txt")
    assert len(song.notes) == 333
    assert song.notes[0].onset == pytest.approx(11.25)
    assert song.notes[1].onset == pytest.approx(11.25 + 6 * 15 / 297.5)
    assert song.notes[0].midi == 69
    assert all(note.midi is not None and note.offset > note.onset for note in song.notes)


def test_ikala_lines_are_centred_in_steps_of_32_ms(tmp_path: Path) -> None:
    path = tmp_path / "x.pv"
    path.write_text("0\n69\n57\n")
    times, frequencies, known = read_ikala(path)
    np.testing.assert_allclose(times, [0.016, 0.048, 0.080])
    np.testing.assert_allclose(frequencies, [0, 440, 220])
    assert known.all()
