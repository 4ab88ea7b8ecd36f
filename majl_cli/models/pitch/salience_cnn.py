"""A small convolutional salience net on a log-frequency spectrogram.

In the line of Deep Salience (Bittner et al., ISMIR 2017): a harmonically stacked log-frequency spectrogram, so that
the partials of one f0 lie in one column of channels, and fully convolutional layers from there to one salience per
pitch bin. Patches of bins and frames become channels first, which is what keeps it light.

Letters: B batch, C channels, T samples, N frames, F log-frequency bins, K pitch bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.models.contracts import PitchModule
from majl_cli.models.layers import ConvNorm, ResidualBlock, patch_convolution, unpatchify
from majl_cli.models.pitch.log_frequency import filter_bands, harmonic_shifts, harmonic_stack, log_frequency_filters


@dataclass(frozen=True, kw_only=True)
class SalienceCNNConfig:
    """``n_fft`` and ``window_length`` in samples at ``sample_rate``; ``harmonics`` are multiples of f0 stacked as
    channels; ``patch_bins`` divides the 360 pitch bins; ``patch_frames`` frames are computed together; the first
    convolution is ``stem_kernel`` patches wide either way."""

    sample_rate: int = 16000
    hop_length: int = 160
    n_fft: int = 2048
    window_length: int = 1536
    log_bins: int = 480
    harmonics: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    patch_bins: int = 3
    patch_frames: int = 2
    stem_kernel: int = 3
    width: int = 40
    blocks: int = 4
    bottleneck: int = 24
    segment: float = 20.0
    voicing_threshold: float = 0.4


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
        filters = log_frequency_filters(config.sample_rate, config.n_fft, config.log_bins, self.grid)
        self.register_buffer("filters", filters, persistent=False)
        self.bands = filter_bands(filters)
        self.shifts = harmonic_shifts(config.harmonics, self.grid)

        patch = config.patch_bins * config.patch_frames
        bins = self.grid.bins // config.patch_bins
        self.stem = ConvNorm(len(self.shifts) * patch, config.width, (config.stem_kernel, config.stem_kernel))
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
        convolution, *rest = self.stem
        assert isinstance(convolution, nn.Conv2d)
        x = patch_convolution(x, convolution, config.patch_frames, config.patch_bins)
        for layer in rest:
            x = layer(x)
        logits = self.head(self.blocks(x)).float()
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
        return harmonic_stack(spectrum, self.filters, self.bands, self.shifts, self.grid.bins)
