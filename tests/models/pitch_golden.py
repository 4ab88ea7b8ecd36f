"""The rules by which the reference networks of ``golden/`` were filled and fed."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def filled(shapes: dict[str, torch.Size], gain: float) -> dict[str, Tensor]:
    """A value for every name of a reference state dict: norms around 1, biases around 0, matrices by fan-in.

    Weights of two dimensions are matrices, but those of a layer norm (names ``*.3.*`` and ``*.2.*`` of FCNF0++).
    """
    return {name: torch.from_numpy(_filled(name, tuple(shape), gain)) for name, shape in shapes.items()}


def _filled(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    last = name.rsplit(".", 1)[-1]
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_mean" or last.startswith("bias"):
        return (0.3 * random.standard_normal(shape)).astype(np.float32)
    layer_norm = len(shape) == 2 and name.count(".") == 2 and name[0].isdigit()
    if last == "running_var" or len(shape) == 1 or layer_norm:
        return (0.5 + random.random_sample(shape)).astype(np.float32)
    return (gain * random.standard_normal(shape) / math.sqrt(np.prod(shape[1:]))).astype(np.float32)


def signal(samples: int, sample_rate: int) -> Tensor:
    """(1, samples): a chirp from 110 to 880 Hz with its octave and some noise."""
    time, total = np.arange(samples) / sample_rate, samples / sample_rate
    phase = 2 * np.pi * (110.0 * time + 0.5 * 770.0 / total * time * time)
    noise = np.random.RandomState(0).standard_normal((1, samples))
    return torch.from_numpy((0.3 * np.sin(phase) + 0.1 * np.sin(2 * phase) + 0.02 * noise).astype(np.float32))


def sampled(activation: Tensor, step: int) -> np.ndarray:
    """What was kept of an activation."""
    flat = activation.contiguous().reshape(-1).numpy()
    return flat[:: max(1, flat.size // 1024)][:1024][::step]
