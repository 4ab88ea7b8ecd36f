"""Files that other tools wrote are found under the names those tools use, and fitted to the reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_tracks import RATE, backing, voice, write_track

from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError
from majl_cli.evaluation.estimates import EstimatesFolder, names_of
from majl_cli.evaluation.prepared import PreparedTrack, prepare_track
from majl_cli.inference.track_log import safe_name
from majl_cli.metrics.separation import global_sdr

STEMS = ("vocals", "accompaniment")


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="FLOAT" if path.suffix == ".wav" else None)


def prepared_song(tmp_path: Path, name: str = "song") -> PreparedTrack:
    return prepare_track(write_track(tmp_path / "data", name), tmp_path / "work", stems=STEMS)


LAYOUTS = {
    "majl": ("song/vocals.wav", "song/accompaniment.wav"),
    "demucs, two stems": ("htdemucs/song/vocals.wav", "htdemucs/song/no_vocals.wav"),
    "audio-separator": ("song_(Vocals)_model_bs_roformer.wav", "song_(Instrumental)_model_bs_roformer.wav"),
    "flat": ("song_vocals.flac", "song_no_vocals.flac"),
    "flat, dots": ("song.vocals.wav", "song.accompaniment.wav"),
    "by stem": ("vocals/song.wav", "instrumental/song.wav"),
    "capitals": ("SONG/Vocals.WAV", "SONG/Instrumental.WAV"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stems_are_found_under_the_names_of_the_tools_that_write_them(tmp_path: Path, layout: str) -> None:
    vocals, accompaniment = LAYOUTS[layout]
    write(tmp_path / "est" / vocals, 0.5 * voice(3.0))
    write(tmp_path / "est" / accompaniment, 0.5 * backing(3.0))
    write(tmp_path / "est" / "song2" / "vocals.wav", np.zeros(100))
    prepared = prepared_song(tmp_path)
    files = EstimatesFolder(tmp_path / "est", "tool").separate(prepared, tmp_path / "out")
    assert list(files) == list(STEMS)
    assert np.abs(soundfile.read(files["vocals"])[0] - 0.5 * voice(3.0)).max() < 1e-4
    assert np.abs(soundfile.read(files["accompaniment"])[0] - 0.5 * backing(3.0)).max() < 1e-4
    assert prepared.notes == []


def test_four_stems_are_summed_to_the_accompaniment(tmp_path: Path) -> None:
    for name in ("drums", "bass", "other"):
        write(tmp_path / "est/song" / f"{name}.wav", backing(3.0) / 3)
    write(tmp_path / "est/song/vocals.wav", voice(3.0))
    files = EstimatesFolder(tmp_path / "est", "tool").separate(prepared_song(tmp_path), tmp_path / "out")
    assert np.abs(soundfile.read(files["accompaniment"])[0] - backing(3.0)).max() < 1e-6


def test_what_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    write(tmp_path / "est/song/vocals.wav", voice(3.0))
    write(tmp_path / "est/song/drums.wav", backing(3.0))
    files = EstimatesFolder(tmp_path / "est", "tool").separate(prepared_song(tmp_path), tmp_path / "out")
    assert list(files) == ["vocals"]


def test_rate_channels_and_length_are_fitted_and_said(tmp_path: Path) -> None:
    stereo = np.stack([voice(3.0, 44100)] * 2, axis=1)
    write(tmp_path / "est/song/vocals.wav", np.concatenate([stereo, np.zeros((441, 2))]), 44100)
    prepared = prepared_song(tmp_path)
    files = EstimatesFolder(tmp_path / "est", "tool").separate(prepared, tmp_path / "out")
    audio, rate = soundfile.read(files["vocals"])
    assert (rate, audio.shape) == (RATE, (3 * RATE,))
    assert global_sdr(estimate=audio, reference=voice(3.0)) > 20  # the tone starts with a click
    assert prepared.notes == [
        "vocals.wav: resampled from 44100 to 16000 Hz",
        "vocals.wav: 2 channels made 1",
        "vocals: 48160 samples given, 48000 expected: cut",
    ]


def test_a_short_estimate_is_padded_and_a_much_shorter_one_refused(tmp_path: Path) -> None:
    write(tmp_path / "est/song/vocals.wav", voice(3.0)[:-100])
    prepared = prepared_song(tmp_path)
    files = EstimatesFolder(tmp_path / "est", "tool").separate(prepared, tmp_path / "out")
    audio = soundfile.read(files["vocals"])[0]
    assert len(audio) == 3 * RATE and not audio[-100:].any()
    assert prepared.notes == ["vocals: 47900 samples given, 48000 expected: padded with silence"]
    write(tmp_path / "est/song/vocals.wav", voice(3.0)[: 2 * RATE])
    with pytest.raises(DataError, match=r"2\.00 s, its track song has 3\.00 s"):
        EstimatesFolder(tmp_path / "est", "tool").separate(prepared, tmp_path / "out")


def test_a_track_without_files_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "est/another/vocals.wav", voice(3.0))
    with pytest.raises(DataError, match="track song: no stem of it") as caught:
        EstimatesFolder(tmp_path / "est", "tool").separate(prepared_song(tmp_path), tmp_path / "out")
    assert "song/vocals.wav" in caught.value.hint
    with pytest.raises(DataError, match="no such folder"):
        EstimatesFolder(tmp_path / "nowhere", "tool")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        EstimatesFolder(tmp_path / "empty", "tool")


def test_ids_that_end_alike_or_differ_in_case_keep_their_own_files(tmp_path: Path) -> None:
    for number, name in enumerate(("A/01", "B/01", "song", "Song")):
        write(tmp_path / "est" / name / "vocals.wav", (number + 1) * 0.1 * voice(3.0))
    estimator = EstimatesFolder(tmp_path / "est", "tool")
    for number, name in enumerate(("A/01", "B/01", "song", "Song")):
        prepared = prepare_track(write_track(tmp_path / "data", name), tmp_path / "work", stems=STEMS)
        audio = soundfile.read(estimator.separate(prepared, tmp_path / "out")["vocals"])[0]
        assert np.abs(audio - (number + 1) * 0.1 * voice(3.0)).max() < 1e-6


def test_a_file_is_never_taken_for_two_tracks_nor_one_of_two_files_by_chance(tmp_path: Path) -> None:
    write(tmp_path / "one/01/vocals.wav", voice(3.0))
    estimator = EstimatesFolder(tmp_path / "one", "tool")
    estimator.separate(prepared_song(tmp_path, "A/01"), tmp_path / "out")
    with pytest.raises(DataError, match="looks like track A/01 and like track B/01"):
        estimator.separate(prepared_song(tmp_path, "B/01"), tmp_path / "out")
    for model in ("htdemucs", "mdx"):
        write(tmp_path / "two" / model / "song/vocals.wav", voice(3.0))
    with pytest.raises(DataError, match="htdemucs/song/vocals.wav and mdx/song/vocals.wav both look like it"):
        EstimatesFolder(tmp_path / "two", "tool").separate(prepared_song(tmp_path), tmp_path / "out")


def test_a_track_with_f0_and_no_stem_is_no_error(tmp_path: Path) -> None:
    write(tmp_path / "est/another/vocals.wav", voice(3.0))
    (tmp_path / "est/song.f0.csv").write_text("0.00,0.0\n0.01,220.0\n")
    prepared = prepared_song(tmp_path)
    assert EstimatesFolder(tmp_path / "est", "tool").separate(prepared, tmp_path / "out") == {}
    assert prepared.notes == ["no stem of it, f0 only"]


@pytest.mark.parametrize("name", ["song.f0.csv", "song/f0.csv", "out/song.csv", "song.txt"])
def test_f0_files_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "est" / name
    path.parent.mkdir(parents=True)
    path.write_text("0.00,0.0\n0.01,220.0\n0.02,221.0\n")
    estimator = EstimatesFolder(tmp_path / "est", "tool")
    assert (estimator.stems, estimator.inputs) == ((), ("mixture",))
    f0 = estimator.estimate_f0(prepared_song(tmp_path), "mixture", {})
    assert f0 is not None and f0.frequency.tolist() == [0.0, 220.0, 221.0]
    assert estimator.estimate_f0(prepared_song(tmp_path, "other"), "mixture", {}) is None


def test_a_track_goes_by_its_id_its_last_part_and_the_name_of_its_mixture() -> None:
    track = Track(
        id="mir-st500/401", corpus="MIR-ST500", labels="mixture", mixture=Stem(path=Path("audio/401/Mixture.mp3")),
        sample_rate=44100, channels=2, duration=10.0,
    )  # fmt: skip
    assert names_of(track) == ["mir-st500/401", safe_name("mir-st500/401"), "401"]
    song = replace(track, id="A - One", mixture=Stem(path=Path("test/A - One.stem.mp4"), stream=0))
    assert names_of(song)[0] == "A - One"
    assert names_of(replace(song, id="x", mixture=Stem(path=Path("Band/Take 2.wav")))) == ["x", "Take 2"]
