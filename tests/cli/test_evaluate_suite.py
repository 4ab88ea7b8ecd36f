"""``majl evaluate --suite dev`` as it is typed, on a small folder of recordings and a tiny model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from recordings_folder import SETS, TONE_HZ, write_recordings
from tiny import PITCH, SEPARATION

from majl_cli.evaluation import run
from majl_cli.evaluation.baselines import baselines
from majl_cli.evaluation.baselines.families import HOP_LENGTH, PitchTracker
from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation

Majl = Callable[..., Any]


class Steady(PitchTracker):
    """Hears the tone of the recordings everywhere."""

    name, description = "steady", "220 Hz"

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(audio) // HOP_LENGTH + 1, TONE_HZ)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    separation = build_separation("unet", SEPARATION["unet"]["16 kHz mono"])
    joint = JointModel(separation, build_pitch("salience-cnn", PITCH["salience-cnn"]["tiny"]))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_checkpoint(folder, joint.eval(), separation="unet", pitch="salience-cnn")
    return folder


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_recordings(tmp_path / "recordings", monkeypatch)


def sets_of(document: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item for item in document["sets"]}


def values(item: dict[str, Any], key: str, statistic: str = "mean") -> dict[str, float | None]:
    (column,) = [c for c in item["table"] if (c["score"], c["statistic"]) == (key, statistic)]
    return column["values"]


def test_the_whole_suite_is_scored_once(
    recordings: Path, tiny: Path, majl: Majl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(baselines, "steady", Steady)
    options = (
        "evaluate",
        "--suite",
        "dev",
        "--recordings",
        recordings,
        "--model",
        tiny,
        "--baseline",
        "steady",
        "--threads",
        "1",
    )
    done = majl(*options)
    assert done.code == 0, done.err
    out = Path("evaluation/dev")
    text = (out / "table.md").read_text(encoding="utf-8")
    document = json.loads((out / "suite.json").read_text(encoding="utf-8"))
    assert done.out.startswith(text) and document["command"] in text
    assert "| steady behind tiny" in text and "BSS Eval v3 (mir_eval bss_eval_sources)" in text
    sets = sets_of(document)
    assert tuple(sets) == SETS
    everything = ["mixture", "irm", "tiny", "steady", "steady behind tiny"]
    assert [row["name"] for row in sets["mir-1k-0-db"]["estimators"]] == everything
    assert [row["name"] for row in sets["full-band"]["estimators"]] == ["mixture", "irm", "tiny"]
    assert [row["name"] for row in sets["mirex05"]["estimators"]] == ["tiny", "steady", "steady behind tiny"]
    assert [row["name"] for row in sets["ssvd"]["estimators"]] == ["tiny", "steady"]
    assert values(sets["mir-1k-0-db"], "vocals/sdr")["mixture"] == pytest.approx(0, abs=1e-4)
    assert values(sets["mir-1k-plus-5-db"], "vocals/sdr")["mixture"] == pytest.approx(5, abs=1e-4)
    assert values(sets["vocadito"], "melody_clean/rpa")["steady"] == 1.0
    assert values(sets["ssvd"], "notes_clean/conp_f1")["steady"] == 1.0
    assert values(sets["instrumental"], "melody/vfa")["steady behind tiny"] == 1.0
    assert values(sets["instrumental"], "vocals/leakage_db")["mixture"] == pytest.approx(0, abs=1e-4)
    assert values(sets["instrumental"], "melody/vfa")["mixture"] is None

    def scored_again(*_: Any, **__: Any) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(run, "score_track", scored_again)
    again = majl(*options, "--json")
    assert again.code == 0, again.err
    assert sets_of(json.loads(again.out)) == sets


def test_figures_are_those_of_the_plain_command(recordings: Path, majl: Majl) -> None:
    suite = json.loads(majl("evaluate", "--suite", "dev", "--recordings", recordings, "--baseline", "mixture",
                            "--json").out)  # fmt: skip
    plain = json.loads(
        majl("evaluate", "--data", f"mir-1k={recordings / 'mir1k'}", "--split", "validation", "--snr-db", "-5",
             "--baseline", "irm", "--json").out
    )  # fmt: skip
    found, scores = sets_of(suite)["mir-1k-minus-5-db"], plain["estimators"][0]["scores"]
    assert values(found, "vocals/sdr")["irm"] == scores["vocals/sdr"]["mean"]
    assert values(found, "accompaniment/v3_nsdr", "weighted")["irm"] == scores["accompaniment/v3_nsdr"]["GNSDR"]


def test_missing_sets_are_said_and_limits_too(recordings: Path, majl: Majl) -> None:
    for folder in ("vocadito", "fullband", "instrumental", "mirex05"):
        shutil.rmtree(recordings / folder)
    for folder, ending in (("Wavfile", "wav"), ("PitchLabel", "pv")):
        place = recordings / "mir1k" / folder
        shutil.copy(place / f"annar_1_01.{ending}", place / f"titon_1_01.{ending}")
    done = majl("evaluate", "--suite", "dev", "--recordings", recordings, "--baseline", "mixture", "--limit", "1",
                "--out", "out")  # fmt: skip
    assert done.code == 0, done.err
    assert "warning: vocadito is not scored: vocadito/vocadito_1.ogg is missing" in done.err
    assert "**: not scored, fullband/software-entwicklungskit_caesium/vocals.ogg is missing." in done.out
    assert "SSVD, the notes of solo voices (sight-singing)**: not scored, no estimator here gives what" in done.out
    assert "RPA" not in done.out
    assert "MIR-1K, validation singers, mixed at 0 dB; 16 kHz** (1 of 2 tracks" in done.out


def test_a_folder_with_none_of_the_sets_is_an_error(recordings: Path, majl: Majl) -> None:
    for folder in recordings.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    done = majl("evaluate", "--suite", "dev", "--recordings", recordings, "--baseline", "mixture")
    assert done.code == 1 and "none of the suite's sets is there" in done.err
    assert not Path("evaluation/dev/table.md").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--suite", "test", "--recordings", "recordings"), 2, "no suite 'test'"),
        (("--suite", "dev"), 2, "--suite dev needs recordings"),
        (("--recordings", "recordings"), 2, "--recordings is for a suite"),
        (("--suite", "dev", "--recordings", "nowhere"), 1, "no index.csv that can be read"),
        (("--suite", "dev", "--recordings", "recordings", "--snr-db", "0"), 2, "--snr-db does not go with --suite"),
        (("--suite", "dev", "--recordings", "recordings", "--baseline", "pesto"), 1, "pesto needs pesto-pitch"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    recordings: Path, majl: Majl, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "pesto", None)
    done = majl("evaluate", *arguments)
    assert done.code == code and message in done.err and "hint:" in done.err
    assert not Path("evaluation").exists()
