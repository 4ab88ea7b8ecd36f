"""The harmonically stacked log-frequency spectrogram of Deep Salience (Bittner et al., ISMIR 2017).

Letters: B batch, N frames, F log-frequency bins, K pitch bins.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.convert import PitchGrid

QUIETEST = 1e-6  # power, added to that of every bin


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


def harmonic_stack(spectrum: Tensor, filters: Tensor, shifts: tuple[int, ...], bins: int) -> Tensor:
    """Complex spectrum (B, n_fft // 2 + 1, N) to log magnitudes (B, harmonics, N, K)."""
    # abs() has no gradient at 0.
    power = spectrum.real.square() + spectrum.imag.square()
    magnitude = torch.sqrt(power + QUIETEST).transpose(1, 2)
    levels = torch.log10(magnitude @ filters) / 3.0
    low = max(0, -min(shifts))
    high = max(0, max(shifts) + bins - filters.shape[1])
    levels = functional.pad(levels, (low, high), value=math.log10(QUIETEST) / 6.0)
    return torch.stack([levels[..., low + s : low + s + bins] for s in shifts], dim=1)
