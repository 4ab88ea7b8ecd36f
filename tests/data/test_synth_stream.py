"""Pieces made while training: the same segments whatever lies on the disk, in bounded space."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from synth_recordings import write_recordings
from torch.utils.data import DataLoader

from majl_cli.data.augment import AugmentConfig
from majl_cli.data.dataset import SegmentDataset, collate
from majl_cli.data.manifest import Track, read_manifest, write_manifest
from majl_cli.data.sources import load_tracks
from majl_cli.data.synth import pieces
from majl_cli.data.synth.pieces import Material
from majl_cli.data.synth.stream import Stream
from majl_cli.errors import ConfigError, DataError, DependencyError

pytest.importorskip("pyworld", reason="pyworld is not installed; the synth extra brings it")

FILE = """
recordings = "."
soundfont = "tiny.sf2"
pieces = 2
segments_per_piece = 2
[hours]
accompaniments = 1
resung = 1
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tinysoundfont", reason="tinysoundfont is not installed: pip install --no-deps tinysoundfont")
    root = write_recordings(tmp_path_factory.mktemp("recordings"))
    (root / "stream.toml").write_text(FILE)
    return root / "stream.toml"


@pytest.fixture(autouse=True)
def quick_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones whose pitch tells the piece, in the place of pieces that take a second."""

    def render(material: Material, kind: str, index: int) -> tuple[np.ndarray, np.ndarray | None, int]:
        hertz = 200.0 + 10 * index + material.seed
        audio = 0.3 * np.sin(2 * np.pi * hertz * np.arange(4 * 16000) / 16000)
        return audio, None if kind == "accompaniments" else np.full(800, hertz), 16000

    monkeypatch.setattr(pieces, "render", render)


def dataset(tracks: Sequence[Track], folder: Path | None) -> SegmentDataset:
    quiet = AugmentConfig(second_vocals_probability=0.0, second_accompaniment_probability=0.0)
    return SegmentDataset(tracks, sample_rate=16000, channels=1, segment_seconds=1.0, frame_seconds=0.01,
                          augment=quiet, length=8, streams_folder=folder)  # fmt: skip


def test_segments_are_the_same_in_workers_after_a_resumption_and_without_the_disk(file: Path, tmp_path: Path) -> None:
    tracks = load_tracks(folders=[f"synth={file}"])
    assert [(t.id, t.labels, t.duration) for t in tracks] == [
        ("accompaniments", "accompaniment", 3600.0), ("resung", "vocals", 3600.0),
    ]  # fmt: skip
    items = dataset(tracks, tmp_path / "one")
    expected = [items[i] for i in range(8)]
    workers = DataLoader(dataset(tracks, tmp_path / "two"), 2, num_workers=2, collate_fn=collate)
    together = [batch["mixture"] for batch in workers]
    assert torch.equal(torch.cat(together), torch.stack([item["mixture"] for item in expected]))
    shutil.rmtree(tmp_path / "one")
    for index in (7, 3):
        again = items[index]
        assert all(torch.equal(again[key], expected[index][key]) for key in ("mixture", "sources", "f0"))
    assert (tmp_path / "one").exists()
    assert max(item["f0"].max() for item in expected) > 180
    assert len({item["track"] for item in expected}) > 2


def test_pieces_make_room_for_the_next(file: Path, tmp_path: Path) -> None:
    stream = Stream(file, tmp_path)
    seen = set()
    for segment in range(0, 20, 2):
        piece = stream.piece("resung", segment, np.random.default_rng(segment))
        seen.add(int(piece.id.removeprefix("resung_")))
        assert segment // 2 <= max(seen) <= segment // 2 + 1
        assert len(list(tmp_path.rglob("*.wav"))) == len(list(tmp_path.rglob("*.csv"))) <= 4
    assert len(seen) > 5


def test_labels_of_pieces_are_not_kept(file: Path, tmp_path: Path) -> None:
    items = dataset(load_tracks(folders=[f"synth={file}"]), tmp_path)
    assert items[0]["pitch_known"].all()
    assert not items._labels


def test_a_stream_can_be_sent_to_a_fresh_process(file: Path, tmp_path: Path) -> None:
    stream = Stream(file, tmp_path)
    sent = pickle.loads(pickle.dumps(stream))
    first, second = (s.piece("accompaniments", 0, np.random.default_rng(0)) for s in (stream, sent))
    assert first == second


def test_an_edited_file_gets_other_pieces(file: Path, tmp_path: Path) -> None:
    other = file.with_name("other.toml")
    other.write_text("seed = 1\n" + FILE)
    assert Stream(file, tmp_path).folder != Stream(other, tmp_path).folder


def test_manifests_keep_streams(file: Path, tmp_path: Path) -> None:
    tracks = load_tracks(folders=[f"synth={file}"])
    write_manifest(tmp_path / "m.jsonl", tracks)
    (back, _) = read_manifest(tmp_path / "m.jsonl")
    assert back.stream is not None and back.stream.samefile(file)


def test_what_a_stream_lacks_is_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(text: str) -> Stream:
        path = file.with_name("wrong.toml")
        path.write_text('recordings = "."\n' + text)
        return Stream(path, tmp_path)

    with pytest.raises(ConfigError, match="hours of drums: 1"):
        stream("[hours]\ndrums = 1")
    with pytest.raises(ConfigError, match="no kind of piece"):
        stream("")
    with pytest.raises(ConfigError, match="accompaniments need a soundfont"):
        stream("[hours]\naccompaniments = 1")
    with pytest.raises(ConfigError, match="pieces 0 is too small"):
        stream("pieces = 0\n[hours]\nresung = 1")
    with pytest.raises(DataError, match="no folder for its pieces"):
        dataset(load_tracks(folders=[f"synth={file}"]), None)
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(DependencyError, match="pyworld is not installed"):
        stream("[hours]\nresung = 1")
