"""What a training run has to remember to go on exactly where it stopped."""

from __future__ import annotations

import os
import pickle
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from majl_cli.errors import TrainingError
from majl_cli.files import aside_path
from majl_cli.models.joint import JointModel
from majl_cli.training.dwhs import Weighting

STATE_FILE = "checkpoints/last.pt"


@dataclass(kw_only=True)
class TrainState:
    """Everything that is stepped. ``step`` counts optimiser steps done; ``best`` is the best validation score;
    ``identity`` is what makes a run another run: one that is saved with another is not gone on with."""

    model: JointModel
    optimizer: Optimizer
    scheduler: LambdaLR
    ema: AveragedModel
    weighting: Weighting
    identity: dict[str, str]
    step: int = 0
    best: float = float("-inf")
    seconds: float = 0.0

    def save(self, run: Path) -> None:
        """Write ``checkpoints/last.pt`` aside and rename it."""
        path = run / STATE_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = aside_path(path)
        try:
            with aside.open("wb") as file:
                torch.save(self._to_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def load(self, run: Path) -> bool:
        """Go on from ``checkpoints/last.pt``; False if there is none. Raises TrainingError for a foreign one."""
        path = run / STATE_FILE
        if not path.exists():
            return False
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            self._check_identity(run, values["identity"])
            self.model.load_state_dict(values["model"])
            self._load_optimizer(values)
            self.ema.load_state_dict(values["ema"])
            self.weighting.load_state_dict(values["weighting"])
        except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise TrainingError(
                f"{path}: does not belong to this model: {str(error).splitlines()[0]}",
                "use another --out folder, or the configuration the run was started with",
            ) from error
        self.step, self.best, self.seconds = values["step"], values["best"], values["seconds"]
        _restore_rng(values["rng"])
        return True

    def _check_identity(self, run: Path, before: dict[str, str]) -> None:
        changed = [name for name, value in self.identity.items() if before.get(name) != value]
        if changed:
            raise TrainingError(
                f"{run}: was started with another {' and another '.join(changed)}",
                "use another --out folder, or what it was started with",
            )

    def _load_optimizer(self, values: dict[str, Any]) -> None:
        """Moments and place in the schedule; learning rate and weight decay are those of this run's configuration."""
        given = [(group["initial_lr"], group["weight_decay"]) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(values["optimizer"])
        self.scheduler.load_state_dict(values["scheduler"])
        self.scheduler.base_lrs = [rate for rate, _ in given]
        factors = [factor(self.scheduler.last_epoch) for factor in self.scheduler.lr_lambdas]
        for group, factor, (rate, decay) in zip(self.optimizer.param_groups, factors, given, strict=True):
            group.update(initial_lr=rate, lr=rate * factor, weight_decay=decay)

    def _to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "ema": self.ema.state_dict(),
            "weighting": self.weighting.state_dict(),
            "identity": self.identity,
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "rng": _rng_states(),
        }


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch: before anything is built."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _rng_states() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore_rng(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    random.setstate(states["python"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
