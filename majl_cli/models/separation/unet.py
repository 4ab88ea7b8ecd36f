"""Complex-masking U-Net on the STFT.

The design follows the spectrogram U-Nets of Jansson et al. (ISMIR 2017) and Choi et al. (ISMIR 2020, TFC-TDF),
made cheap for CPUs: ``patch`` neighbouring bins become channels before the first convolution, so full frequency
resolution is kept thin; bins above ``low_bins`` get one gain per band and frame instead of a complex mask.

Letters: B batch, S stems, C channels, T samples, N frames, F bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.layers import ConvNorm, ResidualBlock, patchify, unpatchify
from majl_cli.models.separation.stft import inverse_stft, zero_padded_stft


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Sizes of the U-Net.

    ``low_bins`` STFT bins pass through the network (a multiple of patch * 2 ** (levels - 1)); ``widths`` are the
    channels per level, each level halving frames and bins; ``blocks`` residual blocks per level on either side;
    ``squeeze`` divides a level's bins to give the bottleneck of its frequency-wise linear block; ``high_bands``
    gains cover the bins above (0: there are none, ``low_bins`` is all but the last bin). Below ``lowest_hz`` the
    stems have nothing: for vocals, whatever is there is rumble, of the room or of the music. In evaluation, the mean
    over ``shifts`` positions of the STFT's grid is given: a little better, for as many times the work.
    """

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("vocals",)
    n_fft: int = 4096
    hop_length: int = 1024
    low_bins: int = 768
    patch: int = 4
    widths: tuple[int, ...] = (32, 48, 96, 128)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    squeeze: int = 8
    high_bands: int = 32
    segment: float = 24.0
    lowest_hz: float = 0.0
    shifts: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.shifts <= self.hop_length:
            raise ConfigError(f"unet: shifts {self.shifts}", "use 1, 2 or 4")
        if len(self.widths) != len(self.blocks):
            raise ConfigError(
                f"unet: {len(self.widths)} widths but {len(self.blocks)} blocks", "give one number of blocks per level"
            )
        unit = self.patch * 2 ** (len(self.widths) - 1)
        if self.low_bins % unit or not 0 < self.low_bins <= self.n_fft // 2:
            raise ConfigError(
                f"unet: low_bins {self.low_bins} is not a multiple of {unit} up to {self.n_fft // 2}",
                f"use {max(unit, min(self.low_bins, self.n_fft // 2) // unit * unit)}",
            )


