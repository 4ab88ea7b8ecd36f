"""From salience to f0: one frequency and one confidence per frame, deterministically.

Shapes: salience (N, K) in [0, 1], bins independent; results (N,). Frequencies are always given, also where nobody
sings: whether a frame counts as voiced is decided later, by comparing its confidence with a threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import PitchGrid, cents_to_frequency
from majl_cli.errors import UsageError

Array = NDArray[np.floating]
DECODERS = ("argmax", "viterbi")
# What CREPE's 4 and 12 bins of 20 cents mean on any grid: how far the weighted mean and a smooth path's moves reach.
MEAN_CENTS, MOVE_CENTS = 80.0, 240.0


def decode_salience(
    salience: Array,
    grid: PitchGrid,
    *,
    method: str = "argmax",
    frequency_range: tuple[float, float] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequency in Hz (N,) and confidence in [0, 1] (N,).

    The bin is the largest one ("argmax") or lies on the best smooth path ("viterbi"); the frequency is the
    salience-weighted mean within 80 cents of it, as CREPE does; the confidence is the salience there.
    Raises UsageError for another method.
    """
    if method not in DECODERS:
        raise UsageError(f"no decoder {method!r}", f"use one of {', '.join(DECODERS)}")
    if not len(salience):
        return np.zeros(0), np.zeros(0)
    low, high = _allowed_bins(grid, frequency_range)
    inside = np.asarray(salience[:, low:high], dtype=np.float64)
    width = round(MOVE_CENTS / grid.cents_per_bin)
    path = inside.argmax(axis=1) if method == "argmax" else viterbi_path(inside, width=width)
    rows = np.arange(len(inside))
    confidence = inside[rows, path]
    neighbours = neighbouring_bins(grid)
    columns = path[:, None] + np.arange(-neighbours, neighbours + 1)
    valid = (columns >= 0) & (columns < inside.shape[1])
    weights = np.where(valid, inside[rows[:, None], columns.clip(0, inside.shape[1] - 1)], 0.0)
    total = weights.sum(axis=1)
    cents = grid.cents[low:high]
    mean = (weights * cents[columns.clip(0, len(cents) - 1)]).sum(axis=1) / np.where(total > 0, total, 1.0)
    return cents_to_frequency(np.where(total > 0, mean, cents[path])), confidence


def neighbouring_bins(grid: PitchGrid) -> int:
    """Bins on either side that the weighted mean takes in: 4 of 20 cents."""
    return round(MEAN_CENTS / grid.cents_per_bin)


def _allowed_bins(grid: PitchGrid, frequency_range: tuple[float, float] | None) -> tuple[int, int]:
    if frequency_range is None:
        return 0, grid.bins
    low = int(np.ceil(grid.frequency_to_bin(frequency_range[0])))
    high = int(np.floor(grid.frequency_to_bin(frequency_range[1]))) + 1
    return max(0, low), min(grid.bins, high)


def viterbi_path(salience: Array, *, width: int = 12, floor: float = 1e-3) -> NDArray[np.intp]:
    """Best path (N,) through (N, K) where moving by d bins costs as in CREPE's triangular transition.

    A jump beyond ``width`` bins is possible at the price of ``floor``; so a note change costs something, but less
    than staying on a bin without salience.
    """
    frames, bins = salience.shape
    scores = np.log(salience + floor)
    moves = np.arange(-width + 1, width)
    costs = np.log((width - np.abs(moves)) / width**2)
    jump = np.log(floor / bins)
    best = scores[0].copy()
    back = np.zeros((frames, bins), dtype=np.int32)
    padded = np.full(bins + 2 * (width - 1), -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * width - 1)
    for n in range(1, frames):
        padded[width - 1 : width - 1 + bins] = best
        candidates = windows + costs
        choice = candidates.argmax(axis=1)
        value = candidates[np.arange(bins), choice]
        source = np.arange(bins) + moves[choice]
        top = int(best.argmax())
        jumped = best[top] + jump > value
        back[n] = np.where(jumped, top, source)
        best = np.where(jumped, best[top] + jump, value) + scores[n]
    path = np.empty(frames, dtype=np.intp)
    path[-1] = best.argmax()
    for n in range(frames - 1, 0, -1):
        path[n - 1] = back[n, path[n]]
    return path
