"""The harmonically stacked log-frequency spectrogram of Deep Salience (Bittner et al., ISMIR 2017).

Letters: B batch, N frames, F log-frequency bins, K pitch bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.convert import PitchGrid

QUIETEST = 1e-6  # power, added to that of every bin


@dataclass(frozen=True, kw_only=True)
class Band:
    """Log-frequency bins ``first`` to ``last`` and the FFT bins ``low`` to ``high`` they are made of; ends excluded."""

    low: int
    high: int
    first: int
    last: int


def log_frequency_filters(sample_rate: int, n_fft: int, log_bins: int, grid: PitchGrid) -> Tensor:
    """Weights (n_fft // 2 + 1, log_bins) from FFT magnitudes to log-frequency magnitudes, from the grid's first bin on.

    A log-frequency bin narrower than an FFT bin interpolates between its two neighbours; a wider one averages
    over a triangle that reaches to the next log-frequency bins.
    """
    spacing = sample_rate / n_fft
    ratio = 2.0 ** (grid.cents_per_bin / 1200.0)
    centres = grid.first_frequency * ratio ** np.arange(log_bins)
    half_width = np.maximum(spacing, centres * (ratio - 1.0))
    bins = np.arange(n_fft // 2 + 1) * spacing
    weights = np.maximum(0.0, 1.0 - np.abs(bins[:, None] - centres[None]) / half_width[None])
    return torch.tensor(weights / np.maximum(weights.sum(axis=0), 1e-9), dtype=torch.float32)


def harmonic_shifts(harmonics: tuple[float, ...], grid: PitchGrid) -> tuple[int, ...]:
    """By how many bins each multiple of f0 lies above it."""
    return tuple(round(1200.0 / grid.cents_per_bin * math.log2(h)) for h in harmonics)


def filter_bands(filters: Tensor, width: int = 60) -> tuple[Band, ...]:
    """The bands of ``width`` log-frequency bins, each with the FFT bins that reach it: low ones need few."""
    bands = []
    for first in range(0, filters.shape[1], width):
        last = min(first + width, filters.shape[1])
        used = torch.nonzero(filters[:, first:last].any(dim=1))[:, 0]
        bands.append(Band(low=int(used[0]), high=int(used[-1]) + 1, first=first, last=last))
    return tuple(bands)


def harmonic_stack(
    spectrum: Tensor, filters: Tensor, bands: tuple[Band, ...], shifts: tuple[int, ...], bins: int
) -> Tensor:
    """Complex spectrum (B, n_fft // 2 + 1, N) to log magnitudes (B, harmonics, N, K)."""
    # abs() has no gradient at 0.
    power = spectrum.real.square() + spectrum.imag.square()
    magnitude = torch.sqrt(power + QUIETEST).transpose(1, 2)
    levels = torch.log10(torch.cat([_filtered(magnitude, filters, band) for band in bands], dim=-1)) / 3.0
    low = max(0, -min(shifts))
    high = max(0, max(shifts) + bins - filters.shape[1])
    levels = functional.pad(levels, (low, high), value=math.log10(QUIETEST) / 6.0)
    return torch.stack([levels[..., low + s : low + s + bins] for s in shifts], dim=1)


def _filtered(magnitude: Tensor, filters: Tensor, band: Band) -> Tensor:
    return magnitude[..., band.low : band.high] @ filters[band.low : band.high, band.first : band.last]
