"""majl separate with a model of four stems."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny import PITCH, SEPARATION

from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation

BAND = ("drums", "bass", "other", "vocals")
Majl = Callable[..., Any]
HOW = ("--precision", "float32", "--threads", "1")


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights at 44.1 kHz stereo."""
    torch.manual_seed(0)
    options = {**SEPARATION["unet"]["44.1 kHz stereo"], "stems": BAND}
    joint = JointModel(build_separation("unet", options), build_pitch("salience-cnn", PITCH["salience-cnn"]["tiny"]))
    folder = tmp_path_factory.mktemp("models") / "band"
    save_checkpoint(folder, joint, separation="unet", pitch="salience-cnn")
    return folder


@pytest.fixture
def separated(majl: Majl, band: Path, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """The stems of an audio file, by name, as the command wrote them."""

    def separate(path: Path, *options: str) -> dict[str, np.ndarray]:
        how = ["--model", band, *HOW, "--subtype", "float", "--json"]
        done = majl("separate", path, "--out", tmp_path / "stems", *how, *options)
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["tracks"]
        assert row["clipped"] == dict.fromkeys(row["files"], 0)
        return {stem: soundfile.read(file, always_2d=True)[0] for stem, file in row["files"].items()}

    return separate


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (44100, 1), (32000, 2), (48000, 3)])
@pytest.mark.parametrize(("stem", "rest"), [("vocals", "accompaniment"), ("drums", "no_drums")])
def test_two_stems_add_up_to_the_input(
    rate: int, channels: int, stem: str, rest: str, separated: Callable[..., dict[str, np.ndarray]], tmp_path: Path
) -> None:
    audio = 0.1 * np.random.default_rng(0).standard_normal((rate // 2 + 7, channels))
    soundfile.write(tmp_path / "song.wav", audio, rate, subtype="FLOAT")
    two = separated(tmp_path / "song.wav", "--two-stems", stem)
    assert list(two) == [stem, rest]
    assert np.abs(two[stem]).max() > 1e-3
    assert np.abs(two[stem] + two[rest] - audio).max() < 1e-6
    alone = separated(tmp_path / "song.wav", "--stems", f"{rest},all")
    assert list(alone) == [rest, *BAND]
    assert np.array_equal(alone[rest], two[rest]) and np.array_equal(alone[stem], two[stem])


def test_all_stems_are_the_default_and_looked_for_by_skip_existing(
    majl: Majl, band: Path, separated: Callable[..., dict[str, np.ndarray]], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal((30000, 2)), 44100)
    stems = separated(tmp_path / "song.wav", "--two-stems", "vocals")
    again = ["separate", tmp_path / "song.wav", "--out", tmp_path / "stems", "--model", band, "--skip-existing", *HOW]
    assert majl(*again, "--two-stems", "vocals").err.splitlines()[-1] == "0 tracks (1 skipped)"
    done = majl(*again)
    assert done.out.splitlines() == [str(tmp_path / "stems" / "song" / f"{stem}.wav") for stem in BAND]
    assert majl(*again).err.splitlines()[-1] == "0 tracks (1 skipped)"
    estimates = separated(tmp_path / "song.wav")
    assert tuple(estimates) == BAND
    assert all(np.abs(estimate).max() > 1e-3 for estimate in estimates.values())
    assert np.array_equal(estimates["vocals"], stems["vocals"])


def test_the_pitch_of_a_model_of_four_stems_is_that_of_the_vocals(majl: Majl, band: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal((30000, 2)), 44100)
    done = majl("pitch", tmp_path / "song.wav", "--out", tmp_path, "--model", band, *HOW, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["tracks"][0]["taken_as"] in ("mixture", "vocals")
