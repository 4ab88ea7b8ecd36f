"""UltraStar song folders: usable songs are taken, others counted."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.corpus import split_by_name
from majl_cli.data.labels import read_pitch
from majl_cli.errors import DataError

RATE = 16000


def write_song(folder: Path, *, artist: str = "A", audio: str = "audio.ogg", body: str = ": 2 4 9 la\n") -> None:
    folder.mkdir(parents=True)
    text = f"#TITLE:t\n#ARTIST:{artist}\n#MP3:{audio}\n#BPM:150\n#GAP:100\n{body}E\n"
    (folder / "song.txt").write_text(text)
    (folder / "license.txt").write_text("by-sa\n")
    soundfile.write(folder / "audio.ogg", 0.1 * np.ones(2 * RATE), RATE)


def test_a_song_is_its_recording_with_octave_free_notes(tmp_path: Path) -> None:
    write_song(tmp_path / "x" / "a song", artist="Zoë")
    (track,) = corpora["ultrastar"](tmp_path)
    assert (track.id, track.labels, track.artist) == ("x/a song/song", "pe", "Zoë")
    assert track.octave_free and track.split == split_by_name("Zoë")
    times, frequencies, known = read_pitch(track)
    assert times[-1] == pytest.approx(2.0) and known.all()
    np.testing.assert_allclose(np.flatnonzero(frequencies), np.arange(30, 70))  # beats 2 to 6 of 0.1 s from 0.1 s on
    assert frequencies[30] == pytest.approx(440.0)


def test_songs_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_song(tmp_path / "good")
    write_song(tmp_path / "no audio", audio="other.mp3")
    write_song(tmp_path / "no name", audio="")
    write_song(tmp_path / "late", body=": 900 4 9 la\n")
    write_song(tmp_path / "broken", body=": 2 x\n")
    with caplog.at_level(logging.WARNING):
        tracks = corpora["ultrastar"](tmp_path)
    assert [track.id for track in tracks] == ["good/song"]
    assert "4 of 5 songs left out" in caplog.text
    for words in ("other.mp3: there is no such file", "no #MP3", "after the recording's end", "is not a note"):
        assert words in caplog.text


def test_a_folder_without_a_usable_song_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no UltraStar song in it"):
        corpora["ultrastar"](tmp_path)
    write_song(tmp_path / "a", audio="other.mp3")
    with pytest.raises(DataError, match=r"none of 1 songs is usable: .*other\.mp3: there is no such file"):
        corpora["ultrastar"](tmp_path)


@pytest.mark.data
def test_the_real_song_has_notes_where_its_recording_is(shared_data: Path, tmp_path: Path) -> None:
    place = shared_data / "ultrastar" / "joshua-morin_on-the-run"
    shutil.copy(place / "song.txt", tmp_path / "song.txt")
    shutil.copy(place / "mixture.ogg", tmp_path / "audio.ogg")  # the name that the song's header gives
    (track,) = corpora["ultrastar"](tmp_path)
    assert (track.id, track.artist) == ("song", "Joshua Morin")
    assert track.duration == pytest.approx(90, abs=0.5)
    times, frequencies, known = read_pitch(track)
    assert times[-1] <= track.duration and known.all()
    assert times[frequencies > 0][0] == pytest.approx(11.25)
    assert 0.3 < np.mean(frequencies > 0) < 0.9
