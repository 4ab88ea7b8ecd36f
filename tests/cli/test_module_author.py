"""The module in docs/module-author.md trains and separates, by the commands that stand there."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from songs import RATE, write_song

from majl_cli.models.checkpoint import load_checkpoint
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.training.presets import preset_names, resolve_config
from majl_cli.training.stage1 import Stage1Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "module-author.md"
NAME = "my_module:MyModule"
Majl = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("fresh_accelerator")


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory: the module of the page, songs, and a song to separate."""
    (tmp_path / "my_module.py").write_text(block("python"))
    for id in ("train/one", "train/two", "validation/three"):
        write_song(tmp_path / "songs", id, "full")
    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal((RATE, 2)), RATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_module", None)


def test_the_module_of_the_page_trains_and_separates_by_its_commands(majl: Majl, place: Path) -> None:
    train, separate = [shlex.split(line)[1:] for line in block("sh").splitlines() if line.startswith("majl ")]
    steps = ["--set", "loop.steps=2", "--set", "loop.precision=no", "--device", "cpu"]
    done = majl(*train, *steps)
    assert done.code == 0, done.err
    joint, info = load_checkpoint(place / "runs" / "mine" / "best")
    options = {"sample_rate": 16000, "channels": 1, "width": 8}
    assert info.architecture["separation"] == {"name": NAME, "options": options}
    torch.manual_seed(0)  # as the run: seed, then build
    untrained = build_separation(NAME, options)
    changed = [
        not torch.equal(a, b) for a, b in zip(untrained.parameters(), joint.separation.parameters(), strict=True)
    ]
    assert all(changed)

    done = majl(*separate, "--subtype", "float", "--precision", "float32", "--threads", "1", "--json")
    assert done.code == 0, done.err
    files = json.loads(done.out)["tracks"][0]["files"]
    assert list(files) == ["vocals", "accompaniment"]
    stems = [soundfile.read(file)[0] for file in files.values()]
    assert np.abs(stems[0]).max() > 1e-3
    assert np.abs(sum(stems) - soundfile.read("song.wav")[0]).max() < 1e-6


def test_the_module_of_the_page_keeps_what_the_page_promises(place: Path) -> None:
    module = build_separation(NAME).eval()
    assert module.context is not None
    reach = round(module.context * module.sample_rate)
    for samples in (1, 100):
        assert module(torch.randn(2, 1, samples)).shape == (2, 1, 1, samples)
    assert module(torch.zeros(1, 1, 1000)).abs().max() == 0
    mixture = torch.randn(1, 1, 2 * reach + 101, requires_grad=True)
    module(mixture)[..., reach + 50].sum().backward()
    assert mixture.grad is not None
    far, near = mixture.grad[..., :50], mixture.grad[..., 50:66]
    assert far.abs().max() == 0
    assert near.abs().max() > 0


@pytest.mark.parametrize(
    "assignments",
    [
        ["model.separation=my_module:MyModule", "model.separation_options.width=8"],
        ["model.pitch=crepe", "model.pitch_options.size=tiny"],
        ["model.pitch_options={size='tiny'}", "model.pitch=crepe"],
        ["model.separation=my_module:MyModule", "model.pitch=crepe"],
    ],
)
@pytest.mark.parametrize("preset", preset_names())
def test_modules_named_on_top_of_a_preset_can_be_built(preset: str, assignments: list[str], place: Path) -> None:
    model = resolve_config(Stage1Config, preset, assignments).model
    separation = build_separation(model.separation, model.separation_options)
    pitch = build_pitch(model.pitch, model.pitch_options)
    names = {type(separation).__name__, type(pitch).__name__}
    assert names & {"MyModule", "Crepe"}
