"""A small convolutional salience net on a log-frequency spectrogram.

In the line of Deep Salience (Bittner et al., ISMIR 2017): a harmonically stacked log-frequency spectrogram, so that
the partials of one f0 lie in one column of channels, and fully convolutional layers from there to one salience per
pitch bin. Patches of bins and frames become channels first, which is what keeps it light.

Letters: B batch, C channels, T samples, N frames, F log-frequency bins, K pitch bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.models.contracts import PitchModule
from majl_cli.models.layers import ConvNorm, ResidualBlock, patchify, unpatchify


@dataclass(frozen=True, kw_only=True)
class SalienceCNNConfig:
    """``n_fft`` and ``window_length`` in samples at ``sample_rate``; ``harmonics`` are multiples of f0 stacked as
    channels; ``patch_bins`` divides the 360 pitch bins; ``patch_frames`` frames are computed together."""

    sample_rate: int = 16000
    hop_length: int = 160
    n_fft: int = 2048
    window_length: int = 1536
    log_bins: int = 480
    harmonics: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    patch_bins: int = 3
    patch_frames: int = 2
    width: int = 40
    blocks: int = 4
    bottleneck: int = 24
    segment: float = 20.0
    voicing_threshold: float = 0.4


def log_frequency_filters(config: SalienceCNNConfig, grid: PitchGrid) -> Tensor:
    """Weights (n_fft // 2 + 1, log_bins) from FFT magnitudes to log-frequency magnitudes.

    A log-frequency bin narrower than an FFT bin interpolates between its two neighbours; a wider one averages
    over a triangle that reaches to the next log-frequency bins.
    """
    spacing = config.sample_rate / config.n_fft
    ratio = 2.0 ** (grid.cents_per_bin / 1200.0)
    centres = grid.first_frequency * ratio ** np.arange(config.log_bins)
    half_width = np.maximum(spacing, centres * (ratio - 1.0))
    bins = np.arange(config.n_fft // 2 + 1) * spacing
    weights = np.maximum(0.0, 1.0 - np.abs(bins[:, None] - centres[None]) / half_width[None])
    return torch.tensor(weights / np.maximum(weights.sum(axis=0), 1e-9), dtype=torch.float32)


class SalienceCNN(PitchModule):
    """(B, T) to logits (B, N, K): 360 bins of 20 cents from 31.7 Hz, every 10 ms. Edges are zero-padded."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: SalienceCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.hop_length = config.hop_length
        self.grid = PitchGrid()
        self.voicing_threshold = config.voicing_threshold
        self.frequency_range = (50.0, 1200.0)
        self.segment = config.segment
        self.stride = config.hop_length * config.patch_frames
        reach = (2 + 2 * config.blocks + 2) * config.patch_frames
        self.context = (reach * config.hop_length + config.n_fft) / config.sample_rate
        self.register_buffer("window", torch.hann_window(config.window_length), persistent=False)
        self.register_buffer("filters", log_frequency_filters(config, self.grid), persistent=False)
        bins_per_octave = 1200.0 / self.grid.cents_per_bin
        self.shifts = tuple(round(bins_per_octave * math.log2(h)) for h in config.harmonics)

        patch = config.patch_bins * config.patch_frames
        bins = self.grid.bins // config.patch_bins
        self.stem = ConvNorm(len(self.shifts) * patch, config.width)
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.width, bins, config.bottleneck) for _ in range(config.blocks))
        )
        self.head = nn.Conv2d(config.width, patch, 1)
        # Salience is sparse: starting near its mean spares the first steps from learning "almost always zero".
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -4.5)

    def forward(self, audio: Tensor) -> Tensor:
        config = self.config
        frames = audio.shape[-1] // config.hop_length + 1
        x = self._harmonic_stack(audio.float())
        x = functional.pad(x, (0, 0, 0, -frames % config.patch_frames))
        x = patchify(x, config.patch_frames, config.patch_bins).contiguous(memory_format=torch.channels_last)
        logits = self.head(self.blocks(self.stem(x))).float()
        return unpatchify(logits, config.patch_frames, config.patch_bins)[:, 0, :frames]

    def compile_network(self) -> None:
        self.blocks.compile()

    def _harmonic_stack(self, audio: Tensor) -> Tensor:
        """(B, T) to log magnitudes (B, harmonics, N, K)."""
        config = self.config
        spectrum = torch.stft(
            audio,
            config.n_fft,
            config.hop_length,
            config.window_length,
            self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        # abs() has no gradient at 0; the floor lies 100 dB below full scale.
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = torch.sqrt(power + 1e-6).transpose(1, 2)
        levels = torch.log10(magnitude @ self.filters) / 3.0
        bins = self.grid.bins
        low = max(0, -min(self.shifts))
        high = max(0, max(self.shifts) + bins - config.log_bins)
        floor = -1.0  # log10(sqrt(1e-6)) / 3: what silence gives
        levels = functional.pad(levels, (low, high), value=floor)
        return torch.stack([levels[..., low + s : low + s + bins] for s in self.shifts], dim=1)
