"""Train a pitch module behind a separation module that stays as it is.

    python examples/recipes/v1/pitch_module.py fill CHECKPOINT train.jsonl runs/heard --config pitch.toml --batches 1000
    python examples/recipes/v1/pitch_module.py train CHECKPOINT runs/heard runs/pitch --config pitch.toml --minutes 80

``fill`` keeps what the pitch module will hear: the separation module's estimates of mixtures made as for ``train.py``,
the voices themselves and their f0. ``train`` may run beside it and takes what is there already. A light module costs so
little that a separation in every step would be nearly all of the work. Both go on where they were stopped; ``fill`` may
do so with another manifest, whose tracks are then heard beside the others.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from segments import FRAME_SECONDS, Chances, Segments
from torch import Tensor

from majl_cli.config import build, to_dict
from majl_cli.data.manifest import read_manifest, summary
from majl_cli.files import aside_path
from majl_cli.models.checkpoint import load_checkpoint, save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch
from majl_cli.training.ema import exponential_average
from majl_cli.training.loop import make_optimizer
from majl_cli.training.losses import pitch_loss, weighted_sum
from majl_cli.training.stage_config import StageConfig, without_paths

SAVE_SECONDS = 60.0
CORPORA = "corpora.json"
VOICE, BETWEEN = 0.3, 0.2  # shares of examples that are the voice itself, and that lie between it and the estimate
GAIN_DB = 12.0
HISS_DB = (-80.0, -45.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("fill", "train"))
    parser.add_argument("checkpoint", type=Path, help="its separation module is heard")
    parser.add_argument("source", type=Path, help="fill: the manifest; train: the folder that fill wrote")
    parser.add_argument("target", type=Path, help="fill: the folder to write; train: the run's folder")
    parser.add_argument("--config", type=Path, required=True, help="a configuration as for train.py")
    parser.add_argument("--batches", type=int, help="fill: how many in all")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="train: time in all, earlier starts counted in")
    length.add_argument("--steps", type=int, help="train: steps in all, earlier starts counted in")
    parser.add_argument("--voice-absent", type=float, default=0.12, help="fill: the share of accompaniments alone")
    parser.add_argument("--cache", type=Path, help="fill: decoded audio of the manifest, as for train.py")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = build(StageConfig, tomllib.loads(arguments.config.read_text()), section="config")
    joint, _ = load_checkpoint(arguments.checkpoint)
    joint = joint.to(memory_format=torch.channels_last)
    if arguments.action == "fill":
        chances = Chances(voice_absent=arguments.voice_absent, accompaniment_absent=0.0)
        fill(joint, config, arguments, chances)
    else:
        Training(joint, config, arguments).run()


def fill(joint: JointModel, config: StageConfig, arguments: argparse.Namespace, chances: Chances) -> None:
    """Write ``batch-N.safetensors``: estimate and voice (B, T) at the pitch module's rate, f0 and known (B, N)."""
    folder, batches = arguments.target, arguments.batches
    tracks = [track for track in read_manifest(arguments.source) if track.split == "train"]
    folder.mkdir(parents=True, exist_ok=True)
    corpora = folder / CORPORA
    before = json.loads(corpora.read_text()) if corpora.exists() else {}
    corpora.write_text(json.dumps(before | summary(tracks)))
    first = len(list(folder.glob("batch-*.safetensors")))
    data = Segments(
        tracks,
        sample_rate=joint.separation.sample_rate,
        seconds=config.data.segment_seconds,
        corpus_weights=config.data.weights,
        chances=chances,
        lowest_hz=config.data.lowest_hz,
        device="cpu",
        seed=config.seed + 1000 * first,
        cache=arguments.cache,
    )
    target = joint.separation.stems.index(joint.target)
    for number in range(first, batches):
        batch = data.batch(config.loop.batch_size)
        with torch.inference_mode():
            estimate = joint.hand_over(joint.separate(batch["mixture"])[:, target])
            voice = joint.hand_over(batch["sources"][:, 0])
        kept = {"estimate": estimate.half(), "voice": voice.half(), "f0": batch["f0"], "known": batch["pitch_known"]}
        aside = aside_path(folder / f"batch-{number:05d}.safetensors")
        save_file({name: value.contiguous() for name, value in kept.items()}, aside)
        aside.replace(folder / f"batch-{number:05d}.safetensors")
        if number % 25 == 0:
            print(f"{number + 1} of {batches} batches", flush=True)


