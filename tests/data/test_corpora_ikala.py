"""iKala: channels, labels, and splits by singer."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.data.corpora import corpora
from majl_cli.data.labels import read_pitch
from majl_cli.errors import DataError
from majl_cli.evaluation.sources import load_sources

RATE = 16000


def write_corpus(folder: Path, clips: dict[str, str]) -> Path:
    """``clips`` are singers by clip; an empty one is not in the mapping."""
    (folder / "Wavfile").mkdir(parents=True)
    (folder / "PitchLabel").mkdir()
    time = np.arange(RATE) / RATE
    audio = 0.3 * np.stack((np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 220 * time)), axis=1)
    for clip in clips:
        soundfile.write(folder / "Wavfile" / f"{clip}.wav", audio, RATE)
        (folder / "PitchLabel" / f"{clip}.pv").write_text("57\n" * 31)
    songs = {clip.partition("_")[0]: singer for clip, singer in clips.items() if singer}
    if songs:
        rows = "".join(f"{singer}\t{song}\n" for song, singer in songs.items())
        (folder / "id_mapping.txt").write_text("singer\tsong\n" + rows)
    return folder


def test_clips_have_the_accompaniment_left_and_the_voice_right(tmp_path: Path) -> None:
    track = corpora["ikala"](write_corpus(tmp_path, {"10161_chorus": ""}))[0]
    assert (track.id, track.corpus, track.labels, track.duration) == ("10161_chorus", "iKala", "full", 1.0)
    vocals, accompaniment, _ = load_sources(track)
    assert np.abs(np.fft.rfft(vocals[:, 0])).argmax() == 220
    assert np.abs(np.fft.rfft(accompaniment[:, 0])).argmax() == 1000
    times, frequencies, known = read_pitch(track)
    assert times[0] == pytest.approx(0.016) and frequencies == pytest.approx(220.0) and known.all()


def test_splits_are_by_singer_where_they_are_named(tmp_path: Path) -> None:
    clips = {"1_verse": "Ann", "1_chorus": "Ann", "2_verse": "Bob", "3_verse": "Cid", "4_chorus": "Dee"}
    tracks = corpora["ikala"](write_corpus(tmp_path, clips))
    assert {t.id: (t.artist, t.split) for t in tracks} == {
        "1_chorus": ("Ann", "train"),
        "1_verse": ("Ann", "train"),
        "2_verse": ("Bob", "train"),
        "3_verse": ("Cid", "validation"),
        "4_chorus": ("Dee", "test"),
    }


def test_without_singers_a_verse_stays_with_its_chorus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = {f"{song}_{part}": "" for song in range(20) for part in ("verse", "chorus")}
    with caplog.at_level(logging.WARNING):
        tracks = corpora["ikala"](write_corpus(tmp_path, clips))
    splits = {song: {t.split for t in tracks if t.id.startswith(f"{song}_")} for song in range(20)}
    assert all(len(found) == 1 for found in splits.values())
    assert "no id_mapping.txt" in caplog.text


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.wav file in Wavfile/"):
        corpora["ikala"](tmp_path)
    folder = write_corpus(tmp_path / "c", {"1_verse": "Ann", "2_verse": "Bob"})
    (folder / "PitchLabel" / "2_verse.pv").unlink()
    with pytest.raises(DataError, match=r"1 file is missing: PitchLabel/2_verse\.pv"):
        corpora["ikala"](folder)
    (folder / "PitchLabel" / "2_verse.pv").write_text("0\n")
    (folder / "id_mapping.txt").write_text("only one\nword\n")
    with pytest.raises(DataError, match=r"id_mapping\.txt: not lines of singer and song"):
        corpora["ikala"](folder)
    (folder / "id_mapping.txt").unlink()
    soundfile.write(folder / "Wavfile" / "1_verse.wav", np.zeros(100), RATE)
    with pytest.raises(DataError, match="1 channels"):
        corpora["ikala"](folder)
