"""Where the network runs: device, precision, threads. torch is imported on use only."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from majl_cli.errors import DeviceError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cuda", "mps", "cpu")
CUDA_BATCH = 8  # a CPU gains nothing by it, and holds more
PROBE_TURNS, SLOW_SECONDS = 5, 0.5
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """``device`` of torch, ``precision`` one of float32, bfloat16, float16, ``threads`` on the CPU; ``batch`` chunks of
    audio are computed at once."""

    device: torch.device
    precision: str = "float32"
    threads: int = 1
    batch: int = 1

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision inside the block; nothing changes for float32."""
        import torch

        if self.precision == "float32":
            yield
            return
        with torch.autocast(self.device.type, dtype=getattr(torch, self.precision)):
            yield

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' if self.threads != 1 else ''}" if self.device.type == "cpu" else ""
        return f"{self.device}, {self.precision}{threads}"


def resolve_device(name: str = "auto") -> torch.device:
    """CUDA if there is one, else MPS, else CPU; or the named one. Raises DeviceError if it is not there."""
    import torch

    if name not in DEVICES:
        raise DeviceError(f"no device {name!r}", f"use one of {', '.join(DEVICES)}")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if available[device])
    elif not available[name]:
        usable = ", ".join(device for device, there in available.items() if there)
        raise DeviceError(f"no {name} device on this machine", f"use --device {usable.split(', ')[0]} or auto")
    return torch.device(name)


def make_runtime(
    device: str = "auto", precision: str = "auto", threads: int | None = None, joint: Any | None = None
) -> Runtime:
    """Choose and prepare: sets torch's thread count, moves ``joint`` to the device.

    ``precision="auto"``: float16 on CUDA; on a CPU the faster of float32 and bfloat16, measured on ``joint``
    (float32 where there are no instructions for bfloat16); float32 otherwise. Raises DeviceError.
    """
    import torch

    if precision not in PRECISIONS:
        raise DeviceError(f"no precision {precision!r}", f"use one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise DeviceError(f"{threads} threads", "use --threads 1 or more")
    resolved = resolve_device(device)
    count = threads or usable_cores()
    torch.set_num_threads(count)
    if joint is not None:
        joint.to(resolved)
        if resolved.type == "cpu":
            joint.to(memory_format=torch.channels_last)
    if precision == "float16" and resolved.type == "cpu":
        raise DeviceError("float16 is not for CPUs", "use --precision bfloat16 or float32")
    if precision == "auto":
        precision = {"cuda": "float16"}.get(resolved.type, "float32")
        if resolved.type == "cpu" and joint is not None:
            precision = _faster_precision(joint, resolved, count)
    batch = CUDA_BATCH if resolved.type == "cuda" else 1
    return Runtime(device=resolved, precision=precision, threads=count, batch=batch)


def usable_cores() -> int:
    """Cores this process may run on (an affinity mask or container may give fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _faster_precision(joint: Any, device: torch.device, threads: int) -> str:
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "float32"
    excerpt = torch.zeros(1, joint.separation.channels, joint.separation.sample_rate)
    times: dict[str, float] = {}
    # In turns, and the best of each: whatever else runs on the machine only ever makes a run slower.
    for turn in range(PROBE_TURNS):
        for precision in ("float32", "bfloat16"):
            runtime = Runtime(device=device, precision=precision, threads=threads)
            try:
                with torch.inference_mode(), runtime.autocast():
                    seconds = _timed(joint.separation, excerpt)
            except RuntimeError:
                if precision == "float32":
                    raise
                return "float32"  # not every layer can
            times[precision] = seconds if turn == 1 else min(seconds, times.get(precision, seconds))
        if turn == 0 and max(times.values()) > SLOW_SECONDS:
            break  # warming up does not matter to such a network, and each further turn would
    return min(times, key=lambda name: times[name])


def _timed(module: Any, excerpt: Any) -> float:
    start = time.perf_counter()
    module(excerpt)
    return time.perf_counter() - start
