"""``majl init`` writes a project file, and the other commands find everything in it."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.cli.project_template import project_text, relative_to_file
from majl_cli.config import to_dict
from majl_cli.data.corpora import corpora
from majl_cli.errors import ConfigError
from majl_cli.project import find_project, project_from
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage1 import Stage1Config

Song = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    path = tmp_path / "project"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def stems(tmp_path: Path, song: Song) -> Path:
    """A corpus of two tracks to train on, with pitch, and one to validate on, half a second each."""
    for track in ("train/a", "train/b", "validation/c"):
        song(f"project/songs/{track}/vocals.wav")
        accompaniment = song(f"project/songs/{track}/accompaniment.wav")
        rows = "".join(f"{n / 100},440.0\n" for n in range(51))
        (accompaniment.parent / "pitch.csv").write_text(f"time,frequency\n{rows}")
    return tmp_path / "project" / "songs"


def uncommented(text: str) -> str:
    """The file with every commented-out setting in force."""
    return re.sub(r"^# ([\w.-]+ = )", r"\1", text, flags=re.MULTILINE)


def test_what_is_written_is_found(majl, folder, stems):
    done = majl("init", "--data", "stems=songs", "--preset", "tiny")
    assert done.code == 0, done.err
    assert re.search(r"^songs/train/full +2 tracks, 0.00 h$", done.out, re.MULTILINE)
    assert re.search(r"^bucket full \(stems and pitch\) +3 tracks, 0.00 h; 2 to train on, 1 to valid", done.out, re.M)
    assert re.search(r"^bucket pe \(pitch alone\) +none$", done.out, re.MULTILINE)
    assert done.out.endswith("wrote majl.toml\n")
    assert "note: no training track with stems alone or pitch alone" in done.err
    assert done.err.count("note: ") == 1
    assert 'stems = "songs"' in (folder / "majl.toml").read_text().splitlines()
    project = find_project()
    assert project is not None
    assert (project.folder, project.data.folders) == (folder, (f"stems={stems}",))
    assert project.stage_settings(1)[0] == "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["majl.toml", "songs"]


def test_buckets_that_are_missing_are_told(majl, folder, song):
    song("project/songs/a/vocals.wav")
    song("project/songs/a/accompaniment.wav")
    done = majl("init", "--data", "stems=songs", "--json")
    result = json.loads(done.out)
    assert result["buckets"]["mss"] == {"tracks": 1, "hours": pytest.approx(0.5 / 3600), "train": 1, "validation": 0}
    assert result["buckets"]["full"]["tracks"] == 0
    assert result["data"] == {"songs/train/mss": "1 tracks, 0.00 h"}
    assert [line.partition(":")[0] for line in result["missing"]] == [
        "no training track with stems and pitch (bucket full)",
        "no validation track with stems and pitch (bucket full)",
    ]
    assert all(f"note: {line}" in done.err for line in result["missing"])
    assert result["out"] == "majl.toml"


def test_without_corpora_there_are_examples_of_all(majl, folder):
    done = majl("init")
    assert (done.code, done.out) == (0, "wrote majl.toml\n")
    assert "note: no corpora given: name yours in majl.toml, under [data.folders]" in done.err
    text = (folder / "majl.toml").read_text()
    assert all(f'# {name} = "data/{name}"' in text for name in corpora)
    project = find_project()
    assert project is not None and project.data.folders == ()


def test_paths_are_relative_only_below_the_file(majl, folder, stems, tmp_path):
    shutil.copytree(stems, folder / "sub" / "inner")
    data = ["--data", "stems=songs", "--data", "stems=sub/inner", "--data", "stems=sub/../songs"]
    done = majl("init", *data, "--runs", "sub/there", "--out", "sub")
    assert done.code == 0, done.err
    written = tomllib.loads((folder / "sub" / "majl.toml").read_text())
    assert written["data"]["folders"] == {"stems": [str(stems), "inner"]}
    assert written["runs"] == "there"
    done = majl("init", "--out", "new/folder/p.toml", "--runs", "runs")
    assert done.out == f"wrote {Path('new/folder/p.toml')}\n"
    assert tomllib.loads((folder / "new" / "folder" / "p.toml").read_text())["runs"] == str(folder / "runs")


def test_an_existing_file_is_kept_without_force(majl, folder):
    (folder / "majl.toml").write_text("# mine\n")
    done = majl("init")
    assert done.code == 1
    assert done.err.startswith("error: majl.toml: exists already\nhint: edit it, write over it with --force")
    assert (folder / "majl.toml").read_text() == "# mine\n"
    assert majl("init", "--force", "--quiet").out == ""
    assert "[data.folders]" in (folder / "majl.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--data", "mir-2k=songs"],
            "--data mir-2k=songs: no such corpus\nhint: write CORPUS=FOLDER with one of mir-1k",
        ),
        (["--data", "songs"], "--data songs: no such corpus"),
        (["--data", "mir-1k="], "--data mir-1k=: no such corpus"),
        (["--data", "mir-1k=songs"], "songs: no folder Wavfile"),
        (["--data", "stems=absent"], "absent: there is no such folder"),
        (["--manifest", "absent.jsonl"], "there is no such manifest"),
        (["--preset", "tinny"], "tinny: no such preset\nhint: presets: paper-small, tiny"),
        (["--out", "songs/train/a/vocals.wav/majl.toml"], "is not a folder"),
    ],
)
def test_mistakes_write_nothing(majl, folder, stems, arguments, message):
    done = majl("init", *arguments)
    assert done.code == 1
    assert message in done.err
    assert [path.name for path in folder.iterdir()] == ["songs"]


def test_names_that_no_toml_can_hold_are_refused():
    with pytest.raises(ConfigError, match="the name is not valid UTF-8"):
        relative_to_file("a\udcff", Path("majl.toml"))


@pytest.mark.parametrize("used", [False, True])
def test_every_commented_setting_is_valid_and_the_default(tmp_path, used):
    given = {"stems": ["songs", "more"], "mir-1k": ["MIR-1K"]} if used else {}
    text = project_text(
        runs="runs", folders=given, manifests=["a.jsonl"] if used else [], preset="tiny" if used else None,
        corpora=corpora,
    )  # fmt: skip
    for line in text.splitlines():
        assert len(line) <= 120
        assert line == "" or line[0] in '#[ "]' or re.match(r"[\w-]+ = ", line), line
    plain, full = tomllib.loads(text), tomllib.loads(uncommented(text))
    defaults = project_from({}, tmp_path / "majl.toml")
    project = project_from(full, tmp_path / "majl.toml")
    assert {item.partition("=")[0] for item in project.data.folders} == set(corpora)
    assert project.data.manifests
    for section in ("pseudolabel", "filter", "experiment"):
        assert plain[section] == {}
        assert full[section] == to_dict(getattr(defaults, section))
    assert full["train"].pop("preset") == "tiny"
    stage = to_dict(Stage1Config())
    for section in ("train", "stage1", "stage2"):
        _assert_within(full[section], stage, section)
    assert len(full["train"]["loop"]) > 5
    for number in (1, 2):
        resolve_config(Stage1Config, None, [], project=project, stage=number)


def _assert_within(values: dict, defaults: dict, where: str) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _assert_within(value, defaults[key], f"{where}.{key}")
        else:
            assert value == defaults[key], f"{where}.{key}"


def test_a_stage_needs_nothing_but_the_project_file(majl, folder, stems, monkeypatch, fresh_accelerator):
    rng = np.random.default_rng(0)
    for path in stems.rglob("*.wav"):
        soundfile.write(path, 0.1 * rng.standard_normal(24000), 16000)
    assert majl("init", "--data", "stems=songs", "--preset", "tiny").code == 0
    settings = "\n[train.loop]\nsteps = 2\nvalidate_every = 2\n"
    text = (folder / "majl.toml").read_text().replace("\n[train.loop]\n", settings)
    (folder / "majl.toml").write_text(text.replace('# device = "auto"', 'device = "cpu"'))
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    done = majl("train-stage1")
    assert done.code == 0, done.err
    assert f"project {folder / 'majl.toml'}" in done.err
    assert done.out == f"best weights: {folder / 'runs' / 'stage1' / 'best'}\n"
    assert (folder / "runs" / "stage1" / "best" / "model.safetensors").exists()
    assert tomllib.loads((folder / "runs" / "stage1" / "config.toml").read_text())["loop"]["steps"] == 2


def test_a_stage_without_project_and_run_folder_says_what_to_do(majl, folder):
    done = majl("train-stage1", "--data", "stems=songs")
    assert done.code == 2
    assert "error: no run folder: neither --out nor a majl.toml here or above" in done.err
    assert "hint: give --out FOLDER, or start with majl init" in done.err
    done = majl("train-stage1", "--project", "other.toml")
    assert (done.code, "other.toml: there is no such file" in done.err) == (1, True)
