"""The training loop both stages share: a stage supplies data, losses and validation.

Seed, then build, then resume. Item i of the data is a pure function of (seed, i), so the data order of a resumed run
is that of an unbroken one without storing it.
"""

from __future__ import annotations

import itertools
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, Sampler

from majl_cli.errors import ConfigError, MajlError, TrainingError
from majl_cli.files import aside_path
from majl_cli.training.monitors import Monitor
from majl_cli.training.state import TrainState
from majl_cli.training.step import Batch, JointLosses, LabelCounts, count_labels

Listener = Callable[[dict[str, Any]], None]
PRECISIONS = ("auto", "bf16", "no")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """``steps`` are optimiser steps of ``accumulate`` batches of ``batch_size`` segments each (per process).

    ``precision`` is bf16, no (float32) or auto (bf16 where the device computes in it); ``compile`` makes the networks
    faster with torch.compile, after a minute or two at the start; ``workers`` processes load data;
    ``validate_every`` and ``save_every`` count steps, ``log_every`` thins the log.
    """

    steps: int = 3000
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 150
    clip_norm: float = 5.0
    ema_decay: float = 0.999
    precision: str = "auto"
    compile: bool = False
    workers: int = 1
    validate_every: int = 250
    save_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"loop.precision {self.precision!r}", f"use one of {', '.join(PRECISIONS)}")
        least = {"steps": 1, "batch_size": 1, "accumulate": 1, "workers": 0, "warmup_steps": 0}
        least |= {"validate_every": 1, "save_every": 1, "log_every": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"loop.{name} {getattr(self, name)} is too small", f"use {lowest} or more")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"loop.{name} {getattr(self, name)} is too small", "use a number above 0")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"loop.ema_decay {self.ema_decay} is no share", "use 0 or more, and less than 1")


class Guarded(Dataset[Any]):
    """The same items; what a track's file has wrong comes back as a value, since a worker process would turn it
    into a traceback."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except MajlError as error:
            return error

    @staticmethod
    def collated(collate: Callable[[list[Any]], Batch], items: list[Any]) -> Batch | MajlError:
        """The batch, or the first error among its items."""
        return next((item for item in items if isinstance(item, MajlError)), None) or collate(items)


class SegmentOrder(Sampler[int]):
    """The item numbers process ``rank`` of ``world`` sees from micro-batch ``start`` on."""

    def __init__(self, *, start: int, stop: int, batch_size: int, rank: int, world: int) -> None:
        self.start, self.stop, self.batch_size, self.rank, self.world = start, stop, batch_size, rank, world

    def __iter__(self) -> Iterator[int]:
        for batch in range(self.start, self.stop):
            first = (batch * self.world + self.rank) * self.batch_size
            yield from range(first, first + self.batch_size)

    def __len__(self) -> int:
        return max(0, self.stop - self.start) * self.batch_size


def make_optimizer(model: nn.Module, config: LoopConfig) -> tuple[torch.optim.AdamW, LambdaLR]:
    """AdamW, no decay on vectors (norms, biases); linear warm-up, then a cosine to zero at the last step."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
        progress = max(0, step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return optimizer, LambdaLR(optimizer, factor)


def fit(
    *,
    accelerator: Accelerator,
    state: TrainState,
    dataset: Dataset[Batch],
    collate: Callable[[list[Any]], Batch],
    compute: Callable[[nn.Module, Batch, LabelCounts], JointLosses],
    validate: Callable[[], dict[str, float]],
    keep_best: Callable[[dict[str, float]], None],
    config: LoopConfig,
    run: Path,
    monitor: Monitor,
    listener: Listener,
) -> None:
    """Step until ``config.steps`` or Ctrl-C; the state is saved in either case (KeyboardInterrupt is raised after).

    ``validate`` scores the averaged weights and returns numbers, "score" among them; ``keep_best`` is called when the
    score is a new best. What ``monitor`` warns of goes to the log and the listener too. Raises TrainingError, naming
    the tracks, when a loss or gradient is not finite.
    """
    model, optimizer = accelerator.prepare(state.model, state.optimizer)
    loader = _loader(dataset, collate, state.step, config, accelerator)
    log = Log(run / "log.jsonl", from_step=state.step, enabled=accelerator.is_main_process)
    monitor.restore(log.lines())

    def tell(record: dict[str, Any]) -> None:
        for item in (record, *(warning.record() for warning in monitor(record))):
            log.write(item)
            listener(item)

    model.train()
    several = accelerator.num_processes > 1
    with _interruptible(patience=5.0 if several else 0.0) as interrupted:
        clock = time.perf_counter()
        for batches in _steps(loader, config.accumulate, accelerator.device):
            counts, stops = _over_all(count_labels(batches), bool(interrupted), accelerator)
            for batch in batches:
                with accelerator.accumulate(model):
                    with accelerator.autocast():
                        losses = compute(model, batch, counts)
                    _check_finite(losses, batch, state.step)
                    accelerator.backward(losses.total)
                    if accelerator.sync_gradients:
                        norm = float(accelerator.clip_grad_norm_(model.parameters(), config.clip_norm))
                        if not math.isfinite(norm):
                            raise _not_finite("gradient", batch["track"], state.step)
                    optimizer.step()
                    optimizer.zero_grad()
            state.scheduler.step()
            state.ema.update_parameters(accelerator.unwrap_model(model))
            state.step += 1
            now = time.perf_counter()
            state.seconds, clock = state.seconds + now - clock, now
            if state.step % config.log_every == 0 or state.step == config.steps:
                tell(_record(state, losses, norm))
            last = state.step == config.steps
            if accelerator.is_main_process and (state.step % config.validate_every == 0 or last):
                scores = validate()
                tell({"event": "validation", "step": state.step, **scores})
                if scores["score"] > state.best:
                    state.best = scores["score"]
                    keep_best(scores)
                clock = time.perf_counter()
            stops = stops if several else bool(interrupted)  # several stop together, after the same step
            if accelerator.is_main_process and (state.step % config.save_every == 0 or last or stops):
                state.save(run)
            if stops:
                raise KeyboardInterrupt


def _steps(loader: Iterator[Batch | MajlError], accumulate: int, device: torch.device) -> Iterator[list[Batch]]:
    """The batches of one optimiser step at a time, on the device. Raises what a track's file has wrong."""
    batches: list[Batch] = []
    for batch in loader:
        if isinstance(batch, MajlError):
            raise batch
        batches.append({k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()})
        if len(batches) == accumulate:
            yield batches
            batches = []


def _over_all(counts: LabelCounts, stops: bool, accelerator: Accelerator) -> tuple[LabelCounts, bool]:
    """The counts of all processes together, and whether any of them was told to stop."""
    if accelerator.num_processes == 1:
        return counts, stops
    own = torch.stack((counts.sources, counts.pitch, counts.both, counts.both.new_tensor(float(stops))))
    sources, pitch, both, told = accelerator.reduce(own, "sum")
    shares = counts.shares * accelerator.num_processes
    return LabelCounts(sources=sources, pitch=pitch, both=both, shares=shares), bool(told)


class Log:
    """``log.jsonl``: one object a line. Lines of steps the resumed state does not have are dropped."""

    def __init__(self, path: Path, *, from_step: int, enabled: bool) -> None:
        self.path, self.enabled = path, enabled
        if enabled and path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= from_step]
            aside = aside_path(path)
            aside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            aside.replace(path)

    def lines(self) -> list[str]:
        """What there is."""
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def write(self, record: dict[str, Any]) -> None:
        if self.enabled:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line from a killed process


