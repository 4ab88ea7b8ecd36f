"""``majl models``: what is shown, asked and answered."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from file_server import FileServer, write_registry

from majl_cli.hub import download
from majl_cli.models.registry import build_pitch

Majl = Callable[..., Any]
PATH = "/files.test/tuner.pt"
ENTRY = """
title = "a tiny tuner"
task = "pitch"
architecture = "crepe"
options = { size = "tiny" }
sample_rate = 16000
licence = "CC-BY-NC-4.0"
licence_words = "says its page"
data = "MIR-1K"
score = { value = 93.5, kind = "% raw pitch accuracy, MIR-1K", source = "its page" }
sources = [{ url = "https://files.test/tuner.pt" }]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAJL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    write_registry(tmp_path / "home", tuner=ENTRY)
    return tmp_path / "home"


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    buffer = io.BytesIO()
    torch.save(build_pitch("crepe", {"size": "tiny"}).state_dict(), buffer)
    with FileServer() as server:
        server.files[PATH] = buffer.getvalue()
        monkeypatch.setenv("MAJL_MIRROR", server.url)
        yield server


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    terminal = io.StringIO(text)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)


def test_list_shows_what_there_is_and_on_what_terms(majl: Majl, home: Path) -> None:
    lines = {line.split()[0]: line for line in majl("models", "list").out.splitlines() if line}
    assert "embedded" in lines["majl-base"] and "research use" in lines["majl-base"]
    assert all(part in lines["htdemucs"] for part in ("separation", "vocals", "84.0 MB", "mit (disputed)", " no "))
    assert "8.24 vocals SDR in dB, global" in lines["htdemucs"]
    assert "not for commercial use" in lines["umxl"] and "93.5 % raw pitch" in lines["tuner"]
    models = json.loads(majl("models", "list", "--json").out)["models"]
    assert {model["name"] for model in models} <= set(lines)
    assert {model["name"]: model["here"] for model in models}["rmvpe"] == "no"


