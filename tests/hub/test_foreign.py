"""Weights of others are read as tensors, and never run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from majl_cli.errors import CheckpointError
from majl_cli.hub.foreign import read_weights

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.steps": torch.tensor(3)}


class Malicious:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_safetensors_come_with_what_they_say_of_themselves(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.safetensors", metadata={"klass": "demucs.HTDemucs"})
    found, metadata = read_weights(tmp_path / "a.safetensors")
    assert same(found) and metadata == {"klass": "demucs.HTDemucs"}


@pytest.mark.parametrize("ending", [".pt", ".pth", ".ckpt", ".th", ".PT"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_files_of_both_formats(tmp_path: Path, ending: str, zipped: bool) -> None:
    path = tmp_path / f"a{ending}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=zipped)
    found, metadata = read_weights(path)
    assert same(found) and metadata == {}


@pytest.mark.parametrize("wrapper", ["state_dict", "state", "model", "best_state"])
def test_one_wrapper_is_taken_off_and_the_rest_of_it_left(tmp_path: Path, wrapper: str) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, "optimizer": optimizer, wrapper: WEIGHTS | {"version": 2}}, tmp_path / "a.ckpt")
    assert same(read_weights(tmp_path / "a.ckpt")[0])


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": torch.tensor(3), "model": WEIGHTS},
        {"state": {0: {"exp_avg": torch.zeros(3)}}, "model": WEIGHTS},
        {"state_dict": {"model": WEIGHTS, "epoch": 3}},
        {"state_dict": {"model": WEIGHTS, "epoch": torch.tensor(3)}},
    ],
)
def test_wrappers_are_found_beside_tensors_and_inside_each_other(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert same(read_weights(tmp_path / "a.pt")[0])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.eye(3).to_sparse(), "'x' is stored as torch.sparse_coo"),
        (torch.empty(3, device="meta"), "without values"),
    ],
)
def test_tensors_that_are_not_plain_values_are_refused(tmp_path: Path, tensor: torch.Tensor, message: str) -> None:
    torch.save({"x": tensor}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / "a.pt")


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(WEIGHTS, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as stored, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as packed:
        for part in stored.infolist():
            packed.writestr(part.filename, stored.read(part), compress_type=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(torch, "load", lambda *_arguments, **_options: pytest.fail("it was opened"))
    with pytest.raises(CheckpointError, match="compressed"):
        read_weights(tmp_path / "bomb.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = (1 << 30).to_bytes(4, "little") * 2
    (tmp_path / "lie.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="more than its own size"):
        read_weights(tmp_path / "lie.pt")


def test_a_tensor_called_as_a_wrapper_is_a_tensor(tmp_path: Path) -> None:
    torch.save({"state": torch.ones(2), "model": torch.ones(1)}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")[0]) == ["state", "model"]


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle", "hidden in a wrapper"])
def test_a_file_that_wants_to_run_code_is_refused_and_runs_none(tmp_path: Path, how: str) -> None:
    trap, path = tmp_path / "trap", tmp_path / "weights.pth"
    content = {"state_dict": WEIGHTS, "args": Malicious(trap)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    elif how == "hidden in a wrapper":
        torch.save({"state_dict": WEIGHTS | {"x": Malicious(trap)}}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(CheckpointError, match="code in it would have to be executed") as refused:
        read_weights(path)
    assert "safetensors" in refused.value.hint
    assert not trap.exists()


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("damage", ["cut", "empty", "words", "absent"])
def test_a_damaged_file_says_so(tmp_path: Path, ending: str, damage: str) -> None:
    path = tmp_path / f"a{ending}"
    save_file({"x": torch.zeros(1000)}, path) if ending == ".safetensors" else torch.save(
        {"x": torch.zeros(1000)}, path
    )
    content = {"cut": path.read_bytes()[:900], "empty": b"", "words": b"version https://git-lfs.github.com\n" * 9}
    path.unlink() if damage == "absent" else path.write_bytes(content[damage])
    with pytest.raises(CheckpointError, match="damaged") as refused:
        read_weights(path)
    assert str(path) in refused.value.message and "NAME" not in refused.value.hint


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"version": 2}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no tensors by name"):
        read_weights(tmp_path / "a.pt")
    torch.save([torch.zeros(3)], tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no tensors by name"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["model.yaml", "model.onnx", "model"])
def test_other_kinds_of_files_are_not_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="not a kind of weights"):
        read_weights(tmp_path / name)
