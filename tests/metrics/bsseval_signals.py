"""Signals for the tests of BSS Eval, and the two packages it must agree with."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import mir_eval
import numpy as np
import soundfile
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE = 8000
SONG = Path(__file__).resolve().parents[2] / "examples" / "song.ogg"


def museval_metrics() -> ModuleType:
    """``museval.metrics`` alone: the package itself wants an ffmpeg executable when imported."""
    package = importlib.util.find_spec("museval")
    assert package is not None and package.origin is not None
    spec = importlib.util.spec_from_file_location("museval_metrics", Path(package.origin).with_name("metrics.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def museval_v4(references: Array, estimates: Array, rate: int) -> Array:
    """SDR, ISR, SIR, SAR (4, S, windows)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = museval_metrics().bss_eval(references, estimates, window=rate, hop=rate, compute_permutation=False)
    return np.stack(scores[:4])


def mir_eval_v3(references: Array, estimates: Array) -> Array:
    """SDR, SIR, SAR (3, S) of the channels' mean."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mono = references.mean(axis=2), estimates.mean(axis=2)
        scores = mir_eval.separation.bss_eval_sources(*mono, compute_permutation=False)
    return np.stack(scores[:3])


def noise(*, seconds: float = 3.3, sources: int = 2, channels: int = 2, seed: int = 0) -> Array:
    """Independent coloured noises (S, T, C); the channels of a source resemble each other."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((sources, round(seconds * RATE), channels))
    middle = rng.standard_normal((sources, round(seconds * RATE), 1))
    audio = white + middle
    audio[:, 1:] += 0.6 * audio[:, :-1]
    return audio


def separated(references: Array, *, seed: int = 1) -> Array:
    """One estimate of each reference (two of them), wrong in every way: filtered, leaking, noisy."""
    rng = np.random.default_rng(seed)
    estimates = 0.8 * references + 0.1 * references[::-1] + 0.05 * rng.standard_normal(references.shape)
    estimates[:, 1:] += 0.2 * references[:, :-1]
    return estimates


def distorted(references: Array) -> Array:
    """Estimates without chance or new frequencies: levels that waver, and leakage that wavers the other way."""
    waver = np.sin(np.arange(references.shape[1]) / 3000)[:, None]
    return references * (0.8 + 0.1 * waver) + 0.1 * (1 - waver) * references[::-1]


def song(seconds: float) -> tuple[Array, int]:
    """Two references (2, T, 2) made of the example song: one stretch, and a later one; and the sample rate."""
    audio, rate = soundfile.read(SONG, dtype="float64", always_2d=True)
    length = round(seconds * rate)
    return np.stack((audio[:length], audio[-length:])), rate