def _loader(
    dataset: Dataset[Batch], collate: Callable[[list[Any]], Batch], step: int, config: LoopConfig, acc: Accelerator
) -> Iterator[Batch | MajlError]:
    order = SegmentOrder(
        start=step * config.accumulate,
        stop=config.steps * config.accumulate,
        batch_size=config.batch_size,
        rank=acc.process_index,
        world=acc.num_processes,
    )
    loader = DataLoader(
        Guarded(dataset),
        batch_size=config.batch_size,
        sampler=order,
        num_workers=config.workers,
        collate_fn=partial(Guarded.collated, collate),
        # A generator of its own: drawing the workers' seeds from the global one would make a resumed run differ.
        generator=torch.Generator().manual_seed(0),
        worker_init_fn=_ignore_interrupt,
        prefetch_factor=4 if config.workers else None,
    )
    return itertools.chain(loader)


def _ignore_interrupt(_: int) -> None:
    """Ctrl-C reaches every process of the terminal; only the main one decides what it means. SIGTERM is how it ends
    its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _interruptible(*, patience: float) -> Iterator[list[float]]:
    """A list that becomes non-empty at the first Ctrl-C or SIGTERM: no step is cut in two. A second one kills, from
    ``patience`` seconds on: what starts several processes passes on a signal that the terminal has sent them too."""
    pressed: list[float] = []

    def note(_signal: int, _frame: object) -> None:
        if pressed and time.monotonic() - pressed[0] >= patience:
            raise KeyboardInterrupt
        pressed.append(time.monotonic())

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: nobody presses Ctrl-C here
        yield pressed
        return
    try:
        yield pressed
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _check_finite(losses: JointLosses, batch: Batch, step: int) -> None:
    if torch.isfinite(losses.total):
        return
    bad = [name for name, x in zip(batch["track"], losses.per_example, strict=True) if not torch.isfinite(x)]
    raise _not_finite("loss", bad or ["another process's batch"], step)


def _not_finite(what: str, tracks: list[str], step: int) -> TrainingError:
    return TrainingError(
        f"step {step + 1}: the {what} is not finite, from {'; '.join(tracks)}",
        "listen to these tracks; or lower loop.learning_rate or loop.clip_norm and start again: the run resumes",
    )


def _record(state: TrainState, losses: JointLosses, norm: float) -> dict[str, Any]:
    return {
        "event": "step",
        "step": state.step,
        "loss": round(losses.total.item(), 5),
        "loss_mss": round(losses.separation.item(), 5),
        "loss_pe": round(losses.pitch.item(), 5),
        **{key: round(value, 4) for key, value in losses.log.items()},
        "gradient_norm": round(norm, 4),
        "learning_rate": state.scheduler.get_last_lr()[0],
        "seconds": round(state.seconds, 2),
    }
