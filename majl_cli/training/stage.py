"""What both stages share: a joint model, its data, its losses and weights, put into the training loop."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch import nn

from majl_cli.config import build, read_toml, to_dict, write_toml
from majl_cli.data.dataset import SegmentDataset, collate
from majl_cli.data.manifest import LABELS, Track, accompaniment_stems, summary
from majl_cli.device import make_runtime, resolve_device
from majl_cli.errors import ConfigError, DataError, TrainingError
from majl_cli.evaluation.model_scores import evaluate_tracks, mean_scores
from majl_cli.files import locked
from majl_cli.inference.session import Model
from majl_cli.models.checkpoint import CheckpointInfo, save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation, describe_module, separation_modules
from majl_cli.training.distributed import gather, share_batch_norms
from majl_cli.training.dwhs import Gather, Weighting, WeightingConfig, alone
from majl_cli.training.dwm import DynamicWeights
from majl_cli.training.ema import exponential_average
from majl_cli.training.loop import Listener, fit, make_optimizer
from majl_cli.training.monitors import Monitor
from majl_cli.training.stage_config import DataConfig, StageConfig, resolve_precision, without_paths
from majl_cli.training.state import TrainState, seed_everything
from majl_cli.training.step import Batch, JointLosses, LabelCounts, joint_losses

logger = logging.getLogger(__name__)


class Stage:
    """A run of one stage: built from its configuration, resumed from its folder, trained, or only looked at
    (``dry_run``)."""

    number: int
    buckets: Mapping[str, float]  # where the configuration names none

    def __init__(self, config: StageConfig, run: Path, tracks: Iterable[Track]) -> None:
        resolve_device(config.device)  # raises where it is not there; Accelerate takes the same by itself
        seed_everything(config.seed)
        self.config, self.run, self.tracks = config, run, list(tracks)
        buckets = dict(self.buckets) if config.data.buckets is None else config.data.buckets
        # Written out, so that the run's config.toml repeats the run anywhere.
        config = self.config = dataclasses.replace(config, data=dataclasses.replace(config.data, buckets=buckets))
        _check_tracks(self.tracks, config.data, buckets)
        self.precision = resolve_precision(config)
        self.accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision=self.precision,
            gradient_accumulation_steps=config.loop.accumulate,
            # The other processes wait while the main one validates.
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=4))],
        )
        several = self.accelerator.num_processes > 1
        self.joint = self._build_joint()
        self.initialise(self.joint)
        if several:
            share_batch_norms(self.joint)
        self.joint.to(self.accelerator.device).to(memory_format=torch.channels_last)
        optimizer, scheduler = make_optimizer(self.joint, config.loop)
        ema = exponential_average(self.joint, config.loop.ema_decay)
        self.state = TrainState(
            model=self.joint,
            optimizer=optimizer,
            scheduler=scheduler,
            ema=ema,
            weighting=make_weighting(
                config.weighting, device=self.accelerator.device, gather=gather if several else alone
            ),
            identity=self.identity(),
        )
        if config.loop.compile:
            _compile_networks(self.joint)
        self.dataset = self._make_dataset(buckets)
        self.validation = self._validation_tracks()

    def _build_joint(self) -> JointModel:
        model = self.config.model
        separation = build_separation(model.separation, self._separation_options())
        pitch = build_pitch(model.pitch, model.pitch_options)
        for name, module in ((model.separation, separation), (model.pitch, pitch)):
            describe_module(name, module)  # what could not be saved later is refused now
        if tuple(separation.stems) != (model.target,):
            raise ConfigError(
                f"the separation module estimates {', '.join(separation.stems)}, the target is {model.target}",
                "set model.separation_options.stems to the target alone: nothing else is trained",
            )
        return JointModel(separation, pitch, target=model.target, detach_pitch=model.cascade == "detached")

    def _separation_options(self) -> dict[str, Any]:
        """As configured; a registered module that would estimate other stems too is told to estimate the target."""
        model = self.config.model
        named = model.separation_options.keys()
        takes_stems = model.separation in separation_modules and "stems" not in named
        return {**model.separation_options, **({"stems": [model.target]} if takes_stems else {})}

    def _make_dataset(self, buckets: Mapping[str, float]) -> SegmentDataset:
        config, separation, pitch = self.config, self.joint.separation, self.joint.pitch
        loop = config.loop
        return SegmentDataset(
            [track for track in self.tracks if track.split == "train"],
            sample_rate=separation.sample_rate,
            channels=separation.channels,
            segment_seconds=config.data.segment_seconds,
            frame_seconds=pitch.hop_length / pitch.sample_rate,
            augment=config.augment,
            target=config.model.target,
            corpus_weights=config.data.weights,
            buckets=buckets,
            keep_true_labels=config.data.keep_true_labels,
            lowest_hz=config.data.lowest_hz,
            seed=config.seed,
            length=loop.steps * loop.accumulate * loop.batch_size * self.accelerator.num_processes,
            streams_folder=self.run / "synth",
        )

    def train(self, listener: Listener = lambda record: None) -> dict[str, Any]:
        """Train to the last step, going on from the run folder if it has a state; returns a summary. Raises MajlError
        where another process is training in that folder."""
        self.run.mkdir(parents=True, exist_ok=True)
        with locked(self.run, "training") if self.accelerator.is_main_process else nullcontext():
            return self._train(listener)

    def _train(self, listener: Listener) -> dict[str, Any]:
        self._check_same_config()
        if self.accelerator.is_main_process:
            for path in (self.run / "checkpoints").glob(".tmp-majl-*"):  # of a process that was killed
                path.unlink()
        resumed = self.state.load(self.run)
        if resumed:
            logger.info("resumed at step %d", self.state.step)
        self.accelerator.wait_for_everyone()  # nobody reads the old one any more
        if self.accelerator.is_main_process:
            write_toml(self.run / "config.toml", self.config)
        fit(
            accelerator=self.accelerator,
            state=self.state,
            dataset=self.dataset,
            collate=collate,
            compute=self._losses,
            validate=self.validate,
            keep_best=lambda scores: self.export(self.run / "best", scores),
            config=self.config.loop,
            run=self.run,
            monitor=Monitor(self.config.monitor),
            listener=self._listeners(listener),
        )
        best = self.state.best if math.isfinite(self.state.best) else None
        return {"steps": self.state.step, "seconds": self.state.seconds, "best": best}

    def initialise(self, joint: JointModel) -> None:
        """Put weights to start from into ``joint``; from scratch unless a stage says otherwise."""

    def identity(self) -> dict[str, str]:
        """What a run cannot be gone on with another of, in words: the stage, and the pseudo-labels it learns from."""
        made = sorted((track.corpus, track.id, track.pseudo, track.kept) for track in self.tracks if track.pseudo)
        digest = hashlib.sha256(repr(made).encode()).hexdigest()
        return {"stage": str(self.number), "set of pseudo-labels (another threshold?)": digest}

    def _losses(self, model: nn.Module, batch: Batch, counts: LabelCounts | None = None) -> JointLosses:
        independent = self.config.model.cascade == "independent"
        return joint_losses(
            model, batch, self.joint, self.config.loss, self.state.weighting, counts, independent=independent
        )

    @property
    def averaged(self) -> JointModel:
        """The model with the averaged weights."""
        return cast(JointModel, self.state.ema.module)

    def validate(self) -> dict[str, float]:
        """Score the averaged weights through the inference users get; "score" is what the best is chosen by."""
        if not self.validation:
            return {"score": float(self.state.step)}  # nothing to judge by: the last weights are kept
        averaged = self.averaged.eval()
        precision = {"bf16": "bfloat16", "no": "float32"}[self.precision]
        device = self.accelerator.device.type
        runtime = make_runtime(device, precision, torch.get_num_threads(), averaged)
        info = CheckpointInfo(name="validation", folder=self.run, architecture={})
        rows = evaluate_tracks(
            Model(averaged, info, runtime),
            self.validation,
            snr_db=self.config.validation.snr_db,
            target=self.config.model.target,
        )
        scores = mean_scores(rows)
        # One number for both tasks: a dB of separation weighs as much as five points of pitch accuracy.
        gain, rpa = scores.get("sdr_gain", 0.0), scores.get("rpa", 0.0)
        return {**scores, "score": round(gain + 20.0 * rpa - 5.0 * scores.get("vfa", 0.0), 4)}

    def export(self, folder: Path, scores: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint."""
        training = {
            "stage": self.number,
            "steps": self.state.step,
            "hours": round(self.state.seconds / 3600, 3),
            "seed": self.config.seed,
            "corpora": summary(self.tracks),
            "validation": scores,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "config": without_paths(to_dict(self.config)),
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
                losses = self._losses(model, batch)
            self.accelerator.backward(losses.total)
            optimizer.step()
            optimizer.zero_grad()
            if self.accelerator.device.type == "cuda":
                torch.cuda.synchronize()
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
            "precision": self.precision,
            "first_loss": {"separation": first.separation.item(), "pitch": first.pitch.item()},
            "seconds_per_step": seconds,
            "audio_seconds_per_second": audio / seconds,
            "peak_memory_gib": _peak_memory_gib(self.accelerator.device),
            "hours_in_all": seconds * self.config.loop.accumulate * self.config.loop.steps / 3600,
        }

    def _validation_tracks(self) -> list[Track]:
        target = self.config.model.target
        tracks = [t for t in self.tracks if t.split == "validation" and target in t.stems]
        tracks = [t for t in tracks if accompaniment_stems(t, target)]
        count = min(self.config.validation.tracks, len(tracks))
        return [tracks[i * len(tracks) // count] for i in range(count)]

    def _check_same_config(self) -> None:
        path = self.run / "config.toml"
        if not path.exists():
            return
        before, now = to_dict(build(type(self.config), read_toml(path))), to_dict(self.config)
        for table in ("model", "seed"):
            if before.get(table) != now.get(table):
                raise TrainingError(
                    f"{self.run}: was started with another {table}", "use another --out folder, or the old settings"
                )
        changed = [table for table in {**before, **now} if before.get(table) != now.get(table)]
        if changed:
            logger.warning("%s: goes on with other settings than before in: %s", self.run, ", ".join(changed))

    def _listeners(self, listener: Listener) -> Listener:
        if not (self.config.tensorboard and self.accelerator.is_main_process):
            return listener
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard is not installed", "pip install 'majl[tensorboard]', or leave it out"
            ) from error
        writer = SummaryWriter(str(self.run / "tensorboard"), purge_step=self.state.step + 1)

        def both(record: dict[str, Any]) -> None:
            listener(record)
            for key, value in record.items():
                if isinstance(value, int | float) and key != "step":
                    writer.add_scalar(f"{record['event']}/{key}", value, record["step"])
            writer.flush()

        return both


def make_weighting(config: WeightingConfig, *, device: torch.device, gather: Gather = alone) -> Weighting:
    """The variant that the configuration names."""
    if config.variant == "dwm":
        return DynamicWeights(config, device=device, gather=gather)
    return Weighting(config, gather=gather)


def _check_tracks(tracks: list[Track], config: DataConfig, buckets: Mapping[str, float]) -> None:
    """Raise DataError without a track to train on, ConfigError for a weight of what is not there."""
    if not any(track.split == "train" for track in tracks):
        raise DataError(
            "no track to train on" if tracks else "no data given",
            "give --data CORPUS=FOLDER or --manifest FILE with tracks of split train",
        )
    for bucket, share in buckets.items():
        if bucket not in LABELS or share < 0:
            raise ConfigError(
                f"data.buckets: {bucket} = {share}", f"give one of {', '.join(LABELS)} a share of 0 or more"
            )
    there = sorted({track.bucket for track in tracks if track.split == "train"})
    if buckets and not any(buckets.get(bucket, 0) > 0 for bucket in there):
        raise DataError(
            f"no training track in the buckets {', '.join(buckets)}: there is only {', '.join(there)}",
            "give tracks with these labels, or say with data.buckets which to train on",
        )
    known = sorted({track.corpus for track in tracks})
    for name, weight in config.weights.items():
        if name not in known:
            raise ConfigError(f"data.weights: no corpus {name!r} in the data", f"there are {', '.join(known)}")
        if weight < 0:
            raise ConfigError(f"data.weights: {name!r} has the weight {weight}", "use 0 or more")


def _compile_networks(joint: JointModel) -> None:
    """The averaged copy, which validation uses, stays as it is."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise TrainingError("loop.compile needs a C++ compiler, and there is none", "install g++, or leave it out")
    joint.separation.compile_network()
    joint.pitch.compile_network()


def _peak_memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    if sys.platform == "win32":
        return math.nan
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
