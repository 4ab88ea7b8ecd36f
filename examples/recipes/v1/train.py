"""Train a joint model for as long as a machine is at hand, with batches made where the network runs.

    python examples/recipes/v1/train.py base.toml train.jsonl runs/v1 --minutes 9
    python examples/recipes/v1/train.py unet.toml train.jsonl runs/unet --steps 300 --device cpu --threads 1
    torchrun --nproc-per-node 2 examples/recipes/v1/train.py base.toml train.jsonl runs/v1 --steps 3000 --threads 1

The configuration is that of ``majl train-stage1`` (model, loss, weighting, data.weights, batch size and rates of the
loop); losses, DWHS and averaging are majl's own. The learning rate falls with what is left of ``--minutes`` or
``--steps``. Started again with more of them, it goes on from the last save. Under torchrun each process takes its share
of every batch, which on a CPU is faster than threads are; it needs ``--steps`` and trains both modules.
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
import torch.distributed
from safetensors.torch import load_file
from segments import Chances, Segments
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from majl_cli.config import build, to_dict
from majl_cli.data.manifest import read_manifest, summary
from majl_cli.files import aside_path
from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.training.distributed import share_batch_norms
from majl_cli.training.dwhs import Weighting
from majl_cli.training.ema import exponential_average
from majl_cli.training.loop import make_optimizer
from majl_cli.training.losses import pitch_loss, weighted_sum
from majl_cli.training.stage_config import StageConfig, without_paths
from majl_cli.training.step import JointLosses, joint_losses

SAVE_SECONDS = 60.0
PLAIN = Chances(reverb=0.0, colour=0.0, saturation=0.0, narrow=0.0, second_voice=0.0, second_accompaniment=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("run", type=Path, help="folder for the log, the state and the checkpoint")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="training time in all, earlier starts counted in")
    length.add_argument("--steps", type=int, help="steps in all, earlier starts counted in")
    parser.add_argument("--separation-from", type=Path, help="checkpoint whose separation module is taken on")
    parser.add_argument("--pitch-from", type=Path, help="checkpoint whose pitch module is taken on")
    parser.add_argument("--pitch-only", action="store_true", help="train the pitch module, on the clean voices")
    parser.add_argument("--cache", type=Path, help="folder for the decoded audio of this manifest, kept for other runs")
    parser.add_argument("--plain", action="store_true", help="augment by remixing, level, speed and rests only")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    bfloat16 = torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16" if bfloat16 else "float32")
    arguments = parser.parse_args()
    config = build(StageConfig, tomllib.loads(arguments.config.read_text()), section="config")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if torch.distributed.is_torchelastic_launched():
        if arguments.minutes or arguments.pitch_only:
            parser.error("several processes take --steps, at which all stop, and train both modules")
        torch.distributed.init_process_group("gloo")
    Run(config, arguments).train()


def take_on(joint: JointModel, name: str, folder: Path) -> None:
    """Copy the separation or the pitch module of a checkpoint, which must have the very shape of ours."""
    weights = load_file(folder / "model.safetensors")
    part = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
    getattr(joint, name).load_state_dict(part)


class Run:
    """A training run on one GPU: what is stepped, and for how long."""

    def __init__(self, config: StageConfig, arguments: argparse.Namespace) -> None:
        self.config, self.folder, self.device = config, arguments.run, arguments.device
        several = torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if several else 0
        self.processes = torch.distributed.get_world_size() if several else 1
        self.minutes, self.steps, self.pitch_only = arguments.minutes, arguments.steps, arguments.pitch_only
        self.dtype = getattr(torch, arguments.dtype)
        torch.manual_seed(config.seed)
        model = config.model
        joint = JointModel(
            build_separation(model.separation, model.separation_options),
            build_pitch(model.pitch, model.pitch_options),
            target=model.target,
        )
        self.origins = {}
        for name, folder in (("separation", arguments.separation_from), ("pitch", arguments.pitch_from)):
            if folder is not None:
                take_on(joint, name, folder)
                self.origins[name] = folder.name
        self.joint = joint.to(self.device, memory_format=torch.channels_last)
        self.model: nn.Module = self.joint
        if several:
            share_batch_norms(self.joint)
            self.model = DistributedDataParallel(self.joint)
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
        self.data = Segments(
            tracks,
            sample_rate=self.joint.separation.sample_rate,
            seconds=config.data.segment_seconds,
            corpus_weights=config.data.weights,
            chances=PLAIN if arguments.plain else Chances(),
            lowest_hz=config.data.lowest_hz,
            device=self.device,
            seed=config.seed + 1000 * self.step + self.rank,
            cache=arguments.cache,
        )

    def train(self) -> None:
        """Step until the time is up or the steps are done; then save and export."""
        loop, clock, saved = self.config.loop, time.monotonic(), self.seconds
        before = self.seconds
        self.joint.train()
        while self._progress() < 1.0:
            self._set_rate()
            batch: dict[str, Any] = self.data.batch(loop.batch_size // self.processes)
            with torch.autocast(torch.device(self.device).type, self.dtype, enabled=self.dtype != torch.float32):
                losses = self._pitch_losses(batch) if self.pitch_only else self._joint_losses(batch)
            losses.total.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.joint.parameters(), loop.clip_norm)
            if not torch.isfinite(norm):
                raise SystemExit(f"step {self.step}: the gradient is not finite")
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.update_parameters(self.joint)
            self.step += 1
            self.seconds = before + time.monotonic() - clock
            if self.rank:
                continue
            if self.step % loop.log_every == 0:
                self._log(losses, float(norm))
            if self.seconds - saved > SAVE_SECONDS:
                saved = self.seconds
                self._save()
        if not self.rank:
            self._save()
        if self.processes > 1:
            torch.distributed.destroy_process_group()

    def _joint_losses(self, batch: dict[str, Any]) -> JointLosses:
        return joint_losses(self.model, batch, self.joint, self.config.loss, self.weighting)

    def _pitch_losses(self, batch: dict[str, Any]) -> JointLosses:
        """The pitch loss on the clean voices, in the place of all losses."""
        logits = self.joint.pitch(self.joint.hand_over(batch["sources"][:, 0]))
        frames = min(logits.shape[1], batch["f0"].shape[1])
        f0, known = batch["f0"][:, :frames], batch["pitch_known"][:, :frames]
        loss = pitch_loss(logits[:, :frames].float(), f0, self.joint.pitch.grid, self.config.loss.pitch_sigma_cents)
        mean = weighted_sum(loss, known) / known.sum().clamp_min(1.0)
        none = torch.zeros_like(mean)
        return JointLosses(total=self.config.loss.omega_pe * mean, separation=none, pitch=mean, per_example=none[None])

    def _progress(self) -> float:
        """How much of the time or of the steps is done; 1 at the end."""
        return self.seconds / (60.0 * self.minutes) if self.minutes else self.step / self.steps

    def _set_rate(self) -> None:
        loop, progress = self.config.loop, min(1.0, self._progress())
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
        origins = {"taken_on": self.origins} if self.origins else {}
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
                    **origins,
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
