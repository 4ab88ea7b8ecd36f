"""Files from plain addresses: resumed, verified, pinned, and each failure with its own words."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, write_registry

from majl_cli.errors import HubError, UsageError
from majl_cli.hub import download
from majl_cli.hub.pins import read_pins
from majl_cli.hub.pull import Pulled, plan_pull, pull

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
URL = "https://files.test/models/weights.pt"
PATH = "/files.test/models/weights.pt"


def entry(**source: Any) -> str:
    fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in {"url": URL, **source}.items())
    return f'task = "pitch"\ntitle = "t"\narchitecture = "crepe"\nsample_rate = 16000\nsources = [{{ {fields} }}]'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAJL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    write_registry(tmp_path / "home", model=entry(sha256=DIGEST), unpinned=entry())
    return tmp_path / "home"


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with FileServer() as server:
        server.files[PATH] = CONTENT
        monkeypatch.setenv("MAJL_MIRROR", server.url)
        yield server


def place(home: Path) -> Path:
    return home / "downloads" / "files.test" / "models" / "weights.pt"


def half(home: Path) -> Path:
    return place(home).with_name("weights.pt.majl-half")


def fetch(name: str = "model", **options: Any) -> Pulled:
    return pull(plan_pull(name, **options))


def test_a_model_is_fetched_once_and_then_here(server: FileServer, home: Path) -> None:
    plan = plan_pull("model")
    assert plan.bytes == len(CONTENT) and not plan.here and not place(home).exists()
    counts: list[int] = []
    pulled = pull(plan, lambda source, count: counts.append(count))
    assert pulled.files == (place(home),) and pulled.pinned == {}
    assert place(home).read_bytes() == CONTENT and not half(home).exists()
    assert counts == sorted(counts) and counts[-1] == len(CONTENT)
    asked = len(server.requests)
    assert plan_pull("model").files == () and fetch().files == (place(home),)
    assert len(server.requests) == asked


def test_a_broken_connection_is_gone_on_with(server: FileServer, home: Path) -> None:
    server.cuts = [None, 1_500_000, 500_000]
    assert fetch().files[0].read_bytes() == CONTENT
    first, second = (int(str(item).removeprefix("bytes=").rstrip("-")) for item in server.ranges[2:])
    assert server.ranges[:2] == [None, None] and 0 < first <= 1_500_000 and first < second < len(CONTENT)


def test_what_an_interrupted_command_left_is_gone_on_with(server: FileServer, home: Path) -> None:
    half(home).parent.mkdir(parents=True)
    half(home).write_bytes(CONTENT[:2_000_000])
    assert fetch().files[0].read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5])
def test_a_half_as_long_as_the_whole_is_not_trusted(server: FileServer, home: Path, size: int) -> None:
    half(home).parent.mkdir(parents=True)
    half(home).write_bytes(bytes(size))
    if size == len(CONTENT):
        with pytest.raises(HubError, match="what was fetched is removed"):
            fetch()
    assert fetch().files[0].read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server: FileServer, home: Path) -> None:
    server.honours_range = False
    server.cuts = [None, 1_500_000]
    assert fetch().files[0].read_bytes() == CONTENT


def test_a_connection_that_breaks_off_again_and_again_ends(server: FileServer, home: Path) -> None:
    server.cuts = [None, 1_200_000, 0, 0, 0, 0]
    with pytest.raises(HubError, match="breaks off at .* of 3000000 bytes") as refused:
        fetch()
    assert "goes on where it stopped" in refused.value.hint
    assert half(home).stat().st_size > 0 and not place(home).exists()
    server.cuts = []
    assert fetch().files[0].read_bytes() == CONTENT


def test_another_content_than_the_registry_knows_does_not_stay(server: FileServer, home: Path) -> None:
    server.files[PATH] = bytes(len(CONTENT))
    found = hashlib.sha256(bytes(len(CONTENT))).hexdigest()
    with pytest.raises(HubError, match=f"SHA-256 is {found}, but the registry says {DIGEST}"):
        fetch()
    assert not place(home).exists() and not half(home).exists()


def test_a_damaged_file_is_fetched_again(server: FileServer, home: Path) -> None:
    fetch()
    place(home).write_bytes(CONTENT[:-1] + b"x")
    assert fetch().files[0].read_bytes() == CONTENT


def test_another_size_than_the_registry_knows_is_found_before_anything_is_fetched(
    server: FileServer, home: Path
) -> None:
    write_registry(home, model=entry(sha256=DIGEST, bytes=5))
    with pytest.raises(HubError, match="3000000 bytes where 5 are expected: the file was replaced"):
        plan_pull("model")


def test_the_first_use_pins_and_another_content_is_refused_until_pinned_anew(server: FileServer, home: Path) -> None:
    pulled = fetch("unpinned")
    assert pulled.pinned[URL].sha256 == DIGEST and read_pins()[URL] == pulled.pinned[URL]
    assert fetch("unpinned").pinned == {}
    place(home).unlink()
    server.files[PATH] = other = bytes(len(CONTENT))
    with pytest.raises(HubError, match=f"but when it was pinned \\(.*\\) it was {DIGEST}") as refused:
        fetch("unpinned")
    assert "--repin" in refused.value.hint and not place(home).exists()
    pinned = fetch("unpinned", repin=True).pinned
    assert pinned[URL].sha256 == hashlib.sha256(other).hexdigest() == read_pins()[URL].sha256
    assert place(home).read_bytes() == other


def test_pinning_anew_replaces_a_file_that_is_here(server: FileServer, home: Path) -> None:
    fetch("unpinned")
    server.files[PATH] = b"new"
    assert fetch("unpinned", repin=True).files[0].read_bytes() == b"new"
    assert fetch("unpinned").pinned == {}


def test_a_digest_that_begins_otherwise_than_the_name_says_is_refused(server: FileServer, home: Path) -> None:
    write_registry(home, model=entry(sha256_start=DIGEST[:8]), wrong=entry(sha256_start="00000000"))
    with pytest.raises(HubError, match="but its name says 00000000"):
        fetch("wrong")
    assert fetch().pinned[URL].sha256 == DIGEST


@pytest.mark.parametrize("known", [{"sha256_start": DIGEST[:8]}, {"bytes": len(CONTENT)}])
def test_a_file_that_lies_there_must_be_what_is_known_of_it(
    server: FileServer, home: Path, known: dict[str, Any]
) -> None:
    write_registry(home, model=entry(**known))
    place(home).parent.mkdir(parents=True)
    place(home).write_bytes(b"garbage")
    assert fetch().pinned[URL].sha256 == DIGEST and place(home).read_bytes() == CONTENT


def break_off(server: FileServer) -> None:
    server.cuts = [None, 1_500_000, 0, 0, 0]
    with pytest.raises(HubError, match="breaks off"):
        fetch("unpinned")
    server.cuts = []
    server.requests.clear()


def test_what_no_digest_vouches_for_is_gone_on_with_if_the_server_still_has_it(server: FileServer, home: Path) -> None:
    server.etags[PATH] = '"one"'
    break_off(server)
    there = half(home).stat().st_size
    assert fetch("unpinned").pinned[URL].sha256 == DIGEST
    assert server.ranges == [None, f"bytes={there}-"]
    assert [path.name for path in place(home).parent.iterdir()] == ["weights.pt"]


@pytest.mark.parametrize("etags", [('"one"', '"two"'), (None, None), ('W/"one"', 'W/"one"')])
def test_two_versions_are_never_mixed(server: FileServer, home: Path, etags: tuple[str | None, str | None]) -> None:
    server.etags = {PATH: etags[0]} if etags[0] else {}
    break_off(server)
    server.etags = {PATH: etags[1]} if etags[1] else {}
    server.files[PATH] = other = bytes(len(CONTENT))
    assert fetch("unpinned").files[0].read_bytes() == other


def test_a_half_as_long_as_the_whole_that_no_digest_vouches_for_is_not_pinned(server: FileServer, home: Path) -> None:
    half(home).parent.mkdir(parents=True)
    half(home).write_bytes(bytes(len(CONTENT)))
    assert fetch("unpinned").pinned[URL].sha256 == DIGEST


def test_another_part_than_was_asked_for_is_not_added(server: FileServer, home: Path) -> None:
    server.cuts, server.shift = [None, 1_500_000], -7
    assert fetch().files[0].read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["model", "unpinned"])
def test_more_than_was_announced_does_not_stay(server: FileServer, home: Path, name: str) -> None:
    plan = plan_pull(name)
    server.files[PATH] = CONTENT + b"more"
    counts: list[int] = []
    with pytest.raises(HubError, match="more comes than the 3000000 bytes announced"):
        pull(plan, lambda source, count: counts.append(count))
    assert not place(home).exists() and not half(home).exists() and max(counts) <= len(CONTENT)


def test_what_can_be_done_about_a_replaced_file_is_said(server: FileServer, home: Path) -> None:
    fetch("unpinned")
    place(home).unlink()
    server.files[PATH] = bytes(len(CONTENT))
    with pytest.raises(HubError, match="the registry says") as refused:
        fetch("model")
    assert "--repin" not in refused.value.hint and "newer majl" in refused.value.hint
    server.files[PATH] = b"short"
    with pytest.raises(HubError, match="the file was replaced") as refused:
        fetch("unpinned")
    assert "majl models pull unpinned --repin" in refused.value.hint


@pytest.mark.parametrize(
    "status, message",
    [
        (403, "refuses access \\(403\\)"),
        (404, "not at .* \\(404\\)"),
        (429, "too many requests"),
        (503, "is in trouble \\(503\\)"),
        (418, "answers 418"),
    ],
)
def test_what_a_server_answers_is_said(server: FileServer, status: int, message: str) -> None:
    server.status[PATH] = status
    with pytest.raises(HubError, match=message) as refused:
        plan_pull("model")
    assert refused.value.hint


def test_no_network_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAJL_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="no answer from 127.0.0.1:9") as refused:
        plan_pull("model")
    assert "check network and proxy" in refused.value.hint


def test_offline_is_said(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert plan_pull("model").files == ()
    write_registry(Path(os.environ["MAJL_HOME"]), model=entry(url=f"{URL}h"))
    with pytest.raises(HubError, match="not here, and HF_HUB_OFFLINE is set"):
        plan_pull("model")
    assert len(server.requests) == 2


def test_a_full_disk_is_said_before_and_while_fetching(
    server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as context:
        context.setattr("shutil.disk_usage", lambda _folder: usage(10, 9, 1_000_000))
        with pytest.raises(HubError, match="the disk has 1,000,000 bytes free, and 3,000,000 bytes are to come"):
            fetch()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(HubError, match="the disk is full") as refused:
        fetch()
    assert "MAJL_HOME" in refused.value.hint


@pytest.mark.parametrize("part", ["downloads", "downloads/locks", "downloads/files.test"])
def test_a_folder_that_cannot_be_written_to_is_said(server: FileServer, home: Path, part: str) -> None:
    (home / part).parent.mkdir(parents=True, exist_ok=True)
    (home / part).write_text("in the way")
    with pytest.raises(HubError, match="cannot be written to") as refused:
        fetch()
    assert "MAJL_HOME" in refused.value.hint


def test_a_folder_of_others_is_said(server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    plan = plan_pull("model")
    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(HubError, match="downloads/locks: may not be written to") as refused:
        pull(plan)
    assert refused.value.hint == "set MAJL_HOME to a folder of yours"


def test_damaged_pins_are_said(server: FileServer, home: Path) -> None:
    (home / "pins.json").write_text("{")
    with pytest.raises(HubError, match="pins.json: not readable"):
        plan_pull("unpinned")


@pytest.mark.parametrize(
    "name, message, hint",
    [
        ("majl-base", "came with majl", "--model majl-base"),
        ("htdemux", "no model 'htdemux'", "did you mean htdemucs"),
        ("umxl+rmvpe", "umxl.rmvpe is two models", "majl models pull umxl rmvpe"),
        ("spleeter", "no model 'spleeter'", "majl models list"),
    ],
)
def test_what_cannot_be_fetched_is_said(home: Path, name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        plan_pull(name)
    assert hint in refused.value.hint
