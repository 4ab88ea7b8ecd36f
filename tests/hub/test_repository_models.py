"""Models in repositories of a Hub, fetched at a commit and pinned, at work under their names."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from file_server import write_registry
from hub_server import HubServer
from huggingface_hub import constants
from test_losses import tiny_joint

from majl_cli.errors import CheckpointError, HubError
from majl_cli.hub import download, find_checkpoint, find_parts
from majl_cli.hub.assemble import load_joint
from majl_cli.hub.catalogue import find_card, list_cards
from majl_cli.hub.check import check_model, fetched_repositories, models_here
from majl_cli.hub.pins import Pin, read_pins, record_pins
from majl_cli.hub.pull import Pulled, plan_pull, pull
from majl_cli.hub.push import plan_push
from majl_cli.models.checkpoint import save_checkpoint

NAME = "someone/model"


@pytest.fixture(autouse=True)
def home(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAJL_HOME", str(tmp_path / "majl"))
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    return tmp_path / "majl"


def checkpoint(folder: Path, licence: str = "CC0") -> dict[str, bytes]:
    metadata = {"licence": licence, "training": {"corpora": {"MIR-1K/train/full": "3 tracks"}}}
    save_checkpoint(folder, tiny_joint(), separation="unet", pitch="salience-cnn", metadata=metadata)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def files(tmp_path: Path, hub_server: HubServer) -> dict[str, bytes]:
    files = checkpoint(tmp_path / "saved", licence="CC0\x1b[31m\nby us")
    hub_server.add_repo(NAME, files)
    return files


def fetch(name: str = NAME, *, repin: bool = False) -> Pulled:
    return pull(plan_pull(name, repin=repin))


def test_a_repository_is_a_model_from_then_on(
    hub_server: HubServer, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match="the repository of that name is not here"):
        find_parts(NAME)
    commit = hub_server.repos[NAME].branches["main"]
    pinned = fetch().pinned
    assert {pin.commit for pin in pinned.values()} == {commit} and list(read_pins()) == sorted(pinned)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_checkpoint(NAME).name == commit
    joint, info = load_joint(NAME)
    assert info.name == NAME and info.metadata["licence"].startswith("CC0") and joint.target == "vocals"
    assert plan_pull(NAME).files == () and fetched_repositories() == [NAME]


def test_a_repository_has_nothing_imported(
    hub_server: HubServer, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sprung.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads(files["config.json"])
    config["architecture"]["pitch"]["name"] = "sprung:Pitch"
    files["config.json"] = json.dumps(config).encode()
    hub_server.repos[NAME].commit(files)
    fetch()
    error = check_model(NAME).error
    assert error is not None and "names code of its own, 'sprung:Pitch'" in error.message
    for load in (load_joint, lambda name: load_joint(f"{name}+majl-base"), lambda name: plan_push(name, "me/mine")):
        with pytest.raises(CheckpointError, match="loaded from folders of your own only") as refused:
            load(NAME)
        assert "if you trust it" in refused.value.hint
    assert not (tmp_path / "imported").exists()
    own = shutil.copytree(find_checkpoint(NAME), tmp_path / "own")
    with pytest.raises(CheckpointError, match="cannot load the module 'sprung:Pitch'"):
        load_joint(str(own))
    assert (tmp_path / "imported").exists(), "folders of one's own keep working"


def test_a_branch_that_moves_does_not_move_the_model(
    hub_server: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    fetch()
    new = hub_server.repos[NAME].commit(checkpoint(tmp_path / "new", licence="new"))
    assert load_joint(NAME)[1].metadata["licence"].startswith("CC0") and plan_pull(NAME).files == ()
    fetch(repin=True)
    assert find_checkpoint(NAME).name == new and load_joint(NAME)[1].metadata["licence"] == "new"


def test_a_revision_is_a_model_of_its_own(hub_server: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    old = hub_server.repos[NAME].branches["main"]
    hub_server.repos[NAME].commit(checkpoint(tmp_path / "new", licence="new"))
    fetch(f"{NAME}@{old}")
    assert find_checkpoint(f"{NAME}@{old}").name == old
    with pytest.raises(HubError, match="is not here"):
        find_checkpoint(NAME)


def test_a_flipped_byte_is_found_and_mended(hub_server: HubServer, files: dict[str, bytes]) -> None:
    fetch()
    path = find_checkpoint(NAME) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)
    error = check_model(NAME).error
    assert error is not None and "damaged or replaced" in error.message
    assert error.hint == f"majl models pull {NAME} fetches it again"
    fetch()
    assert check_model(NAME).error is None


def test_a_cleared_cache_breaks_neither_list_nor_check(
    hub_server: HubServer, files: dict[str, bytes], home: Path
) -> None:
    fetch()
    record_pins({"https://files.test/config.json": Pin(sha256="0" * 64, bytes=1)})  # of somebody's own entry
    shutil.rmtree(constants.HF_HUB_CACHE)
    card = next(card for card in list_cards() if card.name == NAME)
    assert card.here == "no" and card.files[0].sha256 and "is not here" in card.note
    assert NAME not in models_here()
    error = check_model(NAME).error
    assert error is not None and f"majl models pull {NAME}" in error.hint
    fetch()
    assert NAME in models_here() and check_model(NAME).error is None


@pytest.mark.parametrize("changes", [{"sample_rate": "abc"}, {"stems": 5}])
def test_a_model_with_an_odd_configuration_is_a_problem_of_its_own(
    hub_server: HubServer, files: dict[str, bytes], changes: dict[str, Any]
) -> None:
    fetch()
    path = find_checkpoint(NAME) / "config.json"
    odd = json.dumps(json.loads(files["config.json"]) | changes).encode()
    path.unlink()
    path.write_bytes(odd)
    label = f"{NAME}@main/config.json"
    record_pins({label: replace(read_pins()[label], sha256=hashlib.sha256(odd).hexdigest())})
    error = check_model(NAME).error
    assert error is not None and next(iter(changes)) in error.message
    cards = {card.name: card for card in list_cards()}
    assert cards[NAME].here == "no" and cards["majl-base"].here == "embedded"


def test_stems_cannot_play_tricks_with_a_terminal(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "saved" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"stems": ["vo\x1b[2Jcals"]}), encoding="utf-8")
    assert find_card(str(path.parent)).stems == ("vo [2Jcals",)


def test_an_entry_of_the_registry_comes_from_its_commit(
    hub_server: HubServer, files: dict[str, bytes], home: Path
) -> None:
    weights = files["model.safetensors"]
    commit = hub_server.repos[NAME].branches["main"]
    source = {"repo": NAME, "revision": commit, "file": "model.safetensors", "bytes": len(weights)}
    source["sha256"] = hashlib.sha256(weights).hexdigest()
    fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in source.items())
    table = f'task = "pitch"\ntitle = "t"\narchitecture = "crepe"\nsample_rate = 16000\nsources = [{{ {fields} }}]'
    write_registry(home, short=table)
    hub_server.repos[NAME].commit({"model.safetensors": b"other"})
    assert fetch("short").pinned == {}
    assert find_parts("short").pitch.files[0].read_bytes() == weights
