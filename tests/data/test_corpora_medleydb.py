"""MedleyDB: which songs give stems, which give the voice's pitch, and which neither."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.medleydb import VALIDATION_ARTISTS, read_song, split_of
from majl_cli.data.labels import read_csv, read_pitch
from majl_cli.data.manifest import accompaniment_stems
from majl_cli.errors import DataError

RATE = 16000
BAND = [("male singer", "melody"), ("drum set", ""), ("electric bass", "bass")]


def write_song(
    folder: Path,
    name: str,
    stems: list[tuple[str, str]],
    *,
    bleed: str = "no",
    artist: str = "Some Band",
    melodies: tuple[int, ...] = (),
    first: int | None = None,
) -> None:
    """``stems`` are (instrument, component); ``first`` is the number of the predominant one."""
    audio, notes = folder / "Audio" / name, folder / "Annotations" / "Melody_Annotations"
    (audio / f"{name}_STEMS").mkdir(parents=True)
    files = [f"{name}_STEM_{n:02}.wav" for n in range(1, len(stems) + 1)]
    for file in files:
        soundfile.write(audio / f"{name}_STEMS" / file, 0.1 * np.ones(RATE), RATE)
    soundfile.write(audio / f"{name}_MIX.wav", 0.1 * np.ones(RATE), RATE)
    rows = {
        f"S{n:02}": {"component": component, "filename": file, "instrument": instrument}
        for n, ((instrument, component), file) in enumerate(zip(stems, files, strict=True), 1)
    }
    metadata = {"artist": artist, "has_bleed": bleed, "stems": rows}
    (audio / f"{name}_METADATA.yaml").write_text(yaml.safe_dump(metadata))
    for number in melodies:
        path = notes / f"MELODY{number}" / f"{name}_MELODY{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{k * 256 / 44100},{100.0 * number}\n" for k in range(172)))
    if first is not None:
        (audio / f"{name}_RANKING.txt").write_text(f"{name}_STEM_{first:02}.csv,1\n{name}_STEM_09.csv,2\n")


def test_a_song_with_one_singer_gives_stems_and_the_f0_of_the_voice(tmp_path: Path) -> None:
    write_song(tmp_path, "SomeBand_Song", BAND, melodies=(1, 2), first=1)
    (track,) = corpora["medleydb"](tmp_path)
    assert (track.id, track.labels, track.split, track.artist) == ("SomeBand_Song", "full", "train", "Some Band")
    assert set(track.stems) == {"vocals", "S02 drum set", "S03 electric bass"}
    assert track.stems["vocals"].path.name == "SomeBand_Song_STEM_01.wav"
    assert [sign for sign, _ in accompaniment_stems(track, "vocals")] == [1, 1]
    times, frequencies, _ = read_pitch(track)
    assert times[1] == pytest.approx(256 / 44100) and (frequencies == 100).all()


@pytest.mark.parametrize(
    ("melodies", "first", "melodic", "expected"),
    [
        ((1, 2), 1, ["melody", "melody", ""], 1),  # ranked first
        ((1, 2), 2, ["melody", "melody", ""], None),  # another source is predominant
        ((2,), 1, ["melody", "melody", ""], None),  # MELODY2 goes from source to source
        ((2,), None, ["melody", "", ""], 2),  # but here there is only one
        ((1,), None, ["melody", "", ""], 1),
        ((1,), None, ["melody", "melody", ""], None),  # nobody says which
        ((3,), 1, ["melody", "", ""], None),
    ],
)
def test_pitch_is_taken_only_where_it_is_the_voices(
    tmp_path: Path, melodies: tuple[int, ...], first: int | None, melodic: list[str], expected: int | None
) -> None:
    stems = list(zip(["female singer", "violin", "piano"], melodic, strict=True))
    write_song(tmp_path, "A_B", stems, melodies=melodies, first=first)
    (track,) = corpora["medleydb"](tmp_path)
    assert track.labels == ("mss" if expected is None else "full")
    assert (track.pitch is None) == (expected is None)
    if expected is not None:
        assert (read_pitch(track)[1] == 100 * expected).all()


def test_songs_without_clean_stems_keep_mixture_and_pitch_and_others_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    duet = [("male singer", "melody"), ("vocalists", ""), ("piano", "")]
    write_song(tmp_path, "A_Bleeds", BAND, bleed="yes", melodies=(1,), first=1)
    write_song(tmp_path, "B_Duet", duet, melodies=(1,), first=1)
    write_song(tmp_path, "C_Bleeds", BAND, bleed="yes")
    write_song(tmp_path, "D_Instrumental", [("piano", "melody"), ("violin", "")], melodies=(1,), first=1)
    with caplog.at_level(logging.WARNING):
        tracks = corpora["medleydb"](tmp_path)
    assert [(t.id, t.labels, t.stems) for t in tracks] == [("A_Bleeds", "pe", {}), ("B_Duet", "pe", {})]
    assert tracks[0].mixture is not None and tracks[0].mixture.path.name == "A_Bleeds_MIX.wav"
    assert "2 of 4 songs left out" in caplog.text


def test_artists_of_musdb18s_validation_songs_are_in_validation(tmp_path: Path) -> None:
    assert len(VALIDATION_ARTISTS) == 14
    assert split_of("Clara Berry and Wooldog") == split_of("ClaraBerryAndWooldog") == "validation"
    assert split_of("Liz Nelson") == "train"
    write_song(tmp_path, "Meaxic_YouListen", BAND, artist="Meaxic")
    assert corpora["medleydb"](tmp_path)[0].split == "validation"


def test_what_is_missing_is_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"no SONG_METADATA\.yaml in it"):
        corpora["medleydb"](tmp_path)
    write_song(tmp_path, "A_B", BAND)
    (tmp_path / "Audio" / "A_B" / "A_B_STEMS" / "A_B_STEM_02.wav").unlink()
    with pytest.raises(DataError, match=r"1 file is missing: A_B_STEM_02\.wav"):
        corpora["medleydb"](tmp_path)
    for path in (tmp_path / "Audio" / "A_B").rglob("*.wav"):
        path.unlink()
    with pytest.raises(DataError, match=r"none of 1 songs has audio"):
        corpora["medleydb"](tmp_path)
    write_song(tmp_path, "C_D", BAND)
    with caplog.at_level(logging.WARNING):
        assert [track.id for track in corpora["medleydb"](tmp_path)] == ["C_D"]
    assert "no audio for 1 of 2 songs: A_B" in caplog.text


@pytest.mark.parametrize("content", ["a: [", "title: x\n", "has_bleed: 'no'\nstems: {S01: {filename: x}}\n", "[]"])
def test_broken_metadata_say_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "A_B_METADATA.yaml").write_text(content)
    with pytest.raises(DataError, match=r"A_B_METADATA\.yaml: not readable as metadata"):
        read_song(tmp_path / "A_B_METADATA.yaml")


@pytest.mark.data
def test_real_melody_files_are_read(shared_data: Path, tmp_path: Path) -> None:
    for packed in sorted((shared_data / "labels_only" / "medleydb_melody").glob("*.csv.gz")):
        path = tmp_path / packed.stem
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        times, frequencies, known = read_csv(path)
        assert np.median(np.diff(times)) == pytest.approx(256 / 44100, abs=1e-6)
        assert known.all() and (frequencies >= 0).all()
        assert 0.2 < np.mean(frequencies > 0) < 1.0
        assert 60 < np.median(frequencies[frequencies > 0]) < 1000
