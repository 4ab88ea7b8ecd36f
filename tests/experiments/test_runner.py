"""Experiments: each arm once, with the seed, the steps, the labels it should have; and what an interruption leaves."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch
from songs import write_project
from untrained import ALL, runner_of

from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.manifest import Track, read_manifest, write_manifest
from majl_cli.errors import Cancelled, ConfigError, DataError, TrainingError
from majl_cli.experiments import runner as module
from majl_cli.experiments.plans import BASELINE, DWHS, PLANS, STAGE1, STAGE2, THRESHOLD, Arm, Plan
from majl_cli.experiments.runner import NOTHING_FILE, SCORES_FILE, Runner, held_out
from majl_cli.experiments.summary import summarise
from majl_cli.pseudolabel.generate import Outcome, PseudoLabels

PIPELINE, PIPELINE_MORE = BASELINE.arms[:2]
KEEPS_ALL = dataclasses.replace(STAGE2, th=0.0)


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, list[str]]:
    """The experiment baseline, run at half of four steps, with a filter that keeps all of a bad model's labels."""
    file = write_project(tmp_path_factory.mktemp("experiment") / "project", songs=ALL, steps=4)
    plan = dataclasses.replace(BASELINE, arms=(PIPELINE, PIPELINE_MORE, STAGE1, KEEPS_ALL))
    lines: list[str] = []
    runner_of(file, Runner, lines, budget=0.5, jobs=2).run(plan)
    return file, plan, lines


@pytest.mark.slow
def test_every_arm_is_trained_and_scored_on_the_test_tracks(finished: tuple[Path, Plan, list[str]]) -> None:
    file, plan, lines = finished
    runner = runner_of(file, Runner, budget=0.5)
    for arm in plan.arms:
        folder = runner.arm_folder(arm, 0)
        rows = json.loads((folder / SCORES_FILE).read_text())
        assert [row["id"] for row in rows] == ["test/a", "test/b"]
        assert all({"sdr", "sdr_gain", "rpa", "vfa", "rpa_clean"} <= row.keys() for row in rows)
        config = tomllib.loads((folder / "run" / "config.toml").read_text())
        assert config["loop"]["steps"] == 2
        assert config["model"]["cascade"] == ("independent" if "pipeline" in arm.name else "joint")
        metadata = json.loads((folder / "run" / "best" / "config.json").read_text())
        assert f'"stage": {arm.stage}' in json.dumps(metadata)
        assert sum(line.startswith(f"{arm.name}, seed 0: SDR ") for line in lines) == 1
    assert any(line.startswith("pseudo-labels, seed 0: 2 tracks") for line in lines)
    assert "stage2, seed 0: th 0 keeps 0.00 h" in lines
    assert {track.bucket for track in read_manifest(runner.arm_folder(STAGE2, 0) / "kept.jsonl")} == {"mss", "pe"}


