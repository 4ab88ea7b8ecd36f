"""MIR-ST500: audio by id, notes of one JSON file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.mir_st500 import split_of
from majl_cli.data.dataset import SegmentDataset
from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import read_manifest, write_manifest
from majl_cli.errors import DataError

RATE = 16000
NOTES = {"1": [[0.5, 1.0, 69.0]], "381": [[0.0, 2.0, 57.0]], "401": [[0.0, 1.0, 60.0]], "7": []}


def write_corpus(folder: Path, places: list[str]) -> Path:
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "MIR-ST500_corrected.json").write_text(json.dumps(NOTES))
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / place, 0.1 * np.ones(2 * RATE), RATE)
    return folder


def test_songs_are_found_by_their_id_and_split_as_published(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    places = ["train/1/Mixture.wav", "train/1/Vocals.wav", "train/381.flac", "test/401/mixture.ogg", "999.wav"]
    with caplog.at_level(logging.WARNING):
        tracks = corpora["mir-st500"](write_corpus(tmp_path, places))
    assert [(t.id, t.split) for t in tracks] == [
        ("mir-st500/1", "train"),
        ("mir-st500/381", "validation"),
        ("mir-st500/401", "test"),
    ]
    assert all(t.labels == "pe" and not t.stems and t.mixture is not None for t in tracks)
    assert tracks[0].mixture is not None and tracks[0].mixture.path.name == "Mixture.wav"
    assert "no audio for 1 of 4 songs: 7" in caplog.text


def test_the_last_twenty_train_songs_are_validation() -> None:
    splits = [split_of(song) for song in range(1, 501)]
    assert [splits.count(s) for s in ("train", "validation", "test")] == [380, 20, 100]
    assert splits[379:401] == ["train", *["validation"] * 20, "test"]


def test_labels_cover_the_recording_and_survive_a_manifest(tmp_path: Path) -> None:
    tracks = corpora["mir-st500"](write_corpus(tmp_path / "corpus", ["1.wav", "381.wav"]))
    write_manifest(tmp_path / "m.jsonl", tracks)
    for track in (tracks[0], read_manifest(tmp_path / "m.jsonl")[0]):
        times, frequencies, known = read_pitch(track)
        assert (times[0], times[-1]) == (0.0, pytest.approx(2.0))
        assert known.all()
        np.testing.assert_allclose(frequencies[50:100], 440.0)
        assert not frequencies[:50].any() and not frequencies[100:].any()


def test_songs_of_one_label_file_keep_their_own_labels(tmp_path: Path) -> None:
    tracks = corpora["mir-st500"](write_corpus(tmp_path / "corpus", ["1.wav", "381.wav"]))
    (tmp_path / "songs" / "x").mkdir(parents=True)
    soundfile.write(tmp_path / "songs" / "x" / "accompaniment.wav", 0.1 * np.ones(2 * RATE), RATE)
    backing = corpora["stems"](tmp_path / "songs")
    items = SegmentDataset(
        [*tracks, *backing],
        sample_rate=RATE,
        channels=1,
        segment_seconds=2.0,
        frame_seconds=0.01,
        augment=None,
        length=20,
    )
    seen = {item["track"]: float(item["f0"].max()) for item in (items[n] for n in range(20))}
    assert seen == {"mir-st500/1": pytest.approx(440.0), "mir-st500/381": pytest.approx(220.0)}


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no MIR-ST500_corrected\.json in it"):
        corpora["mir-st500"](tmp_path)
    write_corpus(tmp_path, [])
    with pytest.raises(DataError, match=r"no audio for any of the 4 songs"):
        corpora["mir-st500"](tmp_path)
