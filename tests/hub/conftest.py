"""A hub of one's own, for this process and for subprocesses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub_server import HubServer

from majl_cli.cli.app import main


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The only hub this process knows: its client reads the environment on import, so what it read is replaced."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    home = tmp_path / "home"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAJL_HOME", str(home / "majl"))
    with HubServer() as server:
        replaced = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_PROGRESS_BARS": True,
        }
        for name, value in replaced.items():
            monkeypatch.setattr(constants, name, value)
        yield server
        close_session()


@pytest.fixture
def majl(hub_server: HubServer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``majl`` as its own process that knows no other hub; ``token`` and ``offline`` as the environment says."""

    def run(
        *arguments: str | Path, token: str | None = None, offline: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = hub_server.environment(tmp_path / "home", token=token, offline=offline)
        command = [sys.executable, "-m", "majl_cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    return run


@dataclass(frozen=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def majl_here(hub_server: HubServer, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs ``majl`` in this process, which is much faster where torch is needed."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code=int(exit.value.code or 0), out=captured.out, err=captured.err)

    return run
