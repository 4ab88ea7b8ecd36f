"""Melody measures of MIREX (Poliner et al., 2007; Bittner and Bosch, 2019), computed by mir_eval, and a few beside.

f0 in Hz: 0 is unvoiced; in the estimate a negative value is unvoiced too, and its magnitude the guess for the case
that the frame is voiced after all (only raw pitch and raw chroma read it). The estimate is brought to the reference's
times once, by mir_eval (linear in cents, unvoiced kept), and all measures speak of those frames; like mir_eval, a
reference that starts after 0 s gets a frame at 0.

Where the estimate has no frames it says that nobody sings: more than one hop before its first frame, and from one hop
after its last on. mir_eval by itself would hold the first and the last pitch there. Between frames it does hold.
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

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MelodyScores:
    """Shares in [0, 1] at 50 cents, and errors in cents.

    ``rpa`` raw pitch accuracy, ``rca`` raw chroma accuracy (octave forgiven), ``oa`` overall accuracy, ``vr`` voicing
    recall, ``vfa`` voicing false alarm, over ``frames`` reference frames. ``rpa_strict`` is ``rpa`` where a frame that
    the estimate calls unvoiced is a miss, whatever its guess. ``voicing_f1`` is the F measure of the voiced frames.

    Of the frames voiced in both: ``octave_errors`` is the share that is right but for whole octaves up or down,
    ``cents_p50`` and ``cents_p95`` are percentiles of the absolute error, octaves included.

    Without any voiced reference frame ``rpa``, ``rca``, ``vr``, ``rpa_strict`` and ``voicing_f1`` are nan, without one
    voiced in both ``octave_errors`` and the cents are; without any frame all are. Without an unvoiced reference frame
    ``vfa`` is 0, as in mir_eval.
    """

    rpa: float = math.nan
    rca: float = math.nan
    oa: float = math.nan
    vr: float = math.nan
    vfa: float = math.nan
    rpa_strict: float = math.nan
    voicing_f1: float = math.nan
    octave_errors: float = math.nan
    cents_p50: float = math.nan
    cents_p95: float = math.nan
    frames: int = 0


def melody_scores(
    reference_times: ArrayLike, reference_f0: ArrayLike, estimate_times: ArrayLike, estimate_f0: ArrayLike
) -> MelodyScores:
    """Scores of an estimate against a reference: times in s, f0 in Hz, each (N,). Raises DataError."""
    reference = _checked("reference", reference_times, reference_f0)
    estimate = _checked("estimate", estimate_times, estimate_f0)
    if not len(reference[0]):
        return MelodyScores()
    with warnings.catch_warnings():
        # Singing found nowhere, or none to find, is a result; so is an estimate with gaps.
        warnings.filterwarnings("ignore", message=".*has no voiced frames", category=UserWarning)
        warnings.filterwarnings("ignore", message="Non-uniform timescale", category=UserWarning)
        series = mir_eval.melody.to_cent_voicing(*reference, *_silent_outside(*estimate, end=reference[0][-1]))
        return _scores(*series)


def _scores(
    reference_voicing: FloatArray, reference_cents: FloatArray, estimate_voicing: FloatArray, estimate_cents: FloatArray
) -> MelodyScores:
    """The scores at the reference's times: voicing 0 or 1 and pitch in cents, 0 where there is none, each (N,)."""
    series = (reference_voicing, reference_cents, estimate_voicing, estimate_cents)
    without_guesses = (*series[:3], estimate_cents * estimate_voicing)
    rpa = mir_eval.melody.raw_pitch_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
    rca = mir_eval.melody.raw_chroma_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
    oa = mir_eval.melody.overall_accuracy(*series, cent_tolerance=TOLERANCE_CENTS)
    rpa_strict = mir_eval.melody.raw_pitch_accuracy(*without_guesses, cent_tolerance=TOLERANCE_CENTS)
    vr, vfa = mir_eval.melody.voicing_measures(reference_voicing, estimate_voicing)
    voiced = reference_voicing.sum()
    # 2 TP / (TP + FN + TP + FP)
    both = reference_voicing * estimate_voicing
    f1 = 2 * both.sum() / (voiced + estimate_voicing.sum()) if voiced else math.nan
    octave_errors, p50, p95 = _errors(np.abs(reference_cents - estimate_cents)[both > 0])
    return MelodyScores(
        rpa=float(rpa) if voiced else math.nan,
        rca=float(rca) if voiced else math.nan,
        oa=float(oa),
        vr=float(vr) if voiced else math.nan,
        vfa=float(vfa),
        rpa_strict=float(rpa_strict) if voiced else math.nan,
        voicing_f1=float(f1),
        octave_errors=octave_errors,
        cents_p50=p50,
        cents_p95=p95,
        frames=len(reference_voicing),
    )


def _errors(cents: FloatArray) -> tuple[float, float, float]:
    """Share of octave errors, median and 95th percentile of absolute errors ``cents`` (n,); nan for n = 0."""
    if not len(cents):
        return math.nan, math.nan, math.nan
    octaves = np.floor(cents / 1200 + 0.5)
    off_by_octaves = (octaves > 0) & (np.abs(cents - 1200 * octaves) < TOLERANCE_CENTS)
    p50, p95 = np.percentile(cents, [50, 95])
    return float(off_by_octaves.mean()), float(p50), float(p95)


def _checked(name: str, times: ArrayLike, f0: ArrayLike) -> tuple[FloatArray, FloatArray]:
    times, f0 = np.array(times, dtype=np.float64), np.array(f0, dtype=np.float64)
    if times.ndim != 1 or times.shape != f0.shape:
        raise DataError(f"{name}: times {times.shape} and f0 {f0.shape} differ", "give one f0 value for each time")
    if not (np.isfinite(times).all() and np.isfinite(f0).all()):
        raise DataError(f"{name}: holds values that are not finite", "write unvoiced frames as 0 Hz")
    if len(times) and (times[0] < 0 or (np.diff(times) <= 0).any()):
        raise DataError(f"{name}: times must start at 0 s or later and rise", "sort the frames, drop repeated ones")
    return times, f0


def _silent_outside(times: FloatArray, f0: FloatArray, *, end: float) -> tuple[FloatArray, FloatArray]:
    """The estimate with an unvoiced frame at 0 s and one after its last where it would leave more than a hop before
    ``end`` s, the reference's last frame, unsaid. mir_eval interpolates: there are two frames at least."""
    if not len(times):
        return np.array([0.0, 0.01]), np.zeros(2)
    hop = float(np.median(np.diff(times))) if len(times) > 1 else 0.01
    slack = 1e-6 * hop
    if times[0] > hop + slack:
        times, f0 = np.insert(times, 0, 0.0), np.insert(f0, 0, 0.0)
    if len(times) < 2 or end > times[-1] + hop + slack:
        times, f0 = np.append(times, times[-1] + hop), np.append(f0, 0.0)
    return times, f0
