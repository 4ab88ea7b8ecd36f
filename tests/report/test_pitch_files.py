"""CSV and NPZ of a pitch track, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest

from majl_cli.errors import AudioError, UsageError
from majl_cli.inference.outputs import binary_files, written_aside
from majl_cli.report.pitch_files import write_csv, write_npz, write_pitch


@pytest.fixture
def track():
    return SimpleNamespace(
        times=np.array([0.0, 0.01, 0.02]),
        frequency=np.array([220.0, 221.23456, 300.0], dtype=np.float32),
        f0=np.array([220.0, 221.23456, 0.0], dtype=np.float32),
        confidence=np.array([1.0, 0.87654, 0.25]),
        voiced=np.array([True, True, False]),
        threshold=0.5,
    )


def test_csv_is_exactly_this(track, tmp_path):
    write_csv(track, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (
        b"time,frequency,confidence,voiced\n"
        b"0.000000,220.000,1.0000,1\n"
        b"0.010000,221.235,0.8765,1\n"
        b"0.020000,0.000,0.2500,0\n"
    )


def test_raw_csv_keeps_the_guess(track, tmp_path):
    write_csv(track, tmp_path / "a.csv", raw=True)
    assert (tmp_path / "a.csv").read_text().splitlines()[-1] == "0.020000,300.000,0.2500,0"


def test_npz_gives_back_what_went_in(track, tmp_path):
    write_npz(track, tmp_path / "a.f0.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.f0.npz"]
    with np.load(tmp_path / "a.f0.npz") as arrays:
        assert set(arrays) == {"times", "f0", "frequency", "confidence", "voiced", "threshold"}
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], getattr(track, name))


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_aside(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.csv", "old")]


def test_a_name_as_long_as_the_file_system_allows_can_be_written(track, tmp_path):
    for name in ("x" * 251 + ".csv", "歌" * 80 + ".csv"):
        write_csv(track, tmp_path / name)
        assert (tmp_path / name).exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_ending_of_a_name_chooses_the_kind_of_file(track, tmp_path):
    starts = {"a.csv": b"time,", "a.npz": b"PK", "a.mid": b"MThd", "a.f0.PNG": b"\x89PNG"}
    for name, start in starts.items():
        write_pitch(track, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(UsageError, match="a.txt: no kind of pitch file ends like that"):
        write_pitch(track, tmp_path / "a.txt")
    assert len(list(tmp_path.iterdir())) == 4


def test_files_written_together_all_appear_or_none_with_no_new_folder(tmp_path):
    (tmp_path / "old.csv").write_text("old")
    files = {"csv": tmp_path / "old.csv", "npz": tmp_path / "new" / "deep" / "a.npz"}
    with pytest.raises(KeyboardInterrupt), binary_files(files) as opened:
        opened["csv"].write(b"new")
        opened["npz"].write(b"half")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.csv", "old")]
    with binary_files(files) as opened:
        for kind, file in opened.items():
            file.write(kind.encode())
    assert {kind: path.read_text() for kind, path in files.items()} == {"csv": "csv", "npz": "npz"}


def test_a_full_disk_is_explained_with_the_final_name(track, tmp_path):
    with pytest.raises(AudioError, match=r"a\.csv: the disk is full"), written_aside(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device", "/somewhere/else")
    assert list(tmp_path.iterdir()) == []


def test_several_threads_make_the_same_folders(tmp_path):
    barrier = Barrier(4)

    def write(number):
        for turn in range(200):
            barrier.wait(timeout=10)
            with written_aside(tmp_path / f"turn{turn}" / "tracks" / f"t{number}" / "a.csv") as file:
                file.write(b"a")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(list(tmp_path.rglob("a.csv"))) == 800
