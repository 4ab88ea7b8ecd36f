"""The project file: what it says, where it is found, and the order of the layers above and below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from majl_cli.config import write_toml
from majl_cli.errors import ConfigError, UsageError
from majl_cli.project import FilterSettings, Project, find_project, read_project, stage_run
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage1 import Stage1Config
from majl_cli.training.stage2 import Stage2Config

SETTINGS = """
runs = "out"

[data]
manifests = ["more.jsonl"]

[data.folders]
mir-1k = "MIR-1K"
stems = ["songs", "/elsewhere/songs"]

[train]
preset = "tiny"
seed = 3

[train.loop]
steps = 50
batch_size = 3

[stage1.loop]
steps = 60

[stage2.loop]
steps = 70

[filter]
threshold = "auto"
"""


def write(folder: Path, text: str) -> Project:
    (folder / "majl.toml").write_text(text, encoding="utf-8")
    return read_project(folder / "majl.toml")


def resolve(project: Project, name: str | None = None, *assignments: str, **options: Any) -> Stage1Config:
    return resolve_config(Stage1Config, name, assignments, project=project, **options)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(tmp_path, SETTINGS)
    project = read_project(Path("..") / "majl.toml")
    assert (project.folder, project.file) == (tmp_path, tmp_path / "majl.toml")
    assert project.data.manifests == (tmp_path / "more.jsonl",)
    assert project.data.folders == (
        f"mir-1k={tmp_path / 'MIR-1K'}",
        f"stems={tmp_path / 'songs'}",
        "stems=/elsewhere/songs",
    )
    assert project.runs == tmp_path / "out"
    assert project.stage1_run == tmp_path / "out" / "stage1"
    assert project.stage2_run == tmp_path / "out" / "stage2"
    assert project.pseudolabels == tmp_path / "out" / "pseudolabels"
    assert project.experiments == tmp_path / "out" / "experiments"


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    assert project.runs == tmp_path / "runs"
    assert (project.filter.threshold, project.filter.precision) == (0.7, 0.95)
    assert (project.pseudolabel.jobs, project.pseudolabel.npz) == (1, False)
    assert (project.experiment.seeds, project.experiment.budget) == (1, 1.0)
    assert resolve(project) == Stage1Config()


def test_home_is_understood_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    assert write(tmp_path, '[data.folders]\nstems = "~/songs"').data.folders == (f"stems={tmp_path / 'me' / 'songs'}",)


def test_the_nearest_file_above_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, 'runs = "upper"')
    monkeypatch.chdir(deep)
    found = find_project()
    assert found is not None and found.runs == tmp_path / "upper"
    write(tmp_path / "a", 'runs = "lower"')
    found = find_project()
    assert found is not None and found.runs == tmp_path / "a" / "lower"
    (tmp_path / "other.toml").write_text('runs = "third"')
    for given, runs in ((tmp_path / "other.toml", "third"), (tmp_path, "upper")):
        found = find_project(given)
        assert found is not None and found.runs == tmp_path / runs


def test_no_file_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if any((folder / "majl.toml").exists() for folder in tmp_path.parents):
        pytest.skip("a project file lies above the temporary folder")
    assert find_project() is None
    for missing in (tmp_path, tmp_path / "x.toml"):
        with pytest.raises(ConfigError, match="there is no such file"):
            find_project(missing)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("run = 'x'", "majl.toml: unknown key 'run'", "did you mean runs?"),
        ("[data]\nmanifest = []", "unknown key 'data.manifest'", "did you mean manifests?"),
        ("[filter]\nth = 0.5", "unknown key 'filter.th'", "known keys: threshold, precision"),
        ("[filter]\nthreshold = 'otto'", "filter.threshold 'otto'", '"auto"'),
        ("[filter]\nthreshold = 70", "filter.threshold 70", "from 0 to 1"),
        ("[pseudolabel]\njobs = 0", "pseudolabel.jobs 0 is too small", "use 1"),
        ("[experiment]\nseeds = 0", "experiment.seeds 0 is too small", "use 1"),
        ("[experiment]\nbudget = 0", "experiment.budget 0", "above 0"),
        ("[data.folders]\nmir-1k = 3", "wrong value", "documentation"),
        ("[train]\npreset = 3", "train.preset 3 is no name", "preset"),
        ("train = 3", "wrong value", "documentation"),
        ("runs = ", "not readable as TOML", "mend"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        write(tmp_path, text)
    assert message in error.value.message and "majl.toml" in error.value.message and hint in error.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[train.loop]\nstepz = 1", "majl.toml: unknown key 'train.loop.stepz'", "did you mean steps?"),
        ("[stage1]\nsede = 1", "majl.toml: unknown key 'stage1.sede'", "did you mean seed?"),
        ("[train]\npreset = 'tinny'", "tinny: no such file or preset", "presets: paper-small, tiny"),
        ("[train]\nloop = 3", "wrong value", "documentation"),
        ("[train]\ndata = 3", "wrong value", "documentation"),
        ("[train.data]\nfolders = 'stems=songs'", "wrong value", "documentation"),
    ],
)
def test_mistakes_in_the_stages_settings_are_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    project = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        resolve(project, manifests=[Path("a.jsonl")], folders=["stems=x"])
    assert message in error.value.message and hint in error.value.hint


def test_thresholds_may_be_whole_numbers(tmp_path: Path) -> None:
    assert write(tmp_path, "[filter]\nthreshold = 1").filter == FilterSettings(threshold=1)


def test_each_layer_goes_on_top_of_the_one_below(tmp_path: Path) -> None:
    project = write(tmp_path, SETTINGS)
    config = resolve(project)
    assert config.loop.warmup_steps == 5  # the preset's
    assert config.seed == 3  # [train]
    assert (config.loop.batch_size, config.loop.steps) == (3, 60)  # [train] over the preset, [stage1] over [train]
    assert resolve(project, stage=2).loop.steps == 70
    (tmp_path / "more.toml").write_text("[loop]\nbatch_size = 4\n")
    config = resolve(project, str(tmp_path / "more.toml"))
    assert (config.loop.batch_size, config.loop.steps) == (4, 60)
    assert config.loop.warmup_steps == Stage1Config().loop.warmup_steps  # with --config, not the project's preset
    config = resolve(project, str(tmp_path / "more.toml"), "loop.batch_size=5")
    assert config.loop.batch_size == 5


def test_a_stage_may_have_a_preset_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[loop]\nwarmup_steps = 7\n")
    project = write(tmp_path, '[train]\npreset = "tiny"\n[stage2]\npreset = "mine.toml"')
    assert project.stage_settings(1) == ("tiny", {"data": {}})
    assert project.stage_settings(2) == (str(tmp_path / "mine.toml"), {"data": {}})
    assert resolve(project, stage=2).loop.warmup_steps == 7


def test_data_of_the_command_line_is_added_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write(tmp_path, SETTINGS)
    monkeypatch.chdir(tmp_path)
    data = resolve(project, manifests=[Path("x.jsonl")], folders=["mir-1k=MIR-1K", "stems=new"]).data
    assert data.manifests == (str(tmp_path / "more.jsonl"), str(tmp_path / "x.jsonl"))
    assert data.folders == (*project.data.folders, f"stems={tmp_path / 'new'}")


def test_a_stage_or_config_file_with_data_replaces_the_projects(tmp_path: Path) -> None:
    project = write(tmp_path, SETTINGS + "\n[stage2.data.folders]\nstems = 'only'\n")
    assert resolve(project).data.folders == project.data.folders
    assert resolve(project, stage=2).data.folders == (f"stems={tmp_path / 'only'}",)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "data.toml").write_text("[data.folders]\nstems = ['a', 'b']\n")
    data = resolve(project, str(tmp_path / "c" / "data.toml")).data
    assert data.folders == (f"stems={tmp_path / 'c' / 'a'}", f"stems={tmp_path / 'c' / 'b'}")
    assert data.manifests == (str(tmp_path / "more.jsonl"),)


def test_the_configuration_of_a_run_repeats_it_in_any_project(tmp_path: Path) -> None:
    options = "\n[train.model.pitch_options]\nwidth = 4\n[train.data.weights]\nMIR-1K = 2.0\n"
    project = write(tmp_path, SETTINGS + options)
    before = resolve_config(Stage1Config, None, ["loop.steps=9"], folders=["stems=other"], manifests=[Path("m.jsonl")])
    write_toml(tmp_path / "config.toml", before)
    assert resolve(project, str(tmp_path / "config.toml")) == before


def test_options_of_a_module_go_when_another_is_named(tmp_path: Path) -> None:
    project = write(tmp_path, "[train]\npreset = 'tiny'\n[train.model]\npitch = 'crepe'\nseparation = 'unet'\n")
    model = resolve(project).model
    assert (model.pitch, model.pitch_options) == ("crepe", {})
    assert model.separation_options["sample_rate"] == 16000
    project = write(tmp_path, "[train]\npreset = 'tiny'\n[train.model.separation_options]\nwidths = [4, 6]\n")
    options = resolve(project).model.separation_options
    assert (options["widths"], options["sample_rate"]) == ([4, 6], 16000)
    assert resolve(project, None, "model.separation=other").model.separation_options == {}


def test_options_of_the_default_module_go_when_another_is_named(tmp_path: Path) -> None:
    project = write(tmp_path, "[train.model.pitch_options]\nwidth = 4\n")
    assert resolve(project).model.pitch_options == {"width": 4}
    assert resolve(project, None, "model.pitch=salience-cnn").model.pitch_options == {"width": 4}
    assert resolve(project, None, "model.pitch=crepe", "model.pitch_options.size=tiny").model.pitch_options == {
        "size": "tiny"
    }


@pytest.mark.parametrize(
    ("init", "meant"),
    [
        ("stage1", "{}/runs/stage1"),
        ("old/run", "{}/old/run"),
        ("beside", "{}/beside"),
        ("./beside", "{}/beside"),
        ("majl-base", "majl-base"),
        ("/elsewhere/run", "/elsewhere/run"),
        ("", ""),
    ],
)
def test_init_of_stage_2_is_a_run_seen_from_the_file_or_a_name(tmp_path: Path, init: str, meant: str) -> None:
    (tmp_path / "beside").mkdir()
    project = write(tmp_path, f'[stage2]\ninit = "{init}"')
    assert resolve_config(Stage2Config, None, [], project=project, stage=2).init == meant.format(tmp_path)


def test_run_folder_is_the_one_given_or_the_projects(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    assert stage_run(Path("x"), project, 1) == Path("x")
    assert stage_run(None, project, 1) == tmp_path / "runs" / "stage1"
    assert stage_run(None, project, 2) == tmp_path / "runs" / "stage2"
    with pytest.raises(UsageError, match="no run folder") as error:
        stage_run(None, None, 1)
    assert "majl init" in error.value.hint
