"""Train a joint model for as long as a GPU is lent: Stage I with DWHS, with batches made on the GPU itself.

    python examples/recipes/v1/train_on_gpu.py base.toml train.jsonl runs/v1 --minutes 9

The configuration is that of ``majl train-stage1`` (model, loss, weighting, data.weights, batch size and rates of the
loop); losses, weighting and averaging are majl's own. The learning rate falls with the time that is left, not with
steps: the machine decides how many there are. Started again with more ``--minutes``, it goes on from the last save.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import tomllib
from pathlib import Path
from typing import Any

import torch
from gpu_segments import Chances, GpuSegments

from majl_cli.config import build, to_dict
from majl_cli.data.manifest import read_manifest, summary
from majl_cli.files import aside_path
from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.training.dwhs import Weighting
from majl_cli.training.ema import exponential_average
from majl_cli.training.loop import make_optimizer
from majl_cli.training.stage_config import StageConfig, without_paths
from majl_cli.training.step import joint_losses

SAVE_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("run", type=Path, help="folder for the log, the state and the checkpoint")
    parser.add_argument("--minutes", type=float, required=True, help="training time in all, earlier starts counted in")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    arguments = parser.parse_args()
    config = build(StageConfig, tomllib.loads(arguments.config.read_text()), section="config")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    Run(config, arguments).train()


class Run:
    """A training run on one GPU: what is stepped, and for how long."""

    def __init__(self, config: StageConfig, arguments: argparse.Namespace) -> None:
        self.config, self.folder, self.device = config, arguments.run, arguments.device
        self.limit = 60.0 * arguments.minutes
        self.dtype = getattr(torch, arguments.dtype)
        torch.manual_seed(config.seed)
        model = config.model
        joint = JointModel(
            build_separation(model.separation, model.separation_options),
            build_pitch(model.pitch, model.pitch_options),
            target=model.target,
        )
        self.joint = joint.to(self.device, memory_format=torch.channels_last)
        self.ema = exponential_average(self.joint, config.loop.ema_decay)
        self.optimizer, _ = make_optimizer(self.joint, config.loop)
        self.weighting = Weighting(config.weighting)
        self.step, self.seconds = 0, 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state_file = self.folder / "state.pt"
        if self.state_file.exists():
            self._resume()
        tracks = [track for track in read_manifest(arguments.manifest) if track.split == "train"]
        self.corpora = summary(tracks)
        self.data = GpuSegments(
            tracks,
            sample_rate=self.joint.separation.sample_rate,
            seconds=config.data.segment_seconds,
            corpus_weights=config.data.weights,
            chances=Chances(),
            lowest_hz=config.data.lowest_hz,
            device=self.device,
            seed=config.seed + 1000 * self.step,
        )

    def train(self) -> None:
        """Step until the time is up; then save and export."""
        loop, clock, saved = self.config.loop, time.monotonic(), self.seconds
        before = self.seconds
        self.joint.train()
        while self.seconds < self.limit:
            self._set_rate()
            batch: dict[str, Any] = self.data.batch(loop.batch_size)
            with torch.autocast(torch.device(self.device).type, self.dtype, enabled=self.dtype != torch.float32):
                losses = joint_losses(self.joint, batch, self.joint, self.config.loss, self.weighting)
            losses.total.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.joint.parameters(), loop.clip_norm)
            if not torch.isfinite(norm):
                raise SystemExit(f"step {self.step}: the gradient is not finite")
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.update_parameters(self.joint)
            self.step += 1
            self.seconds = before + time.monotonic() - clock
            if self.step % loop.log_every == 0:
                self._log(losses, float(norm))
            if self.seconds - saved > SAVE_SECONDS:
                saved = self.seconds
                self._save()
        self._save()

    def _set_rate(self) -> None:
        loop, progress = self.config.loop, min(1.0, self.seconds / self.limit)
        warm = min(1.0, (self.step + 1) / max(1, loop.warmup_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = loop.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * progress))

    def _log(self, losses: Any, norm: float) -> None:
        record = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(losses.total.item(), 5),
            "loss_mss": round(losses.separation.item(), 5),
            "loss_pe": round(losses.pitch.item(), 5),
            "gradient_norm": round(norm, 3),
        }
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(self.folder.name, record, flush=True)

    def _save(self) -> None:
        state = {
            "model": self.joint.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        aside = aside_path(self.state_file)
        with aside.open("wb") as file:
            torch.save(state, file)
        aside.replace(self.state_file)
        model = self.config.model
        save_checkpoint(
            self.folder / "best",
            self.ema.module,
            separation=model.separation,
            pitch=model.pitch,
            half=True,
            metadata={
                "licence": self.config.licence,
                "training": {
                    "stage": 1,
                    "steps": self.step,
                    "hours": round(self.seconds / 3600, 3),
                    "seed": self.config.seed,
                    "corpora": self.corpora,
                    "torch": torch.__version__,
                    "config": without_paths(to_dict(self.config)),
                },
            },
        )

    def _resume(self) -> None:
        state = torch.load(self.state_file, map_location=self.device, weights_only=True)
        self.joint.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


if __name__ == "__main__":
    main()
