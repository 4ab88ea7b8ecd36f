"""Energy ratios of many estimates at once, over blocks: memory does not grow with length.

The same measures as in ``separation``, with the same treatment of silence and perfection; see there for what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.metrics.blocks import Blocks, checked, checked_matches, rechunk
from majl_cli.metrics.separation import LEAKAGE_PIECE_SECONDS, leakage_from_energies, ratio_db

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EnergyScores:
    """Of each estimate, (E,) in dB: global SDR, SI-SDR, and the median SNR over clips of 1 s.

    ``clips`` is how many there are (the last may be shorter), ``clips_skipped`` (E,) how many of them have a silent
    reference and do not count.
    """

    sdr: FloatArray
    si_sdr: FloatArray
    clip_snr: FloatArray
    clips: int
    clips_skipped: NDArray[np.int64]


def energy_scores(blocks: Blocks, *, sample_rate: int, matches: Sequence[int] | None = None) -> EnergyScores:
    """All three of each estimate, in two passes. ``matches`` as in ``bss_eval_v3``; one reference may have several
    estimates. Raises DataError if shapes differ or a sample is not finite."""
    clip_signals: list[FloatArray] = []
    clip_errors: list[FloatArray] = []
    products: FloatArray = np.zeros(0)
    found: list[int] = []
    for chunk in rechunk(blocks, sample_rate):
        found = checked_matches(matches, len(chunk.references), len(chunk.estimates))
        own = chunk.references[found]
        clip_signals.append(_energies(own))
        clip_errors.append(_energies(own - chunk.estimates))
        products = (products if products.size else np.zeros(len(found))) + np.einsum("ect,ect->e", own, chunk.estimates)
    signals, errors = np.array(clip_signals), np.array(clip_errors)  # (clips, E)
    clips = np.array(
        [[ratio_db(s, e) for s, e in zip(*rows, strict=True)] for rows in zip(signals, errors, strict=True)]
    )
    skipped = np.isnan(clips).sum(axis=0)
    whole = signals.sum(axis=0)
    gains = np.divide(products, whole, out=np.zeros_like(whole), where=whole > 0)
    scaled = _scaled_errors(blocks, found, gains)
    si_sdr = [
        -np.inf if gain == 0 and energy > 0 else ratio_db(gain**2 * energy, error)
        for gain, energy, error in zip(gains, whole, scaled, strict=True)
    ]
    return EnergyScores(
        sdr=np.array([ratio_db(s, e) for s, e in zip(whole, errors.sum(axis=0), strict=True)]),
        si_sdr=np.array(si_sdr),
        clip_snr=np.array([_median(column) for column in clips.T]),
        clips=len(clips),
        clips_skipped=skipped,
    )


def streamed_leakage_db(
    blocks: Blocks, *, sample_rate: int, matches: Sequence[int] | None = None, silence_db: float = -40.0
) -> FloatArray:
    """``leakage_db`` of each estimate but the last, which is the mixture; (E - 1,). ``matches`` is of those."""
    piece = max(1, round(LEAKAGE_PIECE_SECONDS * sample_rate))
    levels: list[NDArray[np.float64]] = []
    found: list[int] = []
    for chunk in rechunk(blocks, 20 * piece):
        found = found or checked_matches(matches, len(chunk.references), len(chunk.estimates) - 1)
        pieces = -(-chunk.samples // piece)
        audio = np.concatenate([chunk.references[found], chunk.estimates])
        levels.append(np.square(audio).sum(axis=1).reshape(len(audio), 20, piece).sum(axis=2)[:, :pieces])
    energies = np.concatenate(levels, axis=1)
    references, estimates, mixture = np.split(energies, [len(found), 2 * len(found)])
    return np.array(
        [leakage_from_energies(e, r, mixture[0], silence_db) for r, e in zip(references, estimates, strict=True)]
    )


def _scaled_errors(blocks: Blocks, matches: Sequence[int], gains: FloatArray) -> FloatArray:
    """Energy of what is left of each estimate when its scaled reference is taken away."""
    errors = np.zeros(len(matches))
    for references, estimates in checked(blocks):
        own = references[list(matches)].astype(np.float64)
        errors += _energies(estimates - gains[:, None, None] * own)
    return errors


def _energies(audio: FloatArray) -> FloatArray:
    return np.einsum("ect,ect->e", audio, audio)


def _median(values: FloatArray) -> float:
    finite = values[~np.isnan(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