def test_list_starts_without_torch(home: Path) -> None:
    code = (
        "import sys; from majl_cli.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'huggingface_hub.file_download'} & set(sys.modules), 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, "models", "list"], check=True, capture_output=True)


def test_info_tells_all(majl: Majl, home: Path) -> None:
    text = majl("models", "info", "htdemucs").out
    for part in ("not covered by the MIT license", "MUSDB18-HQ and 800 private songs", "cbc8a9b1a870", "d9fa14133cfc"):
        assert part in text
    assert "SHA-256 8d85a5bd..." in majl("models", "info", "umxhq").out
    assert "NOT FOR COMMERCIAL USE" in majl("models", "info", "umxl").out
    card = json.loads(majl("models", "info", "majl-base", "--json").out)
    assert card["here"] == "embedded" and card["licence"] == "research use" and card["bytes"] > 1e6
    unknown = majl("models", "info", "htdemux")
    assert unknown.code == 1 and "did you mean htdemucs?" in unknown.err


def test_pull_asks_on_a_terminal(majl: Majl, server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "n\n")
    refused = majl("models", "pull", "tuner")
    assert refused.code == 1 and "nothing fetched" in refused.err
    assert len(server.requests) == 1, "only its size was asked for"
    assert "licence: CC-BY-NC-4.0: says its page" in refused.err and "NOT FOR COMMERCIAL USE" in refused.err
    assert "trained on: MIR-1K" in refused.err and "to fetch: 2.0 MB" in refused.err
    answer(monkeypatch, "y\n")
    pulled = majl("models", "pull", "tuner")
    assert pulled.code == 0 and "tuner is here: use it with --model tuner" in pulled.out
    assert "pinned https://files.test/tuner.pt: SHA-256 " in pulled.err
    assert "tuner is here already" in majl("models", "pull", "tuner").out


def test_pull_without_a_terminal_needs_yes(majl: Majl, server: FileServer, home: Path) -> None:
    refused = majl("models", "pull", "tuner")
    assert refused.code == 2 and "hint: read them, and give --yes" in refused.err and "CC-BY-NC-4.0" in refused.err
    assert not (home / "downloads" / "files.test" / "tuner.pt").exists()
    done = majl("models", "pull", "tuner", "--yes", "--json")
    (model,) = json.loads(done.out)["models"]
    assert model["licence"].startswith("CC-BY-NC-4.0") and model["fetched_bytes"] == len(server.files[PATH])
    assert model["pinned"]["https://files.test/tuner.pt"]["bytes"] == model["fetched_bytes"]
    assert majl("models", "pull", "tuner", "--yes", "--quiet").err == ""


def test_terms_are_shown_however_quiet(
    majl: Majl, server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = majl("models", "pull", "tuner", "--quiet")
    assert refused.code == 2 and "NOT FOR COMMERCIAL USE" in refused.err
    answer(monkeypatch, "n\n")
    declined = majl("models", "pull", "tuner", "--quiet")
    assert declined.code == 1 and "licence: CC-BY-NC-4.0: says its page" in declined.err
    done = majl("models", "pull", "tuner", "--quiet", "--yes")
    assert done.code == 0 and "licence: CC-BY-NC-4.0" in done.err and "pinned" not in done.err


def test_push_asks_about_what_it_shows(majl: Majl, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SimpleNamespace(repo="me/mine", branch="main", licence="mit", files=["a"], bytes_of=len, card="")
    monkeypatch.setattr("majl_cli.hub.push.plan_push", lambda *_arguments, **_options: plan)
    answer(monkeypatch, "n\n")
    declined = majl("models", "push", "folder", "me/mine", "--quiet")
    assert declined.code == 130 and "to me/mine, branch main; licence: mit" in declined.err
    assert majl("models", "push", "folder", "me/mine", "--quiet", "--dry-run").err == ""


def test_what_was_fetched_is_told_beside_what_failed(majl: Majl, server: FileServer, home: Path) -> None:
    failed = majl("models", "pull", "tuner", "spleeter", "--yes", "--json")
    told = json.loads(failed.out)
    assert failed.code == 2 and [model["name"] for model in told["models"]] == ["tuner"]
    assert "no model 'spleeter'" in told["error"] and told["hint"] and "no model 'spleeter'" in failed.err


def test_check_finds_a_flipped_byte_and_pull_mends_it(majl: Majl, server: FileServer, home: Path) -> None:
    majl("models", "pull", "tuner", "--yes")
    good = majl("models", "check")
    assert good.code == 0 and good.out.splitlines() == ["majl-base: ok", "majl-open: ok", "tuner: ok"]
    path = home / "downloads" / "files.test" / "tuner.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    bad = majl("models", "check", "tuner", "--json")
    (row,) = json.loads(bad.out)["models"]
    assert bad.code == 1 and not row["ok"] and "damaged or replaced" in row["error"]
    assert "hint: majl models pull tuner fetches it again" in bad.err
    majl("models", "pull", "tuner", "--yes")
    assert majl("models", "check", "tuner").out == "tuner: ok\n"


def test_check_loads_too(majl: Majl, server: FileServer, home: Path) -> None:
    write_registry(home, tuner=ENTRY.replace("16000", "8000"))
    majl("models", "pull", "tuner", "--yes")
    wrong = majl("models", "check", "tuner")
    assert wrong.code == 1 and "tuner: NOT ok" in wrong.out and "gives pitch at 16000 Hz" in wrong.err
    server.files[PATH] = b"not a network"
    majl("models", "pull", "tuner", "--yes", "--repin")
    assert "damaged, or not a PyTorch file" in majl("models", "check", "tuner").err


def test_a_model_that_is_not_here_never_passes_for_one(majl: Majl, home: Path, song: Callable[[str], Path]) -> None:
    for name in ("tuner", "htdemucs", "htdemucs+tuner", "someone/model"):
        failed = majl("separate", song("song.wav"), "--model", name, "--out", home / "stems")
        assert failed.code == 1 and "majl models pull" in failed.err, name
    assert not list(home.glob("stems/**/*.wav"))
