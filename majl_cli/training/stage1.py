"""Stage I: train the joint cascade on the fully labelled bucket (and, masked, on partly labelled tracks)."""

from __future__ import annotations

import logging
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import nn

from majl_cli.config import read_toml, to_dict, write_toml
from majl_cli.data.augment import AugmentConfig
from majl_cli.data.corpora import corpora
from majl_cli.data.dataset import SegmentDataset, collate
from majl_cli.data.manifest import Track, read_manifest, summary
from majl_cli.device import make_runtime
from majl_cli.errors import DataError, TrainingError
from majl_cli.evaluation import evaluate_tracks, mean_scores
from majl_cli.inference.session import Model
from majl_cli.models.checkpoint import CheckpointInfo, save_checkpoint
from majl_cli.models.joint import JointModel, JointOutput
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.training.ema import exponential_average
from majl_cli.training.loop import Batch, Listener, LoopConfig, fit, make_optimizer
from majl_cli.training.losses import JointLosses, LossConfig, pitch_loss, separation_loss, weighted_mean
from majl_cli.training.state import TrainState, seed_everything

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """``manifests`` are JSON Lines files; ``weights`` multiply a corpus's chance of being drawn."""

    manifests: tuple[str, ...] = ()
    segment_seconds: float = 3.0
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Registry names (or ``package.module:Class``) and their options."""

    separation: str = "unet"
    separation_options: dict[str, Any] = field(default_factory=dict)
    pitch: str = "salience-cnn"
    pitch_options: dict[str, Any] = field(default_factory=dict)
    target: str = "vocals"
    detach_pitch: bool = False


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """``tracks`` of the validation split are scored, spread evenly over it, mixed at ``snr_db``."""

    tracks: int = 16
    snr_db: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stage1Config:
    seed: int = 0
    device: str = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    licence: str = "not stated"
    tensorboard: bool = False


def joint_losses(model: nn.Module, batch: Batch, joint: JointModel, config: LossConfig) -> JointLosses:
    """Both losses of one batch; ``model`` is ``joint``, possibly wrapped for several processes."""
    output: JointOutput = model(batch["mixture"])
    estimate = output.estimates[:, joint.separation.stems.index(joint.target)].float()
    with torch.autocast(estimate.device.type, enabled=False):
        separation = separation_loss(
            estimate,
            batch["sources"][:, 0],
            batch["mixture"],
            batch["bandwidth"],
            joint.separation.sample_rate,
            config,
        )
        frames = min(output.logits.shape[1], batch["f0"].shape[1])
        f0, known = batch["f0"][:, :frames], batch["pitch_known"][:, :frames]
        pitch = pitch_loss(output.logits[:, :frames], f0, joint.pitch.grid, config.pitch_sigma_cents)
        has_sources = batch["has_sources"]
        separation_mean = weighted_mean(separation, has_sources)
        pitch_mean = weighted_mean(pitch, known)
    return JointLosses(
        total=config.omega_mss * separation_mean + config.omega_pe * pitch_mean,
        separation=separation_mean.detach(),
        pitch=pitch_mean.detach(),
        per_example=(separation * has_sources + (pitch * known).sum(dim=1)).detach(),
        omega_mss=config.omega_mss,
        omega_pe=config.omega_pe,
    )


def load_tracks(config: DataConfig, folders: Sequence[str] = ()) -> list[Track]:
    """All tracks of the manifests and of ``folders``, each ``corpus=folder``. Raises DataError."""
    tracks = [track for path in config.manifests for track in read_manifest(Path(path))]
    for item in folders:
        name, sign, folder = item.partition("=")
        if not sign or name not in corpora:
            raise DataError(f"--data {item}: no such corpus", f"write CORPUS=FOLDER with one of {', '.join(corpora)}")
        tracks += corpora[name](Path(folder))
    if not any(track.split == "train" for track in tracks):
        raise DataError(
            "no track to train on" if tracks else "no data given",
            "give --data CORPUS=FOLDER or --manifest FILE with tracks of split train",
        )
    return tracks


class Stage1:
    """A run: built from its configuration, resumed from its folder, trained, or only looked at (``dry_run``)."""

    def __init__(self, config: Stage1Config, run: Path, tracks: Iterable[Track]) -> None:
        seed_everything(config.seed)
        self.config, self.run, self.tracks = config, run, list(tracks)
        self.accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision=config.loop.precision,
            gradient_accumulation_steps=config.loop.accumulate,
        )
        separation = build_separation(config.model.separation, config.model.separation_options)
        pitch = build_pitch(config.model.pitch, config.model.pitch_options)
        self.joint = JointModel(separation, pitch, target=config.model.target, detach_pitch=config.model.detach_pitch)
        self.joint.to(self.accelerator.device).to(memory_format=torch.channels_last)
        optimizer, scheduler = make_optimizer(self.joint, config.loop)
        ema = exponential_average(self.joint, config.loop.ema_decay)
        self.state = TrainState(model=self.joint, optimizer=optimizer, scheduler=scheduler, ema=ema)
        if config.loop.compile:
            _compile_networks(self.joint)
        self.dataset = SegmentDataset(
            [track for track in self.tracks if track.split == "train"],
            sample_rate=separation.sample_rate,
            channels=separation.channels,
            segment_seconds=config.data.segment_seconds,
            frame_seconds=pitch.hop_length / pitch.sample_rate,
            augment=config.augment,
            target=config.model.target,
            corpus_weights=config.data.weights,
            seed=config.seed,
            length=config.loop.steps * config.loop.accumulate * config.loop.batch_size * self.accelerator.num_processes,
        )
        self.validation = self._validation_tracks()

    def train(self, listener: Listener = lambda record: None) -> dict[str, Any]:
        """Train to the last step, going on from the run folder if it has a state; returns a summary."""
        self.run.mkdir(parents=True, exist_ok=True)
        self._check_same_config()
        resumed = self.state.load(self.run)
        if resumed:
            logger.info("resumed at step %d", self.state.step)
        write_toml(self.run / "config.toml", self.config)
        fit(
            accelerator=self.accelerator,
            state=self.state,
            dataset=self.dataset,
            collate=collate,
            compute=lambda model, batch: joint_losses(model, batch, self.joint, self.config.loss),
            validate=self.validate,
            keep_best=lambda scores: self.export(self.run / "best", scores),
            config=self.config.loop,
            run=self.run,
            listener=self._listeners(listener),
        )
        return {"steps": self.state.step, "seconds": self.state.seconds, "best": self.state.best}

    @property
    def averaged(self) -> JointModel:
        """The model with the averaged weights."""
        return cast(JointModel, self.state.ema.module)

    def validate(self) -> dict[str, float]:
        """Score the averaged weights through the inference users get; "score" is what the best is chosen by."""
        averaged = self.averaged.eval()
        precision = {"bf16": "bfloat16", "no": "float32"}[self.config.loop.precision]
        device = self.accelerator.device.type
        runtime = make_runtime(device, precision, torch.get_num_threads(), averaged)
        info = CheckpointInfo(name="validation", folder=self.run, architecture={})
        rows = evaluate_tracks(Model(averaged, info, runtime), self.validation, snr_db=self.config.validation.snr_db)
        scores = mean_scores(rows)
        # One number for both tasks: a dB of separation weighs as much as five points of pitch accuracy.
        gain, rpa = scores.get("sdr_gain", 0.0), scores.get("rpa", 0.0)
        return {**scores, "score": round(gain + 20.0 * rpa - 20.0 * scores.get("vfa", 0.0) * 0.25, 4)}

    def export(self, folder: Path, scores: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint."""
        training = {
            "stage": 1,
            "steps": self.state.step,
            "hours": round(self.state.seconds / 3600, 3),
            "seed": self.config.seed,
            "corpora": summary(self.tracks),
            "validation": scores,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "config": to_dict(self.config),
        }
        save_checkpoint(
            folder,
            self.averaged,
            separation=self.config.model.separation,
            pitch=self.config.model.pitch,
            metadata={"licence": self.config.licence, "training": training},
        )

    def dry_run(self, steps: int = 3) -> dict[str, Any]:
        """Counts, sizes, memory and time per step, from a few real steps whose result is thrown away."""
        items = self.config.loop.batch_size
        model, optimizer = self.accelerator.prepare(self.joint, self.state.optimizer)
        first, times = None, []
        for step in range(steps):
            batch = collate([self.dataset[step * items + i] for i in range(items)])
            batch = {k: v.to(self.accelerator.device) if torch.is_tensor(v) else v for k, v in batch.items()}
            start = time.perf_counter()
            with self.accelerator.autocast():
                losses = joint_losses(model, batch, self.joint, self.config.loss)
            self.accelerator.backward(losses.total)
            optimizer.step()
            optimizer.zero_grad()
            times.append(time.perf_counter() - start)
            first = first or losses
        assert first is not None
        seconds = sorted(times)[len(times) // 2]
        audio = items * self.config.data.segment_seconds
        return {
            "data": summary(self.tracks),
            "validation_tracks": len(self.validation),
            "parameters": {
                "separation": sum(p.numel() for p in self.joint.separation.parameters()),
                "pitch": sum(p.numel() for p in self.joint.pitch.parameters()),
            },
            "device": str(self.accelerator.device),
            "precision": self.config.loop.precision,
            "first_loss": {"separation": first.separation.item(), "pitch": first.pitch.item()},
            "seconds_per_step": seconds,
            "audio_seconds_per_second": audio / seconds,
            "peak_memory_gib": _peak_memory_gib(self.accelerator.device),
            "hours_in_all": seconds * self.config.loop.accumulate * self.config.loop.steps / 3600,
        }

    def _validation_tracks(self) -> list[Track]:
        tracks = [t for t in self.tracks if t.split == "validation" and self.config.model.target in t.stems]
        tracks = [t for t in tracks if len(t.stems) > 1]
        count = min(self.config.validation.tracks, len(tracks))
        return [tracks[i * len(tracks) // count] for i in range(count)]

    def _check_same_config(self) -> None:
        path = self.run / "config.toml"
        if not path.exists():
            return
        before, now = read_toml(path), to_dict(self.config)
        for table in ("model", "seed"):
            if before.get(table) != now.get(table):
                raise TrainingError(
                    f"{self.run}: was started with another {table}", "use another --out folder, or the old settings"
                )

    def _listeners(self, listener: Listener) -> Listener:
        if not self.config.tensorboard:
            return listener
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError("TensorBoard is not installed", "pip install tensorboard, or leave it out") from error
        writer = SummaryWriter(str(self.run / "tensorboard"))

        def both(record: dict[str, Any]) -> None:
            listener(record)
            for key, value in record.items():
                if isinstance(value, int | float) and key != "step":
                    writer.add_scalar(f"{record['event']}/{key}", value, record["step"])

        return both


def _compile_networks(joint: JointModel) -> None:
    """The averaged copy, which validation uses, stays as it is."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise TrainingError("loop.compile needs a C++ compiler, and there is none", "install g++, or leave it out")
    joint.separation.compile_network()
    joint.pitch.compile_network()


def _peak_memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
