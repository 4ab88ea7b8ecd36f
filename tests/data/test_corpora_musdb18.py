"""MUSDB18 in both editions: folders of WAV files, and streams of .stem.mp4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from stem_files import write_streams

from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.musdb18 import STEMS, VALIDATION_SONGS
from majl_cli.data.dataset import SegmentDataset
from majl_cli.data.manifest import summary
from majl_cli.errors import DataError
from majl_cli.evaluation.sources import load_sources

RATE = 44100
SECONDS = 1.5
TONES = {"drums": 1000, "bass": 100, "other": 600, "vocals": 300}


def tones() -> dict[str, np.ndarray]:
    time = np.arange(round(SECONDS * RATE)) / RATE
    audio = {name: 0.2 * np.sin(2 * np.pi * tone * time) for name, tone in TONES.items()}
    audio = {"mixture": np.sum(list(audio.values()), axis=0), **audio}
    return {name: np.repeat(wave[:, None], 2, axis=1).astype(np.float32) for name, wave in audio.items()}


def write_song(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, audio in tones().items():
        soundfile.write(folder / f"{name}.wav", audio, RATE)


def peaks(audio: np.ndarray) -> set[int]:
    """Frequencies in Hz that stick out of a second of audio."""
    spectrum = np.abs(np.fft.rfft(audio[:RATE] * np.hanning(RATE)))
    return {int(f) for f in np.flatnonzero(spectrum > 0.6 * spectrum.max())}


def test_folders_of_wav_files_are_split_as_the_musdb_package_splits_them(tmp_path: Path) -> None:
    for place in ("train/A - One", "train/ANiMAL - Rockshow", "test/B - Two"):
        write_song(tmp_path / place)
    tracks = corpora["musdb18"](tmp_path)
    assert [(t.id, t.split, t.artist) for t in tracks] == [
        ("A - One", "train", "A"),
        ("ANiMAL - Rockshow", "validation", "ANiMAL"),
        ("B - Two", "test", "B"),
    ]
    assert all(t.labels == "mss" and set(t.stems) == set(TONES) and t.bandwidth is None for t in tracks)
    assert summary(tracks)["MUSDB18-HQ/train/mss"] == "1 tracks, 0.00 h"


def test_the_validation_songs_are_fourteen() -> None:
    assert len(VALIDATION_SONGS) == 14


def test_streams_of_a_stem_file_are_the_stems(tmp_path: Path) -> None:
    write_streams(tmp_path / "train" / "A - One.stem.mp4", [tones()[name] for name in STEMS], RATE)
    (track,) = corpora["musdb18"](tmp_path)
    assert (track.id, track.corpus, track.labels, track.bandwidth) == ("A - One", "MUSDB18", "mss", 16000.0)
    assert track.mixture is not None and track.mixture.stream == 0
    assert track.duration == pytest.approx(SECONDS, abs=0.05)
    vocals, accompaniment, rate = load_sources(track)
    assert rate == RATE
    assert peaks(vocals[:, 0]) == {300}
    assert peaks(accompaniment[:, 0]) == {100, 600, 1000}
    items = SegmentDataset(
        [track], sample_rate=RATE, channels=2, segment_seconds=1.0, frame_seconds=0.01, augment=None, length=4
    )
    sources = items[1]["sources"].numpy()
    assert peaks(sources[0, 0]) == {300}
    assert peaks(sources[1, 0]) == {100, 600, 1000}


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither train/ nor test/ in it"):
        corpora["musdb18"](tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no song in train/"):
        corpora["musdb18"](tmp_path)
    for name in ("A - One", "B - Two"):
        write_song(tmp_path / "train" / name)
        (tmp_path / "train" / name / "bass.wav").unlink()
    with pytest.raises(DataError, match=r"2 files are missing: train/A - One/bass\.wav, train/B - Two/bass\.wav"):
        corpora["musdb18"](tmp_path)


def test_stems_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_song(tmp_path / "train" / "A - One")
    soundfile.write(tmp_path / "train" / "A - One" / "bass.wav", np.zeros((100, 2)), RATE)
    with pytest.raises(DataError, match=r"bass\.wav: 44100 Hz, 0\.00 s; the mixture has 44100 Hz, 1\.50 s"):
        corpora["musdb18"](tmp_path)


def test_a_file_of_one_stream_is_no_song(tmp_path: Path) -> None:
    write_streams(tmp_path / "test" / "A - One.stem.mp4", [tones()["vocals"]], RATE)
    with pytest.raises(DataError, match="has no audio stream 4, only 1"):
        corpora["musdb18"](tmp_path)
