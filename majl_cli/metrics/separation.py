"""Energy ratios in dB between a reference and what an estimate has wrong.

Audio is (samples,) or (samples, channels); one ratio is taken over all samples and channels together, in float64.
Silence and perfection: a silent reference gives nan (no level to compare with), an estimate without any error inf.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError

LEAKAGE_PIECE_SECONDS = 0.05
_BLOCK = 1 << 20  # samples at a time, so that float64 copies stay small


def global_sdr(*, estimate: ArrayLike, reference: ArrayLike) -> float:
    """Signal-to-distortion ratio 10 log10(sum r² / sum (r - e)²) in dB.

    The "global SDR" or uSDR of the Music Demixing challenges (Mitsufuji et al., 2022) when taken over a whole track;
    a silent estimate gives 0. Raises DataError if the shapes differ.
    """
    estimate, reference = _same_shape(estimate, reference)
    signal = error = 0.0
    for start in range(0, len(reference), _BLOCK):
        r = reference[start : start + _BLOCK].astype(np.float64)
        signal += float(np.square(r).sum())
        error += float(np.square(r - estimate[start : start + _BLOCK]).sum())
    return ratio_db(signal, error)


def si_sdr(*, estimate: ArrayLike, reference: ArrayLike) -> float:
    """Scale-invariant SDR in dB: the ratio of a·r and e - a·r, with a = <e, r> / <r, r>, means not removed.

    Le Roux et al., "SDR: half-baked or well done?" (ICASSP 2019). An estimate orthogonal to the reference, a silent
    one among them, gives -inf. Raises DataError if the shapes differ.
    """
    estimate, reference = _same_shape(estimate, reference)
    product = energy = 0.0
    for start in range(0, len(reference), _BLOCK):
        r = reference[start : start + _BLOCK].astype(np.float64)
        energy += float(np.square(r).sum())
        product += float((r * estimate[start : start + _BLOCK]).sum())
    if energy == 0:
        return math.nan
    gain = product / energy
    error = 0.0
    for start in range(0, len(reference), _BLOCK):
        r = gain * reference[start : start + _BLOCK].astype(np.float64)
        error += float(np.square(estimate[start : start + _BLOCK] - r).sum())
    return -math.inf if gain == 0 else ratio_db(gain**2 * energy, error)


def clip_snr(*, estimate: ArrayLike, reference: ArrayLike, sample_rate: int) -> float:
    """Median over clips of 1 s of the energy ratio of ``global_sdr`` in dB; clips whose reference is silent do not
    count, and nan if all are. A last clip that is shorter counts like the others.

    It is what BSS Eval v4 calls SDR, but for the windows that are skipped there because another source is silent.
    Raises DataError if the shapes differ.
    """
    estimate, reference = _same_shape(estimate, reference)
    starts = range(0, len(reference), sample_rate)
    clips = [
        global_sdr(estimate=estimate[start : start + sample_rate], reference=reference[start : start + sample_rate])
        for start in starts
    ]
    counted = [clip for clip in clips if not math.isnan(clip)]
    return float(np.median(counted)) if counted else math.nan


def leakage_db(
    *, estimate: ArrayLike, reference: ArrayLike, mixture: ArrayLike, sample_rate: int, silence_db: float = -40.0
) -> float:
    """Level of the estimate relative to the mixture, in dB, where the reference is silent: what was invented or leaked.

    Silent are pieces of 50 ms whose energy lies ``silence_db`` below the mean of all pieces of the reference. nan if
    there are none, or the mixture is silent there; -inf for an estimate that is silent there. Raises DataError if the
    shapes differ.
    """
    estimate, reference = _same_shape(estimate, reference)
    mixture, _ = _same_shape(mixture, reference)
    piece = max(1, round(LEAKAGE_PIECE_SECONDS * sample_rate))
    starts = np.arange(0, len(reference), piece)

    def energies(audio: NDArray[np.floating]) -> NDArray[np.float64]:
        squares = np.square(audio, dtype=np.float64).reshape(len(audio), -1).sum(axis=1)
        return np.add.reduceat(squares, starts) if len(squares) else np.zeros(0)

    return leakage_from_energies(energies(estimate), energies(reference), energies(mixture), silence_db)


def leakage_from_energies(
    estimate: NDArray[np.float64], reference: NDArray[np.float64], mixture: NDArray[np.float64], silence_db: float
) -> float:
    """``leakage_db`` from the energies of pieces of 50 ms, each (pieces,)."""
    silent = reference <= 10.0 ** (silence_db / 10.0) * reference.mean() if len(reference) else np.zeros(0, bool)
    heard, there = float(estimate[silent].sum()), float(mixture[silent].sum())
    if there == 0:
        return math.nan
    return -math.inf if heard == 0 else 10.0 * math.log10(heard / there)


def ratio_db(signal: float, error: float) -> float:
    """10 log10 of a ratio of energies; nan without a signal, inf without an error."""
    if signal == 0:
        return math.nan
    return math.inf if error == 0 else 10.0 * (math.log10(signal) - math.log10(error))


def _same_shape(estimate: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    estimate, reference = np.asarray(estimate), np.asarray(reference)
    if estimate.shape != reference.shape:
        raise DataError(
            f"estimate {estimate.shape} and reference {reference.shape} differ in shape",
            "trim or pad them to the same samples and channels",
        )
    return estimate, reference
