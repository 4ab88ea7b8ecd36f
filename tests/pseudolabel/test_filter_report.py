"""The filter on a folder: what vouches for kept.jsonl, what is done once, and a precision that is not known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majl_cli.cli.pseudolabel_display import as_json, calibration_lines
from majl_cli.data.manifest import Stem, Track, read_manifest, write_manifest
from majl_cli.errors import DataError
from majl_cli.pseudolabel import filter_report as module
from majl_cli.pseudolabel.filter_report import filter_folder, kept_manifest
from majl_cli.pseudolabel.held_out import Calibration, HeldOut, write_calibration

UNKNOWN = float("nan")
CONFIDENCE = {"a": 0.9, "b": 0.6}


@pytest.fixture
def pseudo(tmp_path: Path) -> Path:
    """Track a, mss, with a confidence of 0.9, and b, pe, with 0.6; not calibrated."""
    tracks = []
    for name, kind in (("a", "pitch"), ("b", "stems")):
        path = tmp_path / f"{name}.csv"
        path.write_text("time,confidence\n" + "".join(f"{n / 2},{CONFIDENCE[name]}\n" for n in range(6)))
        tracks.append(
            Track(
                id=name,
                corpus="songs",
                labels="full",
                pseudo=kind,
                confidence=path,
                sample_rate=8000,
                channels=1,
                duration=2.75,
                stems={"vocals": Stem(path=tmp_path / f"{name}.flac")},
            )
        )
    write_manifest(tmp_path / "manifest.jsonl", tracks)
    return tmp_path


def held_out(*confidence: float) -> HeldOut:
    values = np.array(confidence)
    return HeldOut(
        confidence=values, right=values > 0.5, ece_before=UNKNOWN, ece_after=UNKNOWN, ece_cross_validated=UNKNOWN
    )


def kept(folder: Path) -> list[str]:
    return [track.id for track in read_manifest(folder / "kept.jsonl")]


@pytest.mark.parametrize("killed_in", ["write_manifest", "write_json"])
@pytest.mark.parametrize("before", [0.5, None])
def test_killed_between_the_files_it_filters_again(
    pseudo: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str, before: float | None
) -> None:
    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    if before is not None:
        filter_folder(pseudo, th=before)
    with monkeypatch.context() as patch:
        patch.setattr(module, killed_in, killed)
        with pytest.raises(KeyboardInterrupt):
            filter_folder(pseudo, th=0.7)
    path, filtered = kept_manifest(pseudo, th=0.7)
    assert filtered is not None and filtered.result.th == 0.7
    assert (path, kept(pseudo)) == (pseudo / "kept.jsonl", ["a"])
    assert kept_manifest(pseudo, th=0.7) == (path, None)


@pytest.mark.parametrize("text", ["", "[]", '{"th": 0.7', '{"th": 0.7}', '{"auto": false}', "{}"])
@pytest.mark.parametrize("th", [0.7, None])
def test_a_report_that_is_damaged_or_lacks_a_key_vouches_for_nothing(pseudo: Path, text: str, th: float | None) -> None:
    write_calibration(
        pseudo, Calibration(temperature=1.0, held_out={"pitch": held_out(0.4, 0.8), "stems": held_out(0.8)}), {}
    )
    filter_folder(pseudo, th=th)
    (pseudo / "filter.json").write_text(text)
    assert kept_manifest(pseudo, th=th)[1] is not None
    assert kept_manifest(pseudo, th=th)[1] is None


def test_of_several_that_ask_at_once_one_filters(pseudo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: kept_manifest(pseudo, th=0.7), range(4)))
    assert [path for path, _ in results] == [pseudo / "kept.jsonl"] * 4
    assert sum(filtered is not None for _, filtered in results) == 1


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such manifest"):
        kept_manifest(tmp_path / "nowhere", th=0.7)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("held", [{"pitch": held_out(0.4, 0.9), "stems": held_out()}, {"pitch": held_out(0.9)}, {}])
def test_a_given_threshold_needs_no_held_out_frames(pseudo: Path, monkeypatch: Any, held: dict[str, HeldOut]) -> None:
    calibration = Calibration(temperature=1.0, held_out=held)
    monkeypatch.setattr(module, "read_calibration", lambda folder: calibration)
    (pseudo / "calibration.json").write_text("{}")
    filtered = filter_folder(pseudo, th=0.7)
    assert (filtered.curve, filtered.precision, filtered.target) == (None, None, None)
    assert kept(pseudo) == ["a"]
    report = filtered.as_json()
    assert (report["curve"], report["precision_at_th"]) == ([], None)
    with pytest.raises(DataError, match="no held-out frames for the kind"):
        filter_folder(pseudo, th=None)


def test_a_kind_without_a_labelled_frame_is_told_as_such(pseudo: Path) -> None:
    calibration = Calibration(temperature=1.0, held_out={"pitch": held_out(0.9, 0.4), "stems": held_out()})
    write_calibration(pseudo, calibration, {})
    assert calibration_lines(calibration)[2] == "  stems: no labelled frame"
    told = as_json([], calibration, pseudo / "manifest.jsonl")["calibration"]
    assert told == filter_folder(pseudo, th=0.7).as_json()["calibration"]
    assert (told["stems"]["frames"], told["stems"]["share_right"]) == (0, None)
    assert told["pitch"]["share_right"] == 0.5
