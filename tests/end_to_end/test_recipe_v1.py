"""The scripts that the embedded weights come from run, go on where they stopped and leave checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from songs import write_song

import majl_cli
from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import write_manifest

RECIPE = Path(__file__).resolve().parents[2] / "examples" / "recipes" / "v1"
CONFIG = """\
licence = "none"
[data]
segment_seconds = 0.5
[model]
separation = "unet"
pitch = "salience-cnn"
[model.separation_options]
widths = [4, 4]
blocks = [1, 1]
squeeze = 4
[model.pitch_options]
width = 8
blocks = 1
bottleneck = 4
patch_frames = 8
patch_bins = 5
stem_kernel = 1
[loss]
stft_sizes = [512]
[loop]
batch_size = 2
log_every = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for id, labels in (("train/full", "full"), ("train/mss", "mss")):
        write_song(tmp_path / "songs", id, labels)
    write_manifest(tmp_path / "train.jsonl", corpora["stems"](tmp_path / "songs"))
    (tmp_path / "small.toml").write_text(CONFIG)
    return tmp_path


def recipe(folder: Path, script: str, *arguments: object) -> str:
    command = [sys.executable, RECIPE / script, *arguments, "--threads", 1]
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_joint_training_goes_on_and_its_modules_can_be_taken_on(folder: Path) -> None:
    common = ("small.toml", "train.jsonl", "joint", "--device", "cpu", "--dtype", "float32", "--cache", "cache")
    recipe(folder, "train.py", *common, "--steps", 2)
    recipe(folder, "train.py", *common, "--steps", 3)
    assert steps(folder / "joint") == [1, 2, 3]
    model = majl_cli.load_model(folder / "joint" / "best")
    estimate = model.estimate_pitch(np.zeros(8000, np.float32), sample_rate=16000)
    assert np.isfinite(estimate.confidence).all()
    recipe(folder, "train.py", *common[:2], "second", "--steps", 1, "--pitch-only", "--separation-from", "joint/best")
    first, second = (load_file(folder / run / "best" / "model.safetensors") for run in ("joint", "second"))
    separation = [key for key in first if key.startswith("separation.") and "running" not in key]
    assert separation and all(first[key].equal(second[key]) for key in separation)


@pytest.mark.slow
def test_two_processes_share_the_batches_and_one_of_them_writes(folder: Path) -> None:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", RECIPE / "train.py")
    settings = ("small.toml", "train.jsonl", "joint", "--steps", 2, "--device", "cpu", "--threads", 1)
    command = [sys.executable, *(str(part) for part in (*launch, *settings))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps(folder / "joint") == [1, 2]
    assert (folder / "joint" / "best" / "model.safetensors").exists()


@pytest.mark.slow
def test_a_pitch_module_is_trained_behind_a_separation_that_stays(folder: Path) -> None:
    recipe(folder, "train.py", "small.toml", "train.jsonl", "joint", "--device", "cpu", "--steps", 1)
    script, config = "pitch_module.py", ("--config", "small.toml")
    for batches in (1, 2):
        recipe(folder, script, "fill", "joint/best", "train.jsonl", "heard", *config, "--batches", batches)
    kept = load_file(folder / "heard" / "batch-00001.safetensors")
    assert kept["estimate"].shape == kept["voice"].shape == (2, 8000) and kept["f0"].shape == (2, 51)
    for count in (2, 3):
        recipe(folder, script, "train", "joint/best", "heard", "pitch", *config, "--steps", count)
    assert steps(folder / "pitch") == [1, 2, 3]
    first, second = (load_file(folder / run / "best" / "model.safetensors") for run in ("joint", "pitch"))
    assert all(first[key].equal(second[key]) for key in first if key.startswith("separation."))
    assert not first["pitch.head.weight"].equal(second["pitch.head.weight"])
