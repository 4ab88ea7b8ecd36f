"""``majl train-stage2`` in a project: it filters by itself, once, and the whole chain up to it needs no flags."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from songs import pseudo_labelled, write_project

from majl_cli.config import read_toml
from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.manifest import read_manifest, write_manifest
from majl_cli.models.checkpoint import load_checkpoint

pytestmark = pytest.mark.usefixtures("fresh_accelerator")
Majl = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project with pseudo-labels, mss at a confidence of 0.9 and pe at 0.6, not filtered."""
    folder = tmp_path / "project"
    write_project(folder)
    pseudo = folder / "runs" / "pseudolabels"
    single = [track for track in stems_folder(folder / "songs") if track.labels in ("mss", "pe")]
    sure = {"mss": 0.9, "pe": 0.6}
    tracks = [pseudo_labelled(track, pseudo / "tracks", confidence=sure[track.labels]) for track in single]
    write_manifest(pseudo / "manifest.jsonl", tracks)
    monkeypatch.chdir(folder)
    return folder


def kept(project: Path) -> list[str]:
    return [track.id for track in read_manifest(project / "runs" / "pseudolabels" / "kept.jsonl")]


def test_it_filters_by_itself_and_once_at_each_threshold(majl: Majl, project: Path) -> None:
    pseudo = project / "runs" / "pseudolabels"
    done = majl("train-stage2", "--th", "0.5")
    assert done.code == 0, done.err
    assert done.out == f"best weights: {project / 'runs' / 'stage2' / 'best'}\n"
    assert f"filtered at th 0.5: kept 0.00 of 0.00 h in {pseudo / 'kept.jsonl'}" in done.err
    assert kept(project) == ["train/mss", "train/pe"]
    assert json.loads((pseudo / "filter.json").read_text())["th"] == 0.5
    _, info = load_checkpoint(project / "runs" / "stage2" / "best")
    assert info.metadata["training"]["stage"] == 2
    written = (pseudo / "kept.jsonl").stat().st_mtime_ns

    again = majl("train-stage2", "--th", "0.5")
    assert again.code == 0, again.err
    assert "filtered" not in again.err
    assert (pseudo / "kept.jsonl").stat().st_mtime_ns == written

    plain = majl("train-stage2", "--out", "other", "--dry-run")  # as filtered before
    assert plain.code == 0 and "filtered" not in plain.err

    other = majl("train-stage2", "--th", "0.7", "--out", "other", "--dry-run")
    assert other.code == 0, other.err
    assert "filtered at th 0.7" in other.err
    assert kept(project) == ["train/mss"]
    assert "songs/train/pe: 1 tracks" in other.out  # with its true label alone
    assert not (project / "other").exists()


def test_new_pseudo_labels_are_filtered_again(majl: Majl, project: Path) -> None:
    assert majl("train-stage2", "--th", "0.5", "--dry-run").code == 0
    manifest = project / "runs" / "pseudolabels" / "manifest.jsonl"
    tracks = read_manifest(manifest)
    write_manifest(manifest, tracks[:1])
    done = majl("train-stage2", "--th", "0.5", "--dry-run")
    assert "filtered at th 0.5" in done.err
    assert kept(project) == ["train/mss"]


def test_the_threshold_of_the_project_counts_where_none_is_given(majl: Majl, project: Path) -> None:
    with (project / "majl.toml").open("a") as file:
        file.write("[filter]\nthreshold = 0.55\n")
    assert "filtered at th 0.55" in majl("train-stage2", "--dry-run").err
    assert "filtered" not in majl("train-stage2", "--dry-run").err
    assert "filtered at th 0.65" in majl("train-stage2", "--dry-run", "--th", "0.65").err


def test_json_is_one_object_on_stdout(majl: Majl, project: Path) -> None:
    done = majl("train-stage2", "--th", "0.5", "--json", "--seed", "3")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["out"], result["steps"]) == (str(project / "runs" / "stage2"), 2)
    assert isinstance(result["best"], float)
    assert read_toml(project / "runs" / "stage2" / "config.toml")["seed"] == 3


@pytest.mark.parametrize("th", ["1.5", "-0.1", "nan", "most"])
def test_a_threshold_that_is_none_is_wrong_usage(majl: Majl, project: Path, th: str) -> None:
    done = majl("train-stage2", f"--th={th}")
    assert done.code == 2
    assert done.err == f"error: --th {th}: not a confidence\nhint: use a value from 0 to 1, or auto\n"
    assert not (project / "runs" / "stage2").exists()
    assert not (project / "runs" / "pseudolabels" / "filter.json").exists()


def test_a_threshold_nothing_reaches_is_told_before_anything_is_trained(majl: Majl, project: Path) -> None:
    done = majl("train-stage2", "--th", "0.95")
    assert done.code == 1
    assert done.err.splitlines()[:2] == [
        "error: th 0.95 keeps nothing: the highest confidence is 0.900",
        "hint: half of the frames reach 0.75: use --th 0.75",
    ]
    assert not (project / "runs" / "stage2").exists()