@pytest.mark.slow
def test_the_report_has_tables_scores_configurations_and_plots(
    finished: tuple[Path, Plan, list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; the dev extra brings it")
    file, plan, _ = finished
    written = summarise(runner_of(file, Runner, budget=0.5), plan, tmp_path / "report")
    assert sorted(path.relative_to(tmp_path / "report").as_posix() for path in written) == [
        "arms.png",
        "calibration.png",
        *(f"configs/{name}.toml" for name in ("pipeline-more", "pipeline", "stage1", "stage2")),
        "report.md",
        "scores.csv",
    ]
    assert all(path.stat().st_size for path in written)
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [f"# {plan.title}", "## Scores", "## Differences", "## What the filter kept", "## Calibration"]
    assert "`majl experiment baseline --seeds 1 --budget 0.5`: 2 steps an arm" in text
    for arm in plan.arms:
        assert f"| {arm.label} |" in text
    assert "| Stage II: MAJL | 0 | 0 | " in text
    rows = list(csv.DictReader((tmp_path / "report" / "scores.csv").open(encoding="utf-8")))
    assert {(row["arm"], row["track"]) for row in rows} == {
        (arm.name, track) for arm in plan.arms for track in ("test/a", "test/b")
    }
    config = tomllib.loads((tmp_path / "report" / "configs" / "pipeline-more.toml").read_text())
    assert config["data"]["buckets"] == {"full": 1.0, "mss": 1.0}


@pytest.mark.slow
def test_what_is_finished_is_not_run_again(finished: tuple[Path, Plan, list[str]]) -> None:
    file, plan, _ = finished
    lines: list[str] = []
    runner = runner_of(file, Runner, lines, budget=0.5)
    before = times(runner.folder)
    runner.run(plan)
    assert sorted(lines) == sorted(f"{arm.name}, seed 0: done before" for arm in plan.arms)
    assert times(runner.folder) == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_a_terminal_saves_the_training_at_work(project: Path) -> None:
    """A terminal sends Ctrl-C to the whole group of processes: the training must not be hit twice, and so killed."""
    text = project.read_text().replace("steps = 2", "steps = 100000\nsave_every = 100000")
    project.write_text(text)
    command = [sys.executable, "-m", "majl_cli", "experiment", "baseline", "--project", str(project)]
    process = subprocess.Popen(
        [*command, "--threads", "1", "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    run = project.parent / "runs" / "experiments" / "budget-1" / "stage1" / "seed-0" / "run"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (run / "log.jsonl").exists():
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted; what is finished is kept\nhint: start the same command again to go on\n")
    assert "Traceback" not in errors
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert torch.load(run / "checkpoints" / "last.pt", weights_only=True)["step"] == steps[-1]


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_a_training_that_fails_names_its_log_and_its_last_error(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$REASON"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    log = project.parent / "runs" / "experiments" / "budget-1" / "pipeline" / "seed-0" / "train.log"
    plan = dataclasses.replace(BASELINE, arms=(PIPELINE,))
    for reason, told in (("error: the loss is not finite", "the loss is not finite"), ("killed", "no message")):
        monkeypatch.setenv("REASON", f"{reason}\nhint: listen")
        with pytest.raises(TrainingError) as caught:
            runner_of(project, Runner).run(plan)
        assert caught.value.message == f"pipeline: training ended with code 3: {told}"
        assert caught.value.hint == f"see {log}; started again, the experiment goes on from here"
    assert log.read_text().count("hint: listen") == 2  # of both starts
    assert not (log.parent / SCORES_FILE).exists()


def test_once_stopped_no_training_begins(project: Path) -> None:
    """An arm that was filtering when another one failed must not start hours of work."""
    runner = runner_of(project, Runner)
    runner._stop()
    with pytest.raises(Cancelled):
        runner.run(dataclasses.replace(BASELINE, arms=(PIPELINE,)))
    assert not (runner.arm_folder(PIPELINE, 0) / "run").exists()


def test_experiments_share_their_arms(project: Path) -> None:
    assert all(STAGE2 in plan.arms for plan in PLANS.values())
    runner = runner_of(project)
    runner.run(BASELINE)
    assert runner.trained == ["stage1/0", "labels/0", "pipeline/0", "pipeline-more/0", "stage2/0"]
    runner.trained.clear()
    runner.run(DWHS)
    assert runner.trained == ["labels/0", "stage2-uniform/0", "stage2-fixed/0", "stage2-dwm/0"]
    assert (
        THRESHOLD.label(STAGE2) == "th 0.7" and DWHS.label(STAGE2) == "dwhs" and BASELINE.label(STAGE2) == STAGE2.label
    )


def test_arms_of_the_threshold_differ_in_the_threshold_alone(project: Path) -> None:
    runner = runner_of(project)
    numbers = dataclasses.replace(THRESHOLD, arms=tuple(arm for arm in THRESHOLD.arms if arm.th != "auto"))
    runner.run(numbers)
    assert runner.trained[:2] == ["stage1/0", "labels/0"]
    assert runner.trained[2:] == [f"stage2{name}/0" for name in ("-th-0.5", "-th-0.6", "", "-th-0.8", "-th-0.9")]
    configs = []
    for arm in numbers.arms:
        assert json.loads((runner.arm_folder(arm, 0) / "filter.json").read_text())["th"] == arm.th
        config = runner.config(arm, 0)
        assert config["data"].pop("manifests") == [str(runner.arm_folder(arm, 0) / "kept.jsonl")]
        configs.append(config)
    assert all(config == configs[0] for config in configs)


def test_an_arm_that_keeps_nothing_is_a_result_and_is_not_filtered_again(project: Path) -> None:
    runner = runner_of(project)
    nothing = dataclasses.replace(STAGE2, name="nothing", th=0.95)
    plan = dataclasses.replace(BASELINE, arms=(nothing, STAGE2))
    runner.run(plan)
    assert runner.trained == ["stage1/0", "labels/0", "stage2/0"]
    note = (runner.arm_folder(nothing, 0) / NOTHING_FILE).read_text()
    assert note.startswith("th 0.95 keeps nothing: the highest confidence is 0.9")
    again = runner_of(project)
    again.run(plan)
    assert again.trained == ["labels/0"]


def test_settings_of_now_are_compared_before_anything_is_trained(project: Path) -> None:
    runner_of(project).run(dataclasses.replace(BASELINE, arms=(STAGE1, STAGE2)))
    other = dataclasses.replace(STAGE2, settings={"weighting": {"variant": "uniform"}})
    runner = runner_of(project)
    with pytest.raises(ConfigError, match="was run with other settings in: weighting"):
        runner.run(dataclasses.replace(BASELINE, arms=(PIPELINE, other)))
    assert runner.trained == []


def test_every_seed_has_its_own_runs_and_labels(project: Path) -> None:
    runner = runner_of(project, seeds=2)
    runner.run(dataclasses.replace(BASELINE, arms=(STAGE1, STAGE2)))
    assert runner.trained == [f"{name}/{seed}" for seed in (0, 1) for name in ("stage1", "labels", "stage2")]
    assert [runner.config(STAGE2, seed)["seed"] for seed in (0, 1)] == [0, 1]
    manifests = [runner.config(STAGE2, seed)["data"]["manifests"] for seed in (0, 1)]
    assert manifests == [[str(runner.arm_folder(STAGE2, seed) / "kept.jsonl")] for seed in (0, 1)]
    (track, _) = read_manifest(Path(manifests[1][0]))
    assert track.confidence is not None and runner.pseudolabels(1).resolve() in track.confidence.resolve().parents


def test_a_budget_scales_steps_and_nothing_else(project: Path) -> None:
    text = project.read_text().replace("steps = 2", "steps = 1000\nwarmup_steps = 30\nsave_every = 40\nlog_every = 7")
    project.write_text(text)
    whole, part = (runner_of(project, budget=budget).config(STAGE1, 0) for budget in (1.0, 0.05))
    scaled = {"steps": 50, "warmup_steps": 2, "validate_every": 5, "save_every": 2}
    assert {key: part["loop"][key] for key in scaled} == scaled
    assert {**part["loop"], **{key: whole["loop"][key] for key in scaled}} == whole["loop"]
    assert {key: value for key, value in part.items() if key != "loop"} == {
        k: v for k, v in whole.items() if k != "loop"
    }
    least = runner_of(project, budget=1e-6).config(STAGE1, 0)["loop"]
    assert all(least[key] == 1 for key in scaled)
    assert runner_of(project, budget=0.05).folder.name == "budget-0.05"


def test_the_buckets_of_an_arm_replace_those_of_the_project(project: Path) -> None:
    """The pipeline on fully labelled data must not train on what the project's Stage II trains on."""
    project.write_text(project.read_text() + "[train.data.buckets]\nfull = 2.0\nmss = 1.0\npe = 1.0\n")
    runner = runner_of(project)
    assert runner.config(PIPELINE, 0)["data"]["buckets"] == {"full": 1.0}
    assert runner.config(PIPELINE_MORE, 0)["data"]["buckets"] == {"full": 1.0, "mss": 1.0}
    assert runner.config(STAGE2, 0)["data"]["buckets"] == {"full": 2.0, "mss": 1.0, "pe": 1.0}


@pytest.mark.parametrize(
    "arm", {arm.name: arm for plan in PLANS.values() for arm in plan.arms}.values(), ids=lambda arm: arm.name
)
def test_the_settings_of_every_arm_are_ones_a_stage_knows(project: Path, arm: Arm) -> None:
    from majl_cli.config import build
    from majl_cli.training.stage1 import Stage1Config
    from majl_cli.training.stage2 import Stage2Config

    config = build(Stage1Config if arm.stage == 1 else Stage2Config, runner_of(project).config(arm, 0))
    for table, settings in arm.settings.items():
        for key, value in settings.items():
            assert getattr(getattr(config, table), key) == value


def test_a_track_that_could_not_be_labelled_is_not_forgotten_by_the_next_start(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, asked = ["train/pe"], []

    def label(model: object, tracks: list[Track], out: Path, **_: object) -> PseudoLabels:
        asked.append(len(tracks))
        good = [track for track in tracks if track.id not in broken]
        bad = [Outcome(track=t, error=DataError("no audio", "mend it")) for t in tracks if t.id in broken]
        out.mkdir(parents=True, exist_ok=True)
        write_manifest(out / "manifest.jsonl", good)
        return PseudoLabels(tracks=good, failed=bad)

    monkeypatch.setattr(module, "pseudolabel", label)
    monkeypatch.setattr(module, "calibrate", lambda *_, **__: None)
    monkeypatch.setattr(Runner, "_model", lambda *_: None)
    runner = runner_of(project, Runner)
    for _ in range(2):
        with pytest.raises(TrainingError, match="train/pe: no audio"):
            runner._label(0)
    broken.clear()
    runner._label(0)
    assert asked == [2, 2, 2]
    runner._label(0)
    assert asked == [2, 2, 2]


def test_arms_are_compared_on_test_tracks_or_else_on_validation_tracks(project: Path) -> None:
    tracks = stems_folder(project.parent / "songs")
    assert [track.id for track in held_out(tracks)] == ["test/a", "test/b"]
    untested = [track for track in tracks if track.split != "test"]
    assert [track.id for track in held_out(untested)] == ["validation/full"]
    stems_only = dataclasses.replace(tracks[0], labels="mss", pitch=None)
    assert [track.id for track in held_out([*untested, stems_only])] == ["validation/full"]
    with pytest.raises(DataError) as caught:
        held_out([track for track in tracks if track.split == "train"])
    assert str(caught.value).splitlines() == [
        "no test or validation track with stems and pitch",
        "  add some: the arms are compared on them",
    ]
