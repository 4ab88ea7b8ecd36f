"""Whether a confidence is the chance that it seems to be: reliability curve, expected calibration error, temperature.

Items are frames, or groups of frames of about the same confidence: ``confidence`` is then the mean of each group,
``right`` how many of it are right, and ``frames`` how many there are. Without ``frames`` each item is one frame.

Letters: N items, G temperatures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TEMPERATURES = np.geomspace(0.2, 5.0, 65)  # in steps of 5 %; the middle one is 1
UNCALIBRATED = len(TEMPERATURES) // 2
BINS = 15


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """``frames`` of about the same confidence: its mean, and the share of them that is right."""

    confidence: float
    right: float
    frames: int


def reliability_curve(confidence: Floats, right: Floats | Bools, frames: Floats | None = None) -> list[ReliabilityBin]:
    """The 15 equally wide bins of confidence that have frames; items (N,)."""
    counts = np.ones(len(confidence)) if frames is None else np.asarray(frames, np.float64)
    bins = _bins(confidence)
    total, sure, correct = (
        np.bincount(bins, weights=weights, minlength=BINS)
        for weights in (counts, counts * confidence, np.asarray(right, np.float64))
    )
    return [
        ReliabilityBin(confidence=float(sure[n] / total[n]), right=float(correct[n] / total[n]), frames=int(total[n]))
        for n in np.flatnonzero(total)
    ]


def expected_calibration_error(confidence: Floats, right: Floats | Bools, frames: Floats | None = None) -> float:
    """Mean over frames of |mean confidence - share right| of their bin, of 15 equally wide; nan without frames."""
    curve = reliability_curve(np.asarray(confidence, np.float64), right, frames)
    total = sum(part.frames for part in curve)
    return sum(part.frames * abs(part.confidence - part.right) for part in curve) / total if total else float("nan")


def negative_log_likelihood(confidence: Floats, right: Floats | Bools, frames: Floats | None = None) -> Floats:
    """Mean over frames, of confidences (N, G) at each temperature and right (N,): (G,)."""
    counts = np.ones(len(confidence)) if frames is None else np.asarray(frames, np.float64)
    safe = np.clip(confidence, 1e-4, 1.0 - 1e-4)  # one frame that is sure and wrong does not decide alone
    hits = np.asarray(right, np.float64)
    logs = hits @ np.log(safe) + (counts - hits) @ np.log(1.0 - safe)
    return np.asarray(-logs / counts.sum(), dtype=np.float64)


def at_temperature(confidence: Floats, temperature: float) -> Floats:
    """A confidence (N,) with its log odds divided by ``temperature``: above 1 it becomes less sure."""
    safe = np.clip(confidence, 1e-7, 1.0 - 1e-7)
    return np.asarray(1.0 / (1.0 + (1.0 / safe - 1.0) ** (1.0 / temperature)), dtype=np.float64)


def _bins(confidence: Floats) -> NDArray[np.int64]:
    return np.minimum((np.asarray(confidence, np.float64) * BINS).astype(np.int64), BINS - 1)