class Heard:
    """All examples that ``fill`` has written so far, drawn in random order."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, np.random.default_rng(seed)
        self.files: list[Path] = []
        self.batches: list[dict[str, Tensor]] = []

    def refresh(self) -> None:
        for file in sorted(self.folder.glob("batch-*.safetensors"))[len(self.files) :]:
            self.files.append(file)
            self.batches.append(load_file(file))
        if not self.batches:
            raise SystemExit(f"{self.folder}: nothing to hear yet; run fill first")

    def draw(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Audio (B, T), f0 in Hz and known (B, N)."""
        rows = [self._one() for _ in range(size)]
        audio, f0, known = (torch.stack(part) for part in zip(*rows, strict=True))
        return audio, f0, known

    def _one(self) -> tuple[Tensor, Tensor, Tensor]:
        batch = self.batches[self.random.integers(len(self.batches))]
        row = int(self.random.integers(len(batch["f0"])))
        estimate, voice = batch["estimate"][row].float(), batch["voice"][row].float()
        chance = self.random.random()
        share = 0.0 if chance < VOICE else self.random.random() if chance < VOICE + BETWEEN else 1.0
        gain = 10.0 ** (self.random.uniform(-GAIN_DB, GAIN_DB) / 20.0) * self.random.choice((-1.0, 1.0))
        hiss = 10.0 ** (self.random.uniform(*HISS_DB) / 20.0)
        audio = gain * torch.lerp(voice, estimate, share) + hiss * torch.randn(len(voice))
        return audio, batch["f0"][row], batch["known"][row]


class Training:
    """The pitch module of ``config`` against the f0 of what was heard."""

    def __init__(self, joint: JointModel, config: StageConfig, arguments: argparse.Namespace) -> None:
        self.config, self.folder, self.source = config, arguments.target, arguments.source
        self.minutes, self.steps = arguments.minutes, arguments.steps
        self.origin = arguments.checkpoint.name
        torch.manual_seed(config.seed)
        self.separation = joint.separation
        self.pitch = build_pitch(config.model.pitch, config.model.pitch_options).to(memory_format=torch.channels_last)
        self.ema = exponential_average(self.pitch, config.loop.ema_decay)
        self.optimizer, _ = make_optimizer(self.pitch, config.loop)
        self.step, self.seconds = 0, 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state_file = self.folder / "state.pt"
        if self.state_file.exists():
            state = torch.load(self.state_file, weights_only=True)
            self.pitch.load_state_dict(state["pitch"])
            self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        self.heard = Heard(self.source, config.seed + self.step)

    def run(self) -> None:
        """Step until the time is up or the steps are done; then save and export."""
        loop, saved = self.config.loop, self.seconds
        self.pitch.train()
        before, start = self.seconds, time.monotonic()
        while self._progress() < 1.0:
            if self.step % 50 == 0 or not self.heard.files:
                self.heard.refresh()
            loss, norm = self._step()
            self.step += 1
            self.seconds = before + time.monotonic() - start
            if self.step % loop.log_every == 0:
                record = {"step": self.step, "seconds": round(self.seconds, 1), "loss": loss, "norm": norm}
                record["batches"] = len(self.heard.batches)
                with (self.folder / "log.jsonl").open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(record, flush=True)
            if self.seconds - saved > SAVE_SECONDS:
                saved = self.seconds
                self._save()
        self._save()

    def _progress(self) -> float:
        return self.seconds / (60.0 * self.minutes) if self.minutes else self.step / self.steps

    def _step(self) -> tuple[float, float]:
        """One step; the loss and the gradient's norm."""
        loop = self.config.loop
        warm = min(1.0, (self.step + 1) / max(1, loop.warmup_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = loop.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, self._progress())))
        audio, f0, known = self.heard.draw(loop.batch_size)
        logits = self.pitch(audio)
        frames = min(logits.shape[1], f0.shape[1], round(audio.shape[1] / self.pitch.sample_rate / FRAME_SECONDS))
        f0, known = f0[:, :frames], known[:, :frames]
        loss = pitch_loss(logits[:, :frames].float(), f0, self.pitch.grid, self.config.loss.pitch_sigma_cents)
        mean = weighted_sum(loss, known) / known.sum().clamp_min(1.0)
        mean.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.pitch.parameters(), loop.clip_norm)
        if not torch.isfinite(norm):
            raise SystemExit(f"step {self.step}: the gradient is not finite")
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update_parameters(self.pitch)
        return round(mean.item(), 4), round(float(norm), 3)

    def _save(self) -> None:
        state = {
            "pitch": self.pitch.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        aside = aside_path(self.state_file)
        with aside.open("wb") as file:  # by its name torch would refuse a hidden file
            torch.save(state, file)
        aside.replace(self.state_file)
        save_checkpoint(
            self.folder / "best",
            JointModel(self.separation, self.ema.module),
            separation=self.config.model.separation,
            pitch=self.config.model.pitch,
            half=True,
            metadata={
                "licence": self.config.licence,
                "training": {
                    "separation_from": self.origin,
                    "pitch_steps": self.step,
                    "hours": round(self.seconds / 3600, 3),
                    "seed": self.config.seed,
                    "corpora": json.loads((self.source / CORPORA).read_text()),
                    "torch": torch.__version__,
                    "config": without_paths(to_dict(self.config)),
                },
            },
        )


if __name__ == "__main__":
    main()
