"""README's code runs, its commands exist, links in the docs lead somewhere, and the recipe is complete."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from majl_cli.cli.app import main
from majl_cli.config import read_toml
from majl_cli.project import read_project
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage1 import Stage1Config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_python_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "examples" / "song.ogg", tmp_path / "song.ogg")
    monkeypatch.chdir(tmp_path)
    code = blocks(ROOT / "README.md", "python")
    assert code
    for block in code:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "stems" / "song" / "vocals.wav").exists()


def test_commands_of_the_docs_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """Each ``majl`` command is parsed up to its last option (--help ends it before it does anything)."""
    commands = [
        line for page in PAGES for text in blocks(page, "sh") for line in text.splitlines() if line.startswith("majl ")
    ]
    assert len(commands) >= 5
    for line in commands:
        with pytest.raises(SystemExit) as stop:
            main([*shlex.split(line, comments=True)[1:], "--help"])
        assert not stop.value.code, line
        assert "Usage" in capsys.readouterr().out


def test_relative_links_lead_to_files() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_api_example_runs() -> None:
    command = [sys.executable, str(ROOT / "examples" / "api.py"), str(ROOT / "examples" / "song.ogg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "vocals: 30.0 s" in done.stdout
    assert "melody: voiced" in done.stdout


def test_recipe_is_a_complete_configuration() -> None:
    recipe = ROOT / "examples" / "recipes" / "v0" / "train.toml"
    config = resolve_config(Stage1Config, str(recipe), [])
    assert config.model.separation == read_toml(recipe)["model"]["separation"]


def test_project_file_of_the_docs_is_understood(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / "training.md", "toml")
    (tmp_path / "majl.toml").write_text(text)
    project = read_project(tmp_path / "majl.toml")
    assert resolve_config(Stage1Config, None, [], project=project).loop.batch_size == 4
    assert resolve_config(Stage1Config, None, [], project=project, stage=2).loop.steps == 5000


@pytest.mark.data
def test_manifest_of_the_recipe_is_made_from_the_recordings(shared_data: Path, tmp_path: Path) -> None:
    script = ROOT / "examples" / "recipes" / "v0" / "make_manifest.py"
    command = [sys.executable, str(script), str(shared_data), str(tmp_path / "m.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "981 tracks" in done.stdout
