"""Finding a checkpoint by name or folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from majl_cli import hub
from majl_cli.errors import CheckpointError
from majl_cli.hub import find
from majl_cli.models.stems import StemNames


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("majl-base", "majl-small"):
        (tmp_path / "weights" / name).mkdir(parents=True)
        (tmp_path / "weights" / name / "config.json").write_text("{}")
    (tmp_path / "weights" / "README").mkdir()
    monkeypatch.setattr(find, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


def test_embedded_models_are_found_by_name(weights: Path) -> None:
    assert hub.embedded_models() == ["majl-base", "majl-small"]
    assert hub.find_checkpoint() == weights / "majl-base"
    assert hub.find_checkpoint("majl-small") == weights / "majl-small"


def test_a_folder_is_itself_and_a_run_folder_its_best(weights: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert hub.find_checkpoint(str(run)) == run
    (run / "best").mkdir()
    (run / "best" / "config.json").write_text("{}")
    assert hub.find_checkpoint(str(run)) == run / "best"


def test_an_unknown_name_gets_the_nearest(weights: Path) -> None:
    with pytest.raises(CheckpointError, match="did you mean majl-base"):
        hub.find_checkpoint("majl-bse")
    with pytest.raises(CheckpointError, match="one of: majl-base, majl-small"):
        hub.find_checkpoint("spleeter")


def test_the_stems_of_a_model_are_known_before_it_is_loaded(tmp_path: Path) -> None:
    assert hub.model_stems() == StemNames(estimated=("vocals",))
    config = {"format_version": 1, "architecture": {"target": "bass"}, "stems": ["bass", "drums"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert hub.model_stems(str(tmp_path)) == StemNames(estimated=("bass", "drums"), target="bass")
    (tmp_path / "config.json").write_text(json.dumps({**config, "stems": []}))
    with pytest.raises(CheckpointError, match="does not name its stems"):
        hub.model_stems(str(tmp_path))
    with pytest.raises(CheckpointError, match="no model"):
        hub.model_stems("nowhere")


def test_the_stems_of_a_model_are_known_without_torch() -> None:
    code = "import sys; from majl_cli.hub import model_stems; model_stems(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