def test_without_a_project_it_says_what_to_give(majl: Majl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = majl("train-stage2", "--th", "0.5")
    assert done.code == 2
    assert done.err == (
        "error: no pseudo-labels: neither a folder nor a majl.toml here or above\n"
        "hint: name the folder that majl pseudolabel has written, or start with majl init\n"
    )
    done = majl("train-stage2")
    assert (done.code, len(done.err.splitlines())) == (2, 2)
    assert done.err.startswith("error: no run folder: neither --out nor a majl.toml here or above\n")
    done = majl("train-stage2", "--pseudo", "nowhere", "--out", "run")
    assert done.code == 1
    assert "there is no such manifest" in done.err


def test_before_pseudolabel_was_run_a_project_says_so(majl: Majl, project: Path) -> None:
    shutil.rmtree(project / "runs")
    done = majl("train-stage2")
    assert (done.code, len(done.err.splitlines())) == (1, 2)
    assert done.err.startswith(f"error: {project / 'runs' / 'pseudolabels' / 'manifest.jsonl'}: there is no such")


def test_without_a_project_a_folder_of_pseudo_labels_will_do(
    majl: Majl, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--pseudo", "project/runs/pseudolabels", "--data", "stems=project/songs", "--config", "tiny")
    done = majl("train-stage2", *options, "--out", "run", "--device", "cpu", "--set", "loop.steps=1")
    assert done.code == 0, done.err
    assert "filtered at th 0.7" in done.err
    config = read_toml(tmp_path / "run" / "config.toml")
    assert config["data"]["manifests"] == [str(project / "runs" / "pseudolabels" / "kept.jsonl")]


def test_a_run_is_repeated_from_its_config_without_filtering(majl: Majl, project: Path) -> None:
    assert majl("train-stage2", "--th", "0.5", "--quiet").code == 0
    majl("filter", "--th", "0.7", "--no-png")
    done = majl("train-stage2", "--config", "runs/stage2/config.toml", "--out", "again")
    assert done.code == 0, done.err
    assert "filtered" not in done.err
    first, again = (read_toml(path / "config.toml") for path in (project / "runs" / "stage2", project / "again"))
    assert first == again


def test_a_manifest_with_pseudo_labels_takes_the_place_of_the_projects(majl: Majl, project: Path) -> None:
    pseudo = project / "runs" / "pseudolabels"
    assert majl("filter", "--th", "0.5", "--no-png").code == 0
    shutil.move(pseudo / "kept.jsonl", project / "mine.jsonl")
    tracks = [dataclasses.replace(track, id=f"mine/{track.id}") for track in read_manifest(pseudo / "manifest.jsonl")]
    write_manifest(project / "mine.jsonl", tracks)
    (pseudo / "manifest.jsonl").rename(pseudo / "elsewhere.jsonl")
    done = majl("train-stage2", "--manifest", "mine.jsonl", "--dry-run", "--set", "data.folders=[]")
    assert done.code == 0, done.err
    assert "filtered" not in done.err and not (pseudo / "kept.jsonl").exists()
    (pseudo / "elsewhere.jsonl").rename(pseudo / "manifest.jsonl")
    assert "filtered at th 0.7" in majl("train-stage2", "--manifest", "mine.jsonl", "--th", "0.7", "--dry-run").err


def test_a_manifest_of_other_tracks_only_adds_to_the_projects(majl: Majl, project: Path) -> None:
    full = [track for track in stems_folder(project / "songs") if track.labels == "full"]
    write_manifest(project / "more.jsonl", [dataclasses.replace(track, id=f"more/{track.id}") for track in full])
    done = majl("train-stage2", "--manifest", "more.jsonl", "--dry-run")
    assert done.code == 0, done.err
    assert "filtered at th 0.7" in done.err


def test_fine_tuning_takes_stage_1_of_the_project_or_any_folder_whatever_its_name(majl: Majl, project: Path) -> None:
    assert majl("train-stage1", "--quiet").code == 0
    odd = project / """it's "mine" = 1"""
    shutil.copytree(project / "runs" / "stage1", odd)
    for name, folder in (("stage1", project / "runs" / "stage1"), (odd.name, odd)):
        done = majl("train-stage2", "--init", name, "--out", f"tuned-{folder.name}")
        assert done.code == 0, done.err
        assert read_toml(project / f"tuned-{folder.name}" / "config.toml")["init"] == str(folder)
    done = majl("train-stage2", "--init", "nowhere")
    assert (done.code, done.err.splitlines()[0]) == (1, "error: no model 'nowhere'")


@pytest.mark.slow
def test_the_whole_chain_needs_no_flags(majl: Majl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    (folder / "majl.toml").unlink()
    monkeypatch.chdir(folder)
    assert majl("init", "--data", "stems=songs", "--preset", "tiny").code == 0
    text = (folder / "majl.toml").read_text()
    for key, value in (("device", '"cpu"'), ("segment_seconds", "0.5"), ("steps", "3"), ("threshold", "0.001")):
        text = "\n".join(f"{key} = {value}" if line.startswith(f"# {key} = ") else line for line in text.split("\n"))
    (folder / "majl.toml").write_text(text)
    for command in (("train-stage1",), ("pseudolabel",), ("filter", "--th", "0.001"), ("train-stage2",)):
        done = majl(*command)
        assert done.code == 0, f"{command}: {done.err}"
    assert "filtered" not in done.err  # once was enough
    runs = folder / "runs"
    assert sorted(path.name for path in runs.iterdir()) == ["pseudolabels", "stage1", "stage2"]
    assert kept(folder) == ["train/mss", "train/pe"]
    config = read_toml(runs / "stage2" / "config.toml")
    assert (config["loop"]["steps"], config["data"]["segment_seconds"]) == (3, 0.5)
    _, info = load_checkpoint(runs / "stage2" / "best")
    assert info.metadata["training"]["stage"] == 2
    assert info.metadata["training"]["corpora"]["songs/train/full"].startswith("3 tracks")
    assert majl("separate", "songs/train/pe/mixture.wav", "--model", "runs/stage2", "--out", "stems").code == 0


def test_without_a_word_on_it_the_projects_threshold_filters_what_was_not_filtered_yet(
    majl: Majl, project: Path
) -> None:
    done = majl("train-stage2", "--dry-run")
    assert done.code == 0, done.err
    assert "filtered at th 0.7" in done.err