def _stage(config: UNetConfig, level: int) -> nn.Sequential:
    bins = config.low_bins // config.patch // 2**level
    bottleneck = max(4, bins // config.squeeze)
    width = config.widths[level]
    return nn.Sequential(*(ResidualBlock(width, bins, bottleneck) for _ in range(config.blocks[level])))


class HighBand(nn.Module):
    """One gain in [0, 1] per stem, channel, band and frame for the bins above the U-Net's.

    It sees the levels of the high bands themselves and a summary of the decoder's features: consonants and breath
    lie up there, and what tells them from cymbals lies below.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.bands = config.high_bands
        self.bins = config.n_fft // 2 + 1 - config.low_bins
        self.outputs = len(config.stems) * config.channels
        self.summary = nn.Conv2d(config.widths[0], 8, 1)
        pooled = config.low_bins // config.patch // 8
        inputs = config.channels * self.bands + 8 * pooled
        self.gains = nn.Sequential(
            nn.Conv1d(inputs, 96, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(96, 96, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(96, self.outputs * self.bands, 1),
        )

    def forward(self, magnitude: Tensor, features: Tensor) -> Tensor:
        """Magnitudes (B, C, N, F_high), features (B, W, N, F) to gains (B, S * C, N, F_high)."""
        batch, _, frames, _ = magnitude.shape
        levels = functional.adaptive_avg_pool2d(magnitude, (frames, self.bands))
        levels = torch.log(levels + 1e-4).permute(0, 1, 3, 2).flatten(1, 2) / 4.0 + 1.0
        summary = functional.avg_pool2d(self.summary(features), (1, 8)).permute(0, 1, 3, 2).flatten(1, 2)
        gains = torch.sigmoid(self.gains(torch.cat((levels.to(summary.dtype), summary), dim=1)).float())
        gains = gains.view(batch, self.outputs, self.bands, frames).transpose(2, 3)
        return functional.interpolate(gains, size=(frames, self.bins), mode="bilinear", align_corners=False)


class UNet(SeparationModule):
    """(B, C, T) to (B, S, C, T). Silence in gives silence out; edges are zero-padded."""

    window: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        levels = len(config.widths)
        self.time_factor = 2 ** (levels - 1)
        self.stride = config.hop_length * self.time_factor
        self.context = self._context_frames() * config.hop_length / config.sample_rate
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.silent_bins = math.ceil(config.lowest_hz * config.n_fft / config.sample_rate)

        masks = 2 * config.channels * config.patch
        self.stem = ConvNorm(masks, config.widths[0])
        self.encoder = nn.ModuleList(_stage(config, level) for level in range(levels))
        self.down = nn.ModuleList(ConvNorm(a, b, (2, 2), (2, 2)) for a, b in pairwise(config.widths))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU(inplace=True))
            for a, b in pairwise(config.widths)
        )
        self.decoder = nn.ModuleList(_stage(config, level) for level in range(levels - 1))
        self.mask = nn.Conv2d(config.widths[0], masks * len(config.stems), 1)
        self.high = HighBand(config) if config.high_bands else None

    def _context_frames(self) -> int:
        """Frames on either side that reach an output sample: every 3x3 at its level's step, the STFT, the grid."""
        reach = 1 + 2
        for level, blocks in enumerate(self.config.blocks):
            sides = 1 if level == len(self.config.blocks) - 1 else 2
            reach += 2 * blocks * sides * 2**level
        stft = -(-self.config.n_fft // self.config.hop_length)
        return reach + 2 * self.time_factor + stft + (self.config.shifts > 1)

    def forward(self, mixture: Tensor) -> Tensor:
        shifts = 1 if self.training else self.config.shifts
        offsets = [self.config.hop_length * n // shifts for n in range(shifts)]
        estimates = [self._estimate(functional.pad(mixture, (offset, 0)))[..., offset:] for offset in offsets]
        return torch.stack(estimates).mean(dim=0) if shifts > 1 else estimates[0]

    def _estimate(self, mixture: Tensor) -> Tensor:
        hop, samples = self.config.hop_length, mixture.shape[-1]
        frames = -(-(samples // hop + 1) // self.time_factor) * self.time_factor
        spectrum = zero_padded_stft(mixture, self.window, hop, frames)
        return inverse_stft(self._masks(spectrum) * spectrum.unsqueeze(1), self.window, hop, samples)

    def compile_network(self) -> None:
        # Not the whole of forward: torch.compile has no code for complex numbers and takes minutes to find out.
        self._features = torch.compile(self._features)  # type: ignore[method-assign]

    def _masks(self, spectrum: Tensor) -> Tensor:
        """Complex spectrum (B, C, N, F) to complex masks (B, S, C, N, F)."""
        config = self.config
        batch, channels, frames, _ = spectrum.shape
        low = spectrum[..., : config.low_bins]
        # The square root of the magnitude with the phase kept: loud and soft partials within reach of one network.
        low = low * (low.abs() + 1e-4).rsqrt()
        x = torch.view_as_real(low).permute(0, 1, 4, 2, 3).reshape(batch, 2 * channels, frames, config.low_bins)
        features = self._features(patchify(x, 1, config.patch).contiguous(memory_format=torch.channels_last))
        mask = unpatchify(self.mask(features).float(), 1, config.patch)
        mask = mask.view(batch, len(self.stems), channels, 2, frames, config.low_bins)
        if self.silent_bins:
            mask = functional.pad(mask[..., self.silent_bins :], (self.silent_bins, 0))
        real, imaginary = mask[:, :, :, 0], mask[:, :, :, 1]
        if self.high is None:
            missing = spectrum.shape[-1] - config.low_bins
            return functional.pad(torch.complex(real, imaginary), (0, missing))
        gains = self.high(spectrum[..., config.low_bins :].abs(), features)
        gains = gains.view(batch, len(self.stems), channels, frames, -1)
        real = torch.cat((real, gains), dim=-1)
        return torch.complex(real, functional.pad(imaginary, (0, gains.shape[-1])))

    def _features(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for stage, down in zip(self.encoder, self.down, strict=False):
            x = stage(x)
            skips.append(x)
            x = down(x)
        x = self.encoder[-1](x)
        for stage, up, skip in zip(reversed(self.decoder), reversed(self.up), reversed(skips), strict=True):
            x = stage(up(x) + skip)
        return x
