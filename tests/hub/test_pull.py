"""Fetching from a hub, with all that can go wrong on the way."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub_repos import Repo, sha256
from hub_server import HubServer
from huggingface_hub import constants, snapshot_download
from test_losses import tiny_joint

import majl_cli
from majl_cli.errors import CheckpointError, HubError, UsageError
from majl_cli.hub import download, find_checkpoint
from majl_cli.hub.pins import pins_file
from majl_cli.hub.pull import plan_pull, pull
from majl_cli.hub.push import plan_push, push_checkpoint
from majl_cli.models.checkpoint import save_checkpoint

Majl = Callable[..., subprocess.CompletedProcess[str]]
NAME = "someone/singer"
MEGABYTE = 1 << 20
WEIGHTS = random.Random(0).randbytes(2 * MEGABYTE + MEGABYTE // 2)
OTHER_WEIGHTS = random.Random(1).randbytes(len(WEIGHTS))


def config(licence: str = "CC BY-NC 4.0", **changes: Any) -> bytes:
    """A checkpoint's config.json: nothing here loads its weights."""
    architecture = {"separation": {"name": "unet"}, "pitch": {"name": "crepe"}}
    metadata = {"licence": licence, "training": {"corpora": {"MIR-1K/train/full": "3 tracks, 0.01 h"}}}
    whole = {"format_version": 1, "architecture": architecture, "sample_rate": 44100, "stems": ["vocals"]}
    return json.dumps({**whole, "metadata": metadata, **changes}).encode()


FILES = {"config.json": config(), "model.safetensors": WEIGHTS, "README.md": b"words"}


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    hub_server.add_repo(NAME, FILES)
    hub_server.tokens |= {"secret": "someone", "other": "stranger"}
    return hub_server


@pytest.fixture
def repo(hub: HubServer) -> Repo:
    return hub.repos[NAME]


def fetch(name: str = NAME, *, repin: bool = False) -> Path:
    """Plan and pull; the checkpoint's folder, whose files are those that were fetched."""
    pulled = pull(plan_pull(name, repin=repin))
    folder = find_checkpoint(name)
    assert {path.name for path in pulled.files} == {"config.json", "model.safetensors"}
    assert all(path.parent == folder for path in pulled.files)
    return folder


def is_whole(folder: Path, weights: bytes = WEIGHTS) -> bool:
    return (folder / "model.safetensors").read_bytes() == weights


def left_over() -> list[Path]:
    """Half-fetched files in the Hub's cache."""
    return list(Path(constants.HF_HUB_CACHE).rglob("*half*"))


def first_byte(range: str | None) -> int:
    assert range is not None
    return int(range.removeprefix("bytes=").rstrip("-"))


def test_the_command_shows_the_terms_first(hub: HubServer, majl_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unasked = majl_here("models", "pull", NAME)
    assert unasked.code == 2 and "--yes" in unasked.err
    assert "licence: CC BY-NC 4.0" in unasked.err and "trained on: MIR-1K/train/full" in unasked.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_arguments, **_options: False)
    declined = majl_here("models", "pull", NAME)
    assert declined.code == 1 and "nothing fetched" in declined.err
    assert hub.of("GET", "model.safetensors") == []


def test_the_command_fetches_and_offline_there_is_what_it_fetched(hub: HubServer, repo: Repo, majl: Majl) -> None:
    missing = majl("models", "pull", NAME, "--yes", offline=True)
    assert missing.returncode == 1 and "HF_HUB_OFFLINE is set" in missing.stderr
    assert hub.requests == []
    done = majl("models", "pull", NAME, "--yes", "--json", token="secret")
    assert done.returncode == 0, done.stderr
    (model,) = json.loads(done.stdout)["models"]
    weights = next(Path(path) for path in model["files"] if path.endswith("model.safetensors"))
    assert weights.read_bytes() == WEIGHTS and weights.parent.name == repo.branches["main"]
    pin = model["pinned"][f"{NAME}@main/model.safetensors"]
    assert (pin["sha256"], pin["commit"]) == (sha256(WEIGHTS), repo.branches["main"])
    assert [request.token for request in hub.of("GET", "model.safetensors") if request.origin == "cdn"] == [None]
    hub.requests.clear()
    again = majl("models", "pull", NAME, offline=True)
    assert again.returncode == 0, again.stderr
    assert "is here already" in again.stdout and hub.requests == []


