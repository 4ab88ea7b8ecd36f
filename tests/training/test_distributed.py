"""Two processes make the step that one makes with twice the batch."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from majl_cli.data.manifest import Stem, Track, write_manifest

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# The flags keep Accelerate from asking for a configuration file; --multi_gpu is its word for several processes.
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
ACCELERATE += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks whose labels are unevenly spread: one has no pitch, and one rests for half of the time."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    tracks = []
    for n, labels in enumerate(("full", "mss", "full")):
        time_s = np.arange(4 * 16000) / 16000
        voice = sum(np.sin(2 * np.pi * 220 * (n + 1) * h * time_s) / h for h in range(1, 4)) * 0.1
        audio = np.stack((0.1 * generator.standard_normal(len(time_s)), voice * (time_s < 4 - n)), axis=1)
        soundfile.write(folder / f"{n}.wav", audio, 16000)
        rows = [f"{t:.2f},{220 * (n + 1) if t < 4 - n else 0}" for t in np.arange(0, 4, 0.01)]
        (folder / f"{n}.csv").write_text("time,frequency\n" + "\n".join(rows))
        track = Track(
            id=str(n),
            corpus="tones",
            labels=labels,
            sample_rate=16000,
            channels=1,
            duration=4.0,
            stems={
                name: Stem(path=folder / f"{n}.wav", channel=c) for c, name in enumerate(("accompaniment", "vocals"))
            },
            pitch=folder / f"{n}.csv" if labels == "full" else None,
        )
        tracks.append(track)
    tracks.append(dataclasses.replace(tracks[2], id="held out", split="validation"))
    write_manifest(folder / "manifest.jsonl", tracks)
    return folder / "manifest.jsonl"


def train(launcher: Sequence[str], manifest: Path, out: Path, *settings: str) -> dict[str, torch.Tensor]:
    """The optimiser's mean gradients, the weights and the running statistics of a run, each as one vector."""
    command = [*launcher, "-m", "majl_cli", "train-stage1", "--config", "tiny", "--manifest", str(manifest)]
    command += ["--out", str(out), "--device", "cpu", "--threads", "1", "--quiet"]
    for setting in ("loop.precision=no", "data.buckets={}", "augment.vocals_absent_probability=0.5", *settings):
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    state = torch.load(out / "checkpoints" / "last.pt", weights_only=True)
    parts = {
        "gradients": [moments["exp_avg"] for moments in state["optimizer"]["state"].values()],
        "weights": [tensor for name, tensor in state["model"].items() if "running" not in name],
        "statistics": [tensor for name, tensor in state["model"].items() if "running" in name],
        "averaged": list(state["ema"].values()),
    }
    return {name: torch.cat([tensor.flatten().float() for tensor in part]) for name, part in parts.items()}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / a.norm())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["dwhs", "dwm"])
def test_two_processes_equal_one_with_twice_the_batch(manifest: Path, tmp_path: Path, variant: str) -> None:
    """Batch norms, label counts and weights are those of the whole batch. Gradients of float32 sums in another order
    were seen to differ by up to 1e-3, those of counts or batch norms of each process's own by 0.05 and 0.2."""
    settings = (f"weighting.variant={variant}", "loss.clean_pitch=0.5", "loop.steps=1")
    one = train([sys.executable], manifest, tmp_path / "one", *settings, "loop.batch_size=4")
    two = train(TORCHRUN, manifest, tmp_path / "two", *settings, "loop.batch_size=2")
    assert difference(one["gradients"], two["gradients"]) < 5e-3
    assert difference(one["weights"], two["weights"]) < 5e-4
    assert difference(one["statistics"], two["statistics"]) < 1e-4


@pytest.mark.slow
def test_accelerate_launch_with_two_processes_equals_one_with_twice_the_batch(manifest: Path, tmp_path: Path) -> None:
    settings = ("loop.steps=4", "loop.accumulate=2")
    one = train([sys.executable], manifest, tmp_path / "one", *settings, "loop.batch_size=4")
    two = train(ACCELERATE, manifest, tmp_path / "two", *settings, "loop.batch_size=2")
    # Adam turns the sign of a gradient near 0 into a whole step: after four of them, the small differences have grown.
    assert difference(one["weights"], two["weights"]) < 1e-3
    assert difference(one["averaged"], two["averaged"]) < 1e-3


def test_batch_norms_of_any_dimension_still_work_once_training_is_over() -> None:
    from majl_cli.training.distributed import share_batch_norms

    for norm, shape in ((torch.nn.BatchNorm1d, (2, 3, 5)), (torch.nn.BatchNorm2d, (2, 3, 5, 4))):
        module = torch.nn.Sequential(norm(3)).eval()
        expected = module(torch.ones(shape))
        share_batch_norms(module)
        assert torch.equal(module(torch.ones(shape)), expected)


@pytest.mark.slow
def test_processes_that_are_interrupted_stop_at_one_step_and_go_on(manifest: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes at different moments, and some twice: the launcher passes it on."""
    run = tmp_path / "run"
    command = [*TORCHRUN, "-m", "majl_cli", "train-stage1", "--config", "tiny", "--manifest", str(manifest)]
    command += ["--out", str(run), "--device", "cpu", "--threads", "1", "--quiet", "--set", "loop.precision=no"]
    settings = ["--set", "loop.steps=2000", "--set", "loop.validate_every=2000", "--set", "loop.save_every=2000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *settings], stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    while not ((run / "log.jsonl").exists() and (run / "log.jsonl").read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    assert 3 <= state["step"] < 2000, errors[-2000:]
    more = ["--set", f"loop.steps={state['step'] + 1}"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.load(run / "checkpoints" / "last.pt", weights_only=True)["step"] == state["step"] + 1
