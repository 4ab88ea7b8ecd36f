"""Manifests: a round trip, relative paths, and strict reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from majl_cli.data.manifest import Stem, Track, read_manifest, summary, write_manifest
from majl_cli.errors import DataError

TRACK = {"corpus": "c", "sample_rate": 16000, "channels": 1, "duration": 2.5}


def tracks_in(folder: Path) -> list[Track]:
    return [
        Track(
            id="full",
            labels="full",
            stems={
                "vocals": Stem(path=folder / "a.wav", channel=1),
                "accompaniment": Stem(path=folder / "a.wav", channel=0),
            },
            pitch=folder / "labels" / "ä.pv",
            pitch_format="pv",
            bandwidth=8000.0,
            artist="amy",
            split="validation",
            **TRACK,
        ),
        Track(id="melody only", labels="pe", mixture=Stem(path=folder / "m.ogg"), pitch=folder / "m.csv", **TRACK),
    ]


def test_manifest_round_trip_keeps_every_field(tmp_path: Path) -> None:
    tracks = tracks_in(tmp_path / "audio")
    write_manifest(tmp_path / "m.jsonl", tracks)
    assert read_manifest(tmp_path / "m.jsonl") == tracks
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


def test_paths_are_relative_so_that_a_folder_can_move(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    write_manifest(tmp_path / "before" / "m.jsonl", tracks_in(tmp_path / "before"))
    (tmp_path / "before").rename(tmp_path / "after")
    assert read_manifest(tmp_path / "after" / "m.jsonl") == tracks_in(tmp_path / "after")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "x", "corpus": "c", "labelz": "mss"}', "line 1: unknown key 'labelz'"),
        ('{"id": "x", "corpus": "c", "labels": "mss", "sample_rate": 1, "channels": 1}', "no 'duration'"),
        ("not json", "line 1: not a track"),
        ("[1, 2]", "line 1: not a track"),
        (
            '{"id": "x", "corpus": "c", "labels": "all", "sample_rate": 1, "channels": 1, "duration": 1, '
            '"stems": {"vocals": {"path": "x"}}}',
            "labels 'all'",
        ),
        (
            '{"id": "x", "corpus": "c", "labels": "mss", "sample_rate": 1, "channels": 1, "duration": 1}',
            "neither stems",
        ),
    ],
)
def test_a_line_that_is_not_a_track_is_refused_by_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "m.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.jsonl")


def test_missing_manifest_and_double_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such manifest"):
        read_manifest(tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="two tracks are called 'full'"):
        write_manifest(tmp_path / "m.jsonl", tracks_in(tmp_path)[:1] * 2)


def test_summary_counts_by_corpus_split_and_labels(tmp_path: Path) -> None:
    rows = summary(tracks_in(tmp_path))
    assert rows == {"c/train/pe": "1 tracks, 0.00 h", "c/validation/full": "1 tracks, 0.00 h"}


def test_what_a_pseudo_labelled_track_carries_survives_the_file(tmp_path: Path) -> None:
    track = Track(
        id="a",
        corpus="c",
        labels="full",
        sample_rate=16000,
        channels=1,
        duration=2.0,
        mixture=Stem(path=tmp_path / "a.stem.mp4", stream=0),
        stems={"vocals": Stem(path=tmp_path / "a.stem.mp4", stream=4)},
        pitch=tmp_path / "a.csv",
        octave_free=True,
        pseudo="pitch",
        confidence=tmp_path / "confidence.csv",
        kept=((0.0, 0.5), (1.0, 1.75)),
    )
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, [track])
    assert read_manifest(path) == [track]
    assert track.bucket == "mss"


def test_an_unknown_kind_of_pseudo_label_is_refused() -> None:
    with pytest.raises(DataError, match="pseudo 'all'"):
        Track(
            id="a", corpus="c", labels="full", sample_rate=1, channels=1, duration=1.0,
            mixture=Stem(path=Path("a")), pseudo="all",
        )  # fmt: skip
