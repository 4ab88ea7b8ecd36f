"""The configuration of a training stage, and what follows from it alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from majl_cli.data.augment import AugmentConfig
from majl_cli.errors import ConfigError
from majl_cli.training.dwhs import WeightingConfig
from majl_cli.training.failure_signs import MonitorConfig
from majl_cli.training.loop import LoopConfig
from majl_cli.training.losses import LossConfig

CASCADES = ("joint", "detached", "independent")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """``manifests`` are JSON Lines files, ``folders`` corpora as ``corpus=folder`` (or ``synth=FILE``); ``weights``
    multiply a corpus's chance of being drawn; ``buckets`` say which share of the segments each bucket (full, mss, pe,
    vocals, ...) gives, one not named gives none ({}: all tracks, each as its length says; left out: the stage's own);
    what the target has below ``lowest_hz`` is rumble and is taken out. ``keep_true_labels``: of tracks whose
    pseudo-labels the filter dropped, the labels that are true still train (false: the track or frame is left out whole,
    as the paper reads)."""

    manifests: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    segment_seconds: float = 3.0
    weights: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, float] | None = None
    keep_true_labels: bool = True
    lowest_hz: float = 0.0

    def __post_init__(self) -> None:
        if not self.segment_seconds > 0:
            raise ConfigError(f"data.segment_seconds {self.segment_seconds} is too short", "use 1 or more")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Registry names (or ``package.module:Class``) and their options.

    ``cascade``: joint (the pitch loss reaches the separation module), detached (the pitch module learns from the
    estimate, alone), independent (it learns from the target source: two modules trained as if apart).
    """

    separation: str = "unet"
    separation_options: dict[str, Any] = field(default_factory=dict)
    pitch: str = "salience-cnn"
    pitch_options: dict[str, Any] = field(default_factory=dict)
    target: str = "vocals"
    cascade: str = "joint"

    def __post_init__(self) -> None:
        if self.cascade not in CASCADES:
            raise ConfigError(f"model.cascade {self.cascade!r}", f"use one of {', '.join(CASCADES)}")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """``tracks`` of the validation split are scored, spread evenly over it, mixed at ``snr_db``."""

    tracks: int = 16
    snr_db: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Everything a training run depends on; the same for both stages."""

    seed: int = 0
    device: str = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    weighting: WeightingConfig = field(default_factory=WeightingConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    licence: str = "not stated"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} is negative", "use 0 or more")


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration for others to read: manifests and ``init`` by their file names, folders by their corpora."""
    data = dict(config["data"])
    data["manifests"] = [Path(item).name for item in data.get("manifests", [])]
    data["folders"] = [item.partition("=")[0] for item in data.get("folders", [])]
    init = {"init": Path(config["init"]).name} if "init" in config else {}
    return {**config, **init, "data": data}


def resolve_precision(config: StageConfig) -> str:
    """ "bf16" or "no": for auto, bf16 where there are instructions for it, the same on every start."""
    if config.loop.precision != "auto":
        return config.loop.precision
    if torch.cuda.is_available() and config.device != "cpu":
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    if torch.backends.mps.is_available() and config.device != "cpu":
        return "no"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"
