"""Melody measures of MIREX (Poliner et al., 2007; Bittner and Bosch, 2019), computed by mir_eval.

f0 in Hz: 0 is unvoiced; in the estimate a negative value is unvoiced too, and its magnitude the guess for the case
that the frame is voiced after all (only raw pitch and raw chroma read it). The estimate is brought to the reference's
times by mir_eval (linear in cents, unvoiced kept); like mir_eval, a reference that starts after 0 s gets a frame at 0.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import mir_eval
import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError

TOLERANCE_CENTS = 50.0


@dataclass(frozen=True, kw_only=True)
class MelodyScores:
    """Shares in [0, 1] at 50 cents.

    ``rpa`` raw pitch accuracy, ``rca`` raw chroma accuracy (octave forgiven), ``oa`` overall accuracy, ``vr`` voicing
    recall, ``vfa`` voicing false alarm, over ``frames`` reference frames. Without any voiced reference frame ``rpa``,
    ``rca`` and ``vr`` are nan; without any frame all are. Without an unvoiced one ``vfa`` is 0, as in mir_eval.
    """

    rpa: float
    rca: float
    oa: float
    vr: float
    vfa: float
    frames: int


def melody_scores(
    reference_times: ArrayLike, reference_f0: ArrayLike, estimate_times: ArrayLike, estimate_f0: ArrayLike
) -> MelodyScores:
    """Scores of an estimate against a reference: times in s, f0 in Hz, each (N,). Raises DataError."""
    reference = _checked("reference", reference_times, reference_f0)
    estimate = _checked("estimate", estimate_times, estimate_f0)
    if not len(reference[0]):
        return MelodyScores(rpa=math.nan, rca=math.nan, oa=math.nan, vr=math.nan, vfa=math.nan, frames=0)
    with warnings.catch_warnings():
        # Singing found nowhere, or none to find, is a result; so is a reference with gaps.
        warnings.filterwarnings("ignore", message=".*has no voiced frames", category=UserWarning)
        warnings.filterwarnings("ignore", message="Non-uniform timescale", category=UserWarning)
        series = mir_eval.melody.to_cent_voicing(*reference, *_at_least_two(*estimate))
        rpa = mir_eval.melody.raw_pitch_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
        rca = mir_eval.melody.raw_chroma_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
        oa = mir_eval.melody.overall_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
        vr, vfa = mir_eval.melody.voicing_measures(series[0], series[2])
    if not series[0].any():
        rpa = rca = vr = math.nan
    return MelodyScores(
        rpa=float(rpa), rca=float(rca), oa=float(oa), vr=float(vr), vfa=float(vfa), frames=len(series[0])
    )


def _checked(name: str, times: ArrayLike, f0: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, f0 = np.array(times, dtype=np.float64), np.array(f0, dtype=np.float64)
    if times.ndim != 1 or times.shape != f0.shape:
        raise DataError(f"{name}: times {times.shape} and f0 {f0.shape} differ", "give one f0 value for each time")
    if not (np.isfinite(times).all() and np.isfinite(f0).all()):
        raise DataError(f"{name}: holds values that are not finite", "write unvoiced frames as 0 Hz")
    if len(times) and (times[0] < 0 or (np.diff(times) <= 0).any()):
        raise DataError(f"{name}: times must start at 0 s or later and rise", "sort the frames, drop repeated ones")
    return times, f0


def _at_least_two(
    times: NDArray[np.float64], f0: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mir_eval interpolates between frames: an estimate with fewer than two gets unvoiced ones."""
    while len(times) < 2:
        times = np.append(times, times[-1] + 0.01 if len(times) else 0.0)
        f0 = np.append(f0, 0.0)
    return times, f0
