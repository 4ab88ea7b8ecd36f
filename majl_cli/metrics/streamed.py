"""The energy ratios of ``separation`` over blocks that follow one another, for audio of any length.

Each equals the function for arrays. What grows with length is two numbers a clip, and three a piece of 50 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError
from majl_cli.metrics.blocks import Audio, Blocks, checked, checked_matches
from majl_cli.metrics.separation import (
    LEAKAGE_PIECE_SECONDS,
    ClipSNR,
    clip_samples,
    leakage_of_pieces,
    ratio_db,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SeparationScores:
    """``global_sdr`` and ``si_sdr`` (E,) in dB, and the clip SNR of each estimate."""

    global_sdr: FloatArray
    si_sdr: FloatArray
    clip_snr: list[ClipSNR]


def separation_scores(
    blocks: Blocks, *, sample_rate: int, matches: Sequence[int] | None = None, clip_seconds: float = 1.0
) -> SeparationScores:
    """Global SDR, SI-SDR and clip SNR of each estimate, in two passes over the blocks.

    ``matches`` says which reference each estimate belongs to, the first in order if left out. Raises DataError if
    shapes differ or a sample is not finite.
    """
    known: list[int] = []
    products, clips = np.zeros(0), _PieceSums(clip_samples(sample_rate, clip_seconds))
    signal, error = np.zeros(0), np.zeros(0)
    for references, estimates in checked(blocks):
        if not known:
            known = checked_matches(matches, len(references), len(estimates))
            products, signal, error = np.zeros((3, len(known)))
        squares = np.empty((2, len(known), references.shape[1]))
        for number, (r, e) in enumerate(_pairs(references, estimates, known)):
            squares[:, number] = np.square(r).sum(axis=1), np.square(r - e).sum(axis=1)
            # The square is summed like the product, so that an estimate without any error has a gain of exactly 1.
            signal[number] += (r * r).sum()
            products[number] += (r * e).sum()
        error += squares[1].sum(axis=1)
        clips.add(squares.reshape(2 * len(known), -1))
    energies = clips.whole().reshape(2, len(known), -1)
    return SeparationScores(
        global_sdr=np.array([ratio_db(s, e) for s, e in zip(signal, error, strict=True)]),
        si_sdr=_si_sdr(blocks, known, signal, products),
        clip_snr=[ClipSNR.from_energies(s, e) for s, e in zip(*energies, strict=True)],
    )


def streamed_leakage_db(
    blocks: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]], *, sample_rate: int, silence_db: float = -40.0
) -> float:
    """``leakage_db`` over blocks (reference, estimate, mixture), each (n,) or (n, C), in one pass.

    Raises DataError if shapes differ.
    """
    pieces = _PieceSums(clip_samples(sample_rate, LEAKAGE_PIECE_SECONDS))
    for block in blocks:
        reference, estimate, mixture = (np.asarray(each) for each in block)
        if not reference.shape == estimate.shape == mixture.shape:
            raise DataError(
                f"reference {reference.shape}, estimate {estimate.shape} and mixture {mixture.shape} differ in shape",
                "trim or pad them to the same samples and channels",
            )
        if len(reference):
            audio = np.stack((reference, estimate, mixture)).reshape(3, len(reference), -1)
            pieces.add(np.square(audio, dtype=np.float64).sum(axis=2))
    levels, heard, there = pieces.all(3)
    return leakage_of_pieces(levels, heard, there, silence_db)


class _PieceSums:
    """Sums of ``size`` samples after one another, of rows that arrive in blocks of any size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._sums: list[FloatArray] = []
        self._open: FloatArray | None = None  # the sums (rows,) of a piece that is not full yet
        self._filled = 0

    def add(self, values: FloatArray) -> None:
        """Go on with ``values`` (rows, n)."""
        count = values.shape[1]
        if count == 0:
            return
        starts = np.arange(-self._filled, count, self._size).clip(min=0)
        sums = np.add.reduceat(values, starts, axis=1)
        if self._open is not None:
            sums[:, 0] += self._open
        self._filled = (self._filled + count) % self._size
        self._open = sums[:, -1].copy() if self._filled else None
        self._sums.append(sums[:, : sums.shape[1] - (1 if self._filled else 0)])

    def whole(self) -> FloatArray:
        """The sums (rows, pieces) of full pieces; of what there is if it is less than one piece."""
        full = np.concatenate(self._sums, axis=1)
        return self._open[:, None] if full.shape[1] == 0 and self._open is not None else full

    def all(self, rows: int) -> FloatArray:
        """The sums (rows, pieces), the last piece however short."""
        rest = [] if self._open is None else [self._open[:, None]]
        return np.concatenate([np.zeros((rows, 0)), *self._sums, *rest], axis=1)


def _si_sdr(blocks: Blocks, matches: list[int], signal: FloatArray, products: FloatArray) -> FloatArray:
    """SI-SDR (E,), with the error taken from the audio: a difference of sums would lose the small ones."""
    gains = np.divide(products, signal, out=np.zeros_like(signal), where=signal > 0)
    error = np.zeros_like(signal)
    for references, estimates in checked(blocks):
        for number, (r, e) in enumerate(_pairs(references, estimates, matches)):
            error[number] += np.square(e - gains[number] * r).sum()
    scores = [
        -math.inf if gain == 0 < energy else ratio_db(gain**2 * energy, wrong)
        for gain, energy, wrong in zip(gains, signal, error, strict=True)
    ]
    return np.array(scores)


def _pairs(references: Audio, estimates: Audio, matches: list[int]) -> Iterable[tuple[FloatArray, FloatArray]]:
    """The reference and the estimate (n, C) of each match, in float64."""
    for match, estimate in zip(matches, estimates, strict=True):
        yield references[match].astype(np.float64), estimate.astype(np.float64)
