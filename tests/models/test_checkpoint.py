"""Checkpoints: exact and half-precision round trips, every kind of damage, atomic writing, no unpickling."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from test_losses import tiny_joint

from majl_cli.errors import CheckpointError
from majl_cli.models import checkpoint as checkpoint_module
from majl_cli.models.checkpoint import load_checkpoint, save_checkpoint, set_voicing_threshold
from majl_cli.models.checkpoint_config import read_stems


def save(folder: Path, *, seed: int = 0, half: bool = False) -> None:
    torch.manual_seed(seed)
    joint = tiny_joint()
    for name, buffer in joint.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(1e-7)  # float16 would lose it
    save_checkpoint(folder, joint, separation="unet", pitch="salience-cnn", metadata={"licence": "CC0"}, half=half)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "model")
    return tmp_path / "model"


def test_round_trip_is_exact_and_keeps_the_metadata(folder: Path) -> None:
    joint, info = load_checkpoint(folder)
    stored = load_file(folder / "model.safetensors")
    assert all(torch.equal(tensor, stored[name]) for name, tensor in joint.state_dict().items())
    assert info.name == "model" and info.metadata == {"licence": "CC0"}
    assert not joint.training


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes of this kind")
def test_whoever_may_read_the_config_may_read_the_weights(folder: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1


def test_half_precision_takes_half_the_space_and_keeps_the_statistics(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "half", half=True)
    small, large = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "model"))
    assert small < 0.6 * large
    exact, rounded = (load_checkpoint(tmp_path / name)[0].state_dict() for name in ("model", "half"))
    for name, tensor in rounded.items():
        assert tensor.dtype == exact[name].dtype
        assert torch.allclose(tensor.float(), exact[name].float(), rtol=1e-3, atol=1e-6), name
        if name.endswith("running_var"):
            assert torch.equal(tensor, exact[name])


def test_saving_again_replaces_the_old_one_whole(folder: Path) -> None:
    (folder / "notes.txt").write_text("of the old one")
    save(folder, seed=1)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("step", ["save_file", "_flush", "rename"])
def test_a_failed_write_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = (folder / "model.safetensors").read_bytes()
    rename = Path.rename

    def full(*_: object) -> None:
        if step == "save_file":  # safetensors has an exception of its own for what the system refuses
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        raise OSError(28, "No space left on device")

    def rename_once(path: Path, target: Path) -> Path:
        if ".tmp-majl-" in path.name:
            full()
        return rename(path, target)

    if step == "rename":
        monkeypatch.setattr(Path, "rename", rename_once)
    else:
        monkeypatch.setattr(checkpoint_module, step, full)
    with pytest.raises(CheckpointError, match="cannot be written: .*No space left"):
        save(folder, seed=1)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json, so not a majl model"):
        load_checkpoint(tmp_path)


def test_missing_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_truncated_weights(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged or not safetensors"):
        load_checkpoint(folder)


def test_a_pickle_under_the_name_of_the_weights_is_refused_unread(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="damaged or not safetensors"):
        load_checkpoint(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 99, "architecture": {}}'])
def test_an_unusable_config(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "change",
    [lambda a: a.pop("pitch"), lambda a: a.update(separation={"name": "unett"}), lambda a: a.update(target="drums")],
)
def test_a_damaged_architecture(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    config = json.loads((folder / "config.json").read_text())
    change(config["architecture"])
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_a_class_that_is_no_module_is_never_called(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["separation"] = {"name": "os:mkdir", "options": {"path": str(tmp_path / "sprung")}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not a separation module"):
        load_checkpoint(folder)
    options = {"args": ["touch", str(tmp_path / "sprung")]}
    config["architecture"]["separation"] = {"name": "subprocess:Popen", "options": options}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not a separation module"):
        load_checkpoint(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("raised", ["RuntimeError('no licence')", "SystemExit(3)"])
def test_a_module_that_fails_on_import_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str
) -> None:
    (tmp_path / "failing_module.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["separation"]["name"] = "failing_module:Separator"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"cannot load the module 'failing_module:Separator': \w+\("):
        load_checkpoint(folder)


def test_stems_that_lead_elsewhere_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["stems"] = config["architecture"]["separation"]["options"]["stems"] = ["vocals", "../../evil/drums"]
    (folder / "config.json").write_text(json.dumps(config))
    for read in (load_checkpoint, read_stems):
        with pytest.raises(CheckpointError, match="'../../evil/drums' cannot be the name of a stem"):
            read(folder)


def test_weights_of_another_architecture(folder: Path) -> None:
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = next(iter(tensors))
    for wrong in ({**tensors, "extra": torch.zeros(1)}, {**tensors, name: torch.zeros(1, 2, 3)}):
        save_file(wrong, weights)
        with pytest.raises(CheckpointError, match="weights and architecture do not agree"):
            load_checkpoint(folder)


def test_a_voicing_threshold_is_set_and_nothing_else(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    before = json.loads((folder / "config.json").read_text())
    set_voicing_threshold(folder, 0.27, calibration={"split": "validation"})
    joint, info = load_checkpoint(folder)
    assert joint.pitch.voicing_threshold == 0.27
    assert info.metadata == {"licence": "CC0", "calibration": {"split": "validation"}}
    assert (folder / "model.safetensors").read_bytes() == weights
    after = json.loads((folder / "config.json").read_text())
    before["architecture"]["pitch"]["options"]["voicing_threshold"] = 0.27
    assert after == before | {"metadata": info.metadata}


def test_a_pitch_module_without_a_voicing_threshold_is_left_as_it_is(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["architecture"]["pitch"] = {"name": "whole_modules:RecurrentPitch", "options": {}}
    path.write_text(json.dumps(config))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="pitch module whole_modules:RecurrentPitch has no option voicing_thresh"):
        set_voicing_threshold(folder, 0.3, calibration={})
    assert path.read_bytes() == before


def test_a_threshold_that_cannot_be_written_leaves_the_config_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = (folder / "config.json").read_bytes()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CheckpointError, match="config.json: cannot be written: No space left on device"):
        set_voicing_threshold(folder, 0.3, calibration={})
    assert (folder / "config.json").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
