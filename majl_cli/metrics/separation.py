"""Energy ratios in dB between a reference and what an estimate has wrong.

Audio is (samples,) or (samples, channels); one ratio is taken over all samples and channels together, in float64.
Silence and perfection: a silent reference gives nan (no level to compare with), an estimate without any error inf.
``streamed`` has the same for audio that does not fit in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError

_BLOCK = 1 << 20  # samples at a time, so that float64 copies stay small
LEAKAGE_PIECE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class ClipSNR:
    """``median`` in dB over the clips that count, nan if none does; ``skipped`` of all ``clips`` do not."""

    median: float
    clips: int
    skipped: int

    @classmethod
    def from_energies(cls, signal: NDArray[np.float64], error: NDArray[np.float64]) -> ClipSNR:
        """From the energies (clips,) of the reference and of the error."""
        ratios = [ratio_db(float(s), float(e)) for s, e in zip(signal, error, strict=True) if s > 0]
        median = float(np.median(ratios)) if ratios else math.nan
        return cls(median=median, clips=len(signal), skipped=len(signal) - len(ratios))


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


def clip_snr(*, estimate: ArrayLike, reference: ArrayLike, sample_rate: int, clip_seconds: float = 1.0) -> ClipSNR:
    """Signal-to-noise ratio 10 log10(sum r² / sum (r - e)²) of each clip of 1 s, and the median over clips.

    Clips where the reference is silent (all zeros) are skipped. What is left after the last whole clip is left out, as
    in BSS Eval v4; audio shorter than a clip is one clip. Raises DataError if the shapes differ.
    """
    estimate, reference = _same_shape(estimate, reference)
    length = min(clip_samples(sample_rate, clip_seconds), max(1, len(reference)))
    signal, error = np.zeros((2, len(reference) // length))
    for clip in range(len(signal)):
        r = reference[clip * length : (clip + 1) * length].astype(np.float64)
        signal[clip] = np.square(r).sum()
        error[clip] = np.square(r - estimate[clip * length : (clip + 1) * length]).sum()
    return ClipSNR.from_energies(signal, error)


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
    starts = np.arange(0, len(reference), clip_samples(sample_rate, LEAKAGE_PIECE_SECONDS))

    def energies(audio: NDArray[np.floating]) -> NDArray[np.float64]:
        squares = np.square(audio, dtype=np.float64).reshape(len(audio), -1).sum(axis=1)
        return np.add.reduceat(squares, starts) if len(squares) else np.zeros(0)

    return leakage_of_pieces(energies(reference), energies(estimate), energies(mixture), silence_db)


def leakage_of_pieces(
    reference: NDArray[np.float64], estimate: NDArray[np.float64], mixture: NDArray[np.float64], silence_db: float
) -> float:
    """``leakage_db`` from the energies (pieces,) of each."""
    silent = reference <= 10.0 ** (silence_db / 10.0) * reference.mean() if len(reference) else np.zeros(0, bool)
    heard, there = float(estimate[silent].sum()), float(mixture[silent].sum())
    if there == 0:
        return math.nan
    return -math.inf if heard == 0 else 10.0 * math.log10(heard / there)


def clip_samples(sample_rate: int, seconds: float) -> int:
    """Samples of a clip, at least 1."""
    return max(1, round(seconds * sample_rate))


def ratio_db(signal: float, error: float) -> float:
    """10 log10(signal / error); nan without signal, else inf without error."""
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
