"""``majl filter`` on a folder of pseudo-labels made by hand: files, text, messages and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majl_cli.cli.histogram import histogram_lines
from majl_cli.data.manifest import Stem, Track, read_manifest, write_manifest
from majl_cli.pseudolabel.held_out import Calibration, HeldOut, write_calibration
from majl_cli.report import plots

ECE = {"ece_before": 0.2, "ece_after": 0.1, "ece_cross_validated": 0.11}


@pytest.fixture
def pseudo(tmp_path: Path) -> Path:
    """Two tracks of six frames in 3 s and held-out frames that are right from a confidence of 0.5 on."""
    folder = tmp_path / "pseudo"
    folder.mkdir()
    tracks = []
    for name, kind, values in (
        ("a", "pitch", [0.9, 0.9, 0.8, 0.8, 0.1, 0.1]),
        ("b", "stems", [0.6, 0.6, 0.2, 0.2, 0.2, 0.2]),
    ):
        path = folder / f"{name}.csv"
        rows = [f"{n / 2:.6f},{value:.5f}\n" for n, value in enumerate(values)]
        path.write_text("time,confidence\n" + "".join(rows))
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
                stems={"vocals": Stem(path=folder / f"{name}.flac")},
            )  # fmt: skip
        )
    write_manifest(folder / "manifest.jsonl", tracks)
    confidence = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    part = HeldOut(confidence=confidence, right=confidence >= 0.5, **ECE)
    calibration = Calibration(temperature=0.8, held_out={"pitch": part, "stems": part}, tracks=("x", "y"))
    write_calibration(folder, calibration, {"model": "0", "target": "vocals"})
    return folder


def test_keeps_masks_and_reports(majl: Callable[..., Any], pseudo: Path) -> None:
    done = majl("filter", pseudo)
    assert done.code == 0, done.err
    (kept,) = read_manifest(pseudo / "kept.jsonl")
    assert (kept.id, kept.kept) == ("a", ((0.0, 1.75),))
    report = json.loads((pseudo / "filter.json").read_text())
    assert report["th"] == 0.7 and report["auto"] is False and report["precision_wanted"] is None
    assert report["precision_at_th"] == 1.0
    assert [(g["bucket"], g["given"]["frames"], g["kept"]["frames"]) for g in report["groups"]] == [
        ("mss", 6, 4),
        ("pe", 6, 0),
    ]
    assert report["given"]["tracks"] == 2 and report["kept"]["tracks"] == 1
    assert report["groups"][0]["kept"]["hours"] == pytest.approx(1.75 / 3600)
    assert sum(report["histogram"]["counts"]["mss"]) == 6
    assert len(report["curve"]) == 101
    assert report["curve"][0] == {"th": 0.0, "precision": 0.625, "share_kept": 1.0}
    assert report["curve"][100] == {"th": 1.0, "precision": None, "share_kept": 0.0}
    assert report["temperature"] == 0.8
    assert report["calibration"]["stems"]["ece_before"] == 0.2
    assert report["calibration"]["stems"]["ece_cross_validated"] == 0.11
    assert (pseudo / "filter.png").read_bytes()[1:4] == b"PNG"
    lines = done.out.splitlines()
    assert "songs, mss: kept 1 of 1 tracks, 1 of 1 segments, 0.000 of 0.001 h (64%); mean confidence 0.600" in lines
    assert "th 0.7: precision on held-out tracks 1.000" in lines
    assert lines[-3:] == [str(pseudo / name) for name in ("kept.jsonl", "filter.json", "filter.png")]


def test_auto_takes_the_smallest_threshold_that_is_precise_enough(majl: Callable[..., Any], pseudo: Path) -> None:
    done = majl("filter", pseudo, "--th", "auto", "--precision", "0.8", "--json")
    report = json.loads(done.out)
    # From 0.31 on 5 of 6 are right.
    assert (report["th"], report["auto"], report["precision_wanted"]) == (0.31, True, 0.8)
    assert report["precision_at_th"] == pytest.approx(5 / 6, abs=1e-4)
    assert report["files"]["manifest"] == str(pseudo / "kept.jsonl")
    assert json.loads(majl("filter", pseudo, "--th", "auto", "--json").out)["th"] == 0.41


def test_out_may_be_another_folder_and_the_manifest_still_leads_to_the_files(
    majl: Callable[..., Any], pseudo: Path, tmp_path: Path
) -> None:
    assert majl("filter", pseudo, "--out", tmp_path / "kept", "--no-png", "--quiet").out == ""
    (kept,) = read_manifest(tmp_path / "kept" / "kept.jsonl")
    assert kept.confidence is not None and kept.confidence.exists()
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert [name for name in names if not name.startswith(".")] == ["filter.json", "kept.jsonl"]
    assert not (pseudo / "kept.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "code", "message", "hint"),
    [
        (["--th", "1.5"], 2, "--th 1.5: not a confidence", "use a value from 0 to 1, or auto"),
        (["--th=-0.1"], 2, "--th -0.1: not a confidence", "use a value from 0 to 1, or auto"),
        (["--th", "nan"], 2, "--th nan: not a confidence", "use a value from 0 to 1, or auto"),
        (["--th", "most"], 2, "--th most: not a confidence", "use a value from 0 to 1, or auto"),
        (["--th", "auto", "--precision", "95"], 2, "precision 95.0: not a share", "use a value from 0 to 1"),
        (
            ["--th", "0.95"],
            1,
            "th 0.95 keeps nothing: the highest confidence is 0.900",
            "half of the frames reach 0.40",
        ),
    ],
)
def test_wrong_thresholds_are_explained_and_nothing_is_written(
    majl: Callable[..., Any], pseudo: Path, options: list[str], code: int, message: str, hint: str
) -> None:
    done = majl("filter", pseudo, *options)
    assert done.code == code
    assert done.err.startswith(f"error: {message}\nhint: {hint}")
    assert not list(pseudo.glob("kept*")) and not list(pseudo.glob("filter*"))


def test_a_precision_out_of_reach_tells_the_best(majl: Callable[..., Any], pseudo: Path) -> None:
    confidence = np.array([0.2, 0.9])
    part = HeldOut(confidence=confidence, right=np.array([True, False]), **ECE)
    write_calibration(pseudo, Calibration(temperature=1.0, held_out={"pitch": part, "stems": part}), {})
    done = majl("filter", pseudo, "--th", "auto")
    assert done.code == 1
    assert "no threshold reaches a precision of 0.95: the best is 0.500, at th 0.00" in done.err


def test_everything_kept_is_a_note(majl: Callable[..., Any], pseudo: Path) -> None:
    done = majl("filter", pseudo, "--th", "0.1")
    assert done.code == 0
    assert "everything is kept: no frame is below th 0.1" in done.err
    assert "everything" not in majl("filter", pseudo, "--th", "0.2").err


def test_without_calibration_a_number_will_do_and_auto_will_not(majl: Callable[..., Any], pseudo: Path) -> None:
    (pseudo / "calibration.json").unlink()
    done = majl("filter", pseudo)
    assert done.code == 0
    assert "precision on held-out tracks not known" in done.out
    report = json.loads((pseudo / "filter.json").read_text())
    assert (report["curve"], report["precision_at_th"], report["calibration"]) == ([], None, {})
    done = majl("filter", pseudo, "--th", "auto")
    assert done.code == 1
    assert "no precision is known\nhint: give --th a number" in done.err


def test_a_folder_without_pseudo_labels_is_named(majl: Callable[..., Any], tmp_path: Path) -> None:
    done = majl("filter", tmp_path, "--json")
    assert done.code == 1
    assert "there is no such manifest" in json.loads(done.out)["error"]


def test_without_matplotlib_the_png_is_left_out_unless_asked_for(
    majl: Callable[..., Any], pseudo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    done = majl("filter", pseudo)
    assert done.code == 0
    assert "no filter.png: plots need matplotlib, which is not installed (pip install 'majl[plot]')" in done.err
    assert not (pseudo / "filter.png").exists() and (pseudo / "kept.jsonl").exists()
    done = majl("filter", pseudo, "--png")
    assert done.code == 1
    assert "error: plots need matplotlib" in done.err


def test_the_filter_needs_no_torch(pseudo: Path) -> None:
    code = f"""
    import sys
    from majl_cli.cli.app import main
    try:
        main(["filter", {str(pseudo)!r}, "--no-png"])
    except SystemExit as exit:
        sys.exit(f"torch, {{exit.code}}" if "torch" in sys.modules or exit.code else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_histogram_has_a_bar_a_bin_the_highest_first_and_a_line_at_th() -> None:
    lines = histogram_lines([1, 0, 4, 8], th=0.5, encoding="utf-8", width=8)
    assert lines == ["0.75-1.00 ████████ 8", "0.50-0.75 ████ 4", "  th 0.50 --------", "0.25-0.50 0", "0.00-0.25 █ 1"]
    lines = histogram_lines([1, 0, 4, 8], th=0.6, encoding="ascii", width=4)
    assert lines == ["0.75-1.00 #### 8", "  th 0.60 ----", "0.50-0.75 ## 4", "0.25-0.50 0", "0.00-0.25 # 1"]


def test_eighths_of_a_column_show_small_differences() -> None:
    bars = [line.split()[1] for line in histogram_lines([1000, 500, 62, 1], th=1.0, encoding="utf-8", width=1)]
    assert bars == ["▏", "▏", "▌", "█"]