def test_nobody_there_is_told_at_once(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    with pytest.raises(HubError, match=r"no answer from http://127\.0\.0\.1:9") as failure:
        plan_pull(NAME)
    assert "network" in failure.value.hint


def test_nothing_is_fetched_unasked(hub: HubServer) -> None:
    with pytest.raises(HubError, match="is not here") as missing:
        find_checkpoint(NAME)
    assert f"majl models pull {NAME}" in missing.value.hint
    assert hub.requests == []


def test_what_breaks_off_is_gone_on_with_at_once(hub: HubServer) -> None:
    hub.fault("cut", "model.safetensors", size=MEGABYTE + 5000)
    assert is_whole(fetch())
    ranges = [request.range for request in hub.of("GET", "model.safetensors") if request.origin == "cdn"]
    assert ranges[0] is None and len(ranges) == 2
    assert 0 < first_byte(ranges[1]) <= MEGABYTE + 5000


def test_what_broke_off_for_good_is_gone_on_with_by_the_next_command(hub: HubServer, majl_here: Any) -> None:
    hub.fault("cut", "model.safetensors", size=MEGABYTE + 5000)
    hub.fault("cut", "model.safetensors", size=0, times=3)
    broken = majl_here("models", "pull", NAME, "--yes")
    assert broken.code == 1 and f"of {len(WEIGHTS)} bytes" in broken.err and "goes on where it stopped" in broken.err
    with pytest.raises(HubError):
        find_checkpoint(NAME)
    (half,) = left_over()
    there = half.stat().st_size
    assert there >= MEGABYTE and half.read_bytes() == WEIGHTS[:there]
    hub.requests.clear()
    assert majl_here("models", "pull", NAME, "--yes").code == 0
    assert is_whole(find_checkpoint(NAME)) and left_over() == []
    (resumed,) = [request for request in hub.of("GET", "model.safetensors") if request.origin == "cdn"]
    assert first_byte(resumed.range) == there


def test_a_server_that_stalls_is_asked_again(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_pull(NAME)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    hub.fault("delay", "model.safetensors", seconds=1.5)
    assert len(pull(plan).files) == 2
    assert is_whole(find_checkpoint(NAME))


@pytest.mark.parametrize(
    ("file", "message"), [("model.safetensors", "its SHA-256 is"), ("config.json", "not what the server names it")]
)
def test_a_wrong_digest_leaves_nothing(hub: HubServer, file: str, message: str) -> None:
    hub.fault("corrupt", file)
    with pytest.raises(HubError, match=f"{file}: .*{message}"):
        fetch()
    assert left_over() == []
    with pytest.raises(HubError):
        find_checkpoint(NAME)
    assert is_whole(fetch()), "the next try brings the right bytes"


def test_other_bytes_under_a_pinned_commit_are_refused(hub: HubServer, repo: Repo) -> None:
    folder = fetch()
    for path in folder.iterdir():
        path.resolve().unlink()
        path.unlink()
    repo.commits[repo.branches["main"]].files["model.safetensors"] = OTHER_WEIGHTS
    with pytest.raises(HubError, match="when it was pinned") as refused:
        fetch()
    assert "--repin" in refused.value.hint
    repo.commits[repo.branches["main"]].files["model.safetensors"] = OTHER_WEIGHTS[:-1]
    with pytest.raises(HubError, match="the file was replaced"):
        fetch()


def test_a_moved_branch_is_followed_only_when_told(hub: HubServer, repo: Repo) -> None:
    first = repo.branches["main"]
    assert fetch().name == first
    second = repo.commit({"model.safetensors": OTHER_WEIGHTS})
    assert fetch().name == first
    assert is_whole(fetch(f"{NAME}@{second}"), OTHER_WEIGHTS)
    folder = fetch(repin=True)
    assert folder.name == second and is_whole(folder, OTHER_WEIGHTS)
    assert find_checkpoint(NAME).name == second


@pytest.mark.parametrize("pinned", [True, False])
def test_a_damaged_file_in_the_place_of_a_link_is_replaced(hub: HubServer, pinned: bool) -> None:
    weights = fetch() / "model.safetensors"
    weights.unlink()
    weights.write_bytes(OTHER_WEIGHTS)
    if not pinned:
        pins_file().unlink()
    assert is_whole(fetch()) and is_whole(weights.parent)


def test_what_was_verified_is_what_is_linked(hub: HubServer) -> None:
    plan = plan_pull(NAME)
    hub.requests.clear()
    pulled = pull(plan)
    assert hub.of("HEAD") == [], "another answer would be for other bytes"
    assert all(path.is_symlink() and "blobs" in path.resolve().parts for path in pulled.files)
    snapshot_download(NAME)
    assert len([request for request in hub.of("GET", "model.safetensors") if request.origin == "cdn"]) == 1


def test_without_links_there_are_copies(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = fetch()
    assert is_whole(folder) and not (folder / "model.safetensors").is_symlink()


@pytest.mark.parametrize(
    "said", [{"etag": "../../../../pwned.txt"}, {"etag": "abc"}, {"commit_hash": "main"}, {"commit_hash": "../.."}]
)
def test_what_a_server_says_is_no_path(hub: HubServer, said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = huggingface_hub.get_hf_file_metadata
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: replace(honest(url), **said))
    with pytest.raises(HubError, match="does not answer as a Hub does"):
        plan_pull(NAME)


@pytest.mark.parametrize("name", ["me/a--b", "me/-x", f"me/{'x' * 120}"])
def test_a_name_that_no_repository_can_have_is_said(hub: HubServer, name: str) -> None:
    with pytest.raises(HubError, match="not the name of a repository"):
        plan_pull(name)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_two_pulls_at_once_wait_for_each_other(
    hub: HubServer, elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on, notes = threading.Event(), threading.Event(), []

    def slowly(*_: Any) -> None:
        started.set()
        assert go_on.wait(10)

    def note(text: str) -> None:
        notes.append(text)
        go_on.set()

    plan = plan_pull(NAME)
    first = threading.Thread(target=pull, args=(plan, slowly))
    first.start()
    assert started.wait(10)
    if elsewhere:  # the cache is one, whoever fetches
        monkeypatch.setenv("MAJL_HOME", str(tmp_path / "elsewhere"))
    pulled = pull(plan, note=note)
    first.join()
    assert notes and all(text.startswith("waiting for another process that fetches") for text in notes)
    assert pulled.files[1].read_bytes() == WEIGHTS
    assert len([request for request in hub.of("GET", "model.safetensors") if request.origin == "cdn"]) == 1


def test_any_revision_can_be_named(hub: HubServer, repo: Repo) -> None:
    first = repo.branches["main"]
    repo.commit({"model.safetensors": OTHER_WEIGHTS}, branch="v2/late")
    assert is_whole(fetch(f"{NAME}@v2/late"), OTHER_WEIGHTS)
    assert is_whole(fetch(f"{NAME}@{first}"))
    del repo.commits[first]
    with pytest.raises(HubError, match=f"has no revision {first!r}|has no revision 'main'"):
        plan_pull(NAME)
    assert find_checkpoint(f"{NAME}@{first}").name == first, "what is here needs no hub"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/absent", "no repository someone/absent"),
        (f"{NAME}@absent", "has no revision 'absent'"),
        ("someone/empty", "has no file 'config.json'"),
        ("someone/half", "has no file 'model.safetensors'"),
        ("someone/private", "no repository someone/private"),
        ("someone/gated", "is gated"),
    ],
)
@pytest.mark.parametrize("token", [None, "other"])
def test_what_is_missing_or_closed_is_named(
    hub: HubServer, name: str, message: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("someone/empty", {"README.md": b"words"})
    hub.add_repo("someone/half", {"config.json": config()})
    hub.add_repo("someone/private", FILES, private=True)
    hub.add_repo("someone/gated", FILES, gated=True)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError, match=message) as refused:
        plan_pull(name)
    assert refused.value.hint


def test_whoever_was_let_in_may_fetch(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo("someone/gated", FILES, gated=True, readers={"stranger"})
    monkeypatch.setenv("HF_TOKEN", "other")
    assert is_whole(fetch("someone/gated"))
    monkeypatch.setenv("HF_TOKEN", "expired")
    with pytest.raises(HubError, match="refuses access") as refused:
        plan_pull("someone/other")
    assert "hf auth login" in refused.value.hint


def test_a_repository_of_another_kind_is_refused(hub: HubServer) -> None:
    hub.add_repo("someone/text", {"config.json": b'{"model_type": "bert"}', "model.safetensors": WEIGHTS})
    with pytest.raises(CheckpointError):
        plan_pull("someone/text")
    with pytest.raises(UsageError, match="came with majl"):
        plan_pull("majl-base")
    assert hub.of("GET", "model.safetensors") == []


@pytest.mark.parametrize(
    "changes", [{"sample_rate": "abc"}, {"sample_rate": -1}, {"sample_rate": True}, {"stems": 5}, {"stems": [[]]}]
)
def test_a_configuration_of_another_form_is_refused(hub: HubServer, changes: dict[str, Any]) -> None:
    hub.add_repo("someone/odd", {"config.json": config(**changes), "model.safetensors": WEIGHTS})
    with pytest.raises(CheckpointError, match="its config.json is not one of majl") as refused:
        plan_pull("someone/odd")
    assert next(iter(changes)) in refused.value.message
    assert hub.of("GET", "model.safetensors") == []


def test_terms_cannot_play_tricks_with_a_terminal(hub: HubServer) -> None:
    hub.add_repo("someone/loud", {"config.json": config("free\n\x1b[2J of charge"), "model.safetensors": WEIGHTS})
    assert plan_pull("someone/loud").terms.licence == "free [2J of charge"


def test_a_hub_in_trouble_is_told(hub: HubServer) -> None:
    hub.fault("fail", "config.json", status=500, times=9)
    with pytest.raises(HubError, match=r"is in trouble \(500\)"):
        plan_pull(NAME)
    hub.mend()
    plan = plan_pull(NAME)
    hub.fault("fail", "model.safetensors", status=429)
    with pytest.raises(HubError, match="too many requests"):
        pull(plan)


def test_a_full_disk_is_told_and_the_same_command_goes_on(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_pull(NAME)
    blobs = Path(constants.HF_HUB_CACHE) / "models--someone--singer" / "blobs"
    with monkeypatch.context() as context:
        context.setattr(download.shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": MEGABYTE}))
        with pytest.raises(HubError, match="1,048,576 bytes free, and 2,621,440 bytes are to come"):
            pull(plan)
    full = Path("/dev/full")
    if full.exists():  # where the check before could not know
        half = blobs / f"{sha256(WEIGHTS)}.majl-half"
        half.symlink_to(full)
        with pytest.raises(HubError, match="the disk is full") as failure:
            pull(plan)
        assert "HF_HOME" in failure.value.hint
        half.unlink()
    assert is_whole(fetch())


def test_files_of_the_hubs_own_client_are_used(hub: HubServer) -> None:
    snapshot_download(NAME)
    hub.requests.clear()
    assert is_whole(fetch())
    assert hub.of("GET", "model.safetensors") == [], "its bytes were here"


def test_what_was_pushed_is_pulled_checked_and_loaded(
    hub: HubServer, tmp_path: Path, majl_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    metadata = {"licence": "mit", "training": {"corpora": {"iKala/train/full": "2 tracks, 0.02 h"}}}
    save_checkpoint(tmp_path / "best", tiny_joint(), separation="unet", pitch="salience-cnn", metadata=metadata)
    push_checkpoint(plan_push(str(tmp_path / "best"), "someone/tiny"))
    monkeypatch.delenv("HF_TOKEN")
    pulled = majl_here("models", "pull", "someone/tiny", "--yes")
    assert pulled.code == 0 and "licence: mit" in pulled.err and "iKala/train/full" in pulled.err
    checked = majl_here("models", "check", "someone/tiny")
    assert (checked.code, checked.out) == (0, "someone/tiny: ok\n")
    hub.requests.clear()
    assert majl_cli.load_model("someone/tiny", device="cpu").info.metadata["licence"] == "mit"
    assert hub.requests == []
    weights = (find_checkpoint("someone/tiny") / "model.safetensors").resolve()
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    damaged = majl_here("models", "check", "someone/tiny")
    assert damaged.code == 1 and "damaged or replaced" in damaged.err
    assert majl_here("models", "pull", "someone/tiny", "--yes").code == 0
    assert majl_here("models", "check", "someone/tiny").code == 0
