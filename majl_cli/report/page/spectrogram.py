"""Spectrograms to look at: mean power per cell of a grid that is even in time and in the logarithm of frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOWEST_HZ = 50.0
HIGHEST_HZ = 16_000.0
RANGE_DB = 80.0
_WINDOW_SECONDS = 0.08  # long enough to tell the harmonics of a low voice apart


def frequency_range(sample_rate: int) -> tuple[float, float]:
    """Lowest and highest frequency in Hz that is shown."""
    return LOWEST_HZ, min(sample_rate / 2, HIGHEST_HZ)


def log_power(audio: NDArray[np.float32], sample_rate: int, *, rows: int, columns: int) -> NDArray[np.float64]:
    """Power (rows, columns) of ``audio`` (samples, channels), the mean over channels, the lowest frequency first.

    A frame of Hann-windowed samples stands in the middle of each column; beyond the ends is silence.
    """
    size = 2 ** int(np.round(np.log2(_WINDOW_SECONDS * sample_rate)))
    padded = np.pad(np.asarray(audio, dtype=np.float64), ((size // 2, size), (0, 0)))
    starts = ((np.arange(columns) + 0.5) * len(audio) / columns).astype(int)
    window = np.hanning(size + 1)[:-1, None]
    frames = np.stack([padded[start : start + size] * window for start in starts])
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=2)  # (columns, bins)
    return _log_spaced(power.T, sample_rate, rows)


def shared_levels(powers: list[NDArray[np.float64]], *, levels: int) -> list[NDArray[np.uint8]]:
    """Each power as a level from 0 (80 dB below the strongest cell of all, or less) to ``levels`` - 1."""
    top = max((float(power.max(initial=0.0)) for power in powers), default=0.0)
    if not top > 0:
        return [np.zeros(power.shape, dtype=np.uint8) for power in powers]
    decibels = [10 * np.log10(np.maximum(power / top, 1e-12)) for power in powers]
    return [np.round(np.clip(1 + each / RANGE_DB, 0, 1) * (levels - 1)).astype(np.uint8) for each in decibels]


def _log_spaced(power: NDArray[np.float64], sample_rate: int, rows: int) -> NDArray[np.float64]:
    """(bins, columns) to (rows, columns): the mean density between the edges of each row.

    Means are differences of the running integral over frequency, so that a row may be narrower or wider than a bin.
    """
    bins = len(power)
    edges = np.geomspace(*frequency_range(sample_rate), rows + 1) / (sample_rate / 2) * (bins - 1) + 0.5
    integral = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)])
    below = np.minimum(edges.astype(int), bins - 1)
    at_edges = integral[below] + (edges - below)[:, None] * power[below]
    return np.maximum(np.diff(at_edges, axis=0) / np.diff(edges)[:, None], 0.0)
