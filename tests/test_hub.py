"""Finding a checkpoint by name or folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from majl_cli import hub
from majl_cli.errors import CheckpointError
from majl_cli.hub import find


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
