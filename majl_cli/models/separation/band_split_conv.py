"""A light complex-masking net on bands of the STFT, made for CPUs.

Bands as tokens come from BSRNN (Luo and Yu, "Music source separation with band-split RNN", TASLP 2023): narrow ones
where voices have their partials, wide ones above. In place of its recurrent layers each block has a dilated
convolution along time (as in Conv-TasNet) and a bottleneck across all bands (the TDF block of Choi et al., ISMIR 2020).
All of it is dense matrix products on a small map, which is what CPUs are fast at, and the reach along time is finite,
so that long audio in chunks gives exactly what the whole would.

Letters: B batch, S stems, C channels, T samples, N frames, F bins, K bands, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.layers import FrequencyLinear
from majl_cli.models.separation.stft import inverse_stft, zero_padded_stft


@dataclass(frozen=True, kw_only=True)
class BandSplitConvConfig:
    """``bands`` are (count, bins) from bin 0 on; bins above the last are silent. ``features`` per band and frame,
    ``hidden`` inside a block; one block per entry of ``dilations`` (frames); ``bottleneck`` across the bands;
    ``mask_hidden`` units between a band's features and its masks."""

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("vocals",)
    n_fft: int = 4096
    hop_length: int = 1024
    bands: tuple[tuple[int, int], ...] = ((32, 3), (24, 8), (16, 16), (8, 32), (8, 64), (4, 184))
    features: int = 64
    hidden: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    bottleneck: int = 32
    mask_hidden: int = 96
    segment: float = 12.0

    def __post_init__(self) -> None:
        bins = sum(count * width for count, width in self.bands)
        if not 0 < bins <= self.n_fft // 2 + 1:
            raise ConfigError(
                f"band-split-conv: its bands hold {bins} bins, an n_fft of {self.n_fft} has {self.n_fft // 2 + 1}",
                "change bands or n_fft",
            )
        if not self.dilations:
            raise ConfigError("band-split-conv: no dilations, so no blocks", "give one dilation per block")


class BandLinear(nn.Module):
    """A linear layer of its own for each band, its inputs or outputs as wide as the band's bins say.

    Bands of one width are one batched product. ``per_bin`` values belong to a bin; ``features`` to a band.
    """

    def __init__(self, widths: list[int], per_bin: int, features: int, *, splits: bool) -> None:
        super().__init__()
        self.runs = [(width, len(list(same))) for width, same in groupby(widths)]
        self.per_bin = per_bin
        self.splits = splits
        self.weights = nn.ParameterList()
        for width, count in self.runs:
            inner, outer = (width * per_bin, features) if splits else (features, width * per_bin)
            self.weights.append(nn.Parameter(torch.randn(count, inner, outer) / inner**0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Splitting: (B, N, F, per_bin) to (B, N, K, D). Joining: (B, N, K, D) to (B, N, F, per_bin)."""
        batch, frames = x.shape[:2]
        parts, at = [], 0
        for (width, count), weight in zip(self.runs, self.weights, strict=True):
            taken = count * width if self.splits else count
            part = x[:, :, at : at + taken].reshape(batch * frames, count, -1).transpose(0, 1)
            part = torch.matmul(part, weight).transpose(0, 1)
            shape = (count, -1) if self.splits else (count * width, self.per_bin)
            parts.append(part.reshape(batch, frames, *shape))
            at += taken
        return torch.cat(parts, dim=2)


class Block(nn.Module):
    """x + a dilated convolution along time and back to D features, then + a bottleneck across the bands."""

    def __init__(self, config: BandSplitConvConfig, bands: int, dilation: int) -> None:
        super().__init__()
        features, hidden = config.features, config.hidden
        self.along_time = nn.Sequential(
            nn.Conv2d(features, hidden, (3, 1), padding=(dilation, 0), dilation=(dilation, 1), bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, features, 1, bias=False),
            nn.BatchNorm2d(features),
        )
        self.across_bands = FrequencyLinear(features, bands, config.bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, N, K) to the same."""
        x = x + self.along_time(x)
        return x + self.across_bands(x)


class BandSplitConv(SeparationModule):
    """(B, C, T) to (B, S, C, T). Silence in gives silence out; edges are zero-padded."""

    window: Tensor

    def __init__(self, config: BandSplitConvConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.stride = config.hop_length
        stft = -(-config.n_fft // config.hop_length)
        self.context = (sum(config.dilations) + stft + 1) * config.hop_length / config.sample_rate
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

        widths = [width for count, width in config.bands for _ in range(count)]
        self.bins, self.parts = sum(widths), 2 * config.channels
        self.split = BandLinear(widths, self.parts, config.features, splits=True)
        self.split_norm = nn.BatchNorm2d(config.features)
        self.blocks = nn.Sequential(*(Block(config, len(widths), dilation) for dilation in config.dilations))
        self.mask_hidden = nn.Conv2d(config.features, config.mask_hidden, 1)
        self.mask = BandLinear(widths, self.parts * len(config.stems), config.mask_hidden, splits=False)

    def forward(self, mixture: Tensor) -> Tensor:
        hop, samples = self.config.hop_length, mixture.shape[-1]
        spectrum = zero_padded_stft(mixture, self.window, hop, -(-samples // hop) + 1)
        estimates = self._masks(spectrum) * spectrum[:, None, ..., : self.bins]
        missing = spectrum.shape[-1] - self.bins
        return inverse_stft(functional.pad(estimates, (0, missing)), self.window, hop, samples)

    def compile_network(self) -> None:
        self.blocks.compile()

    def _masks(self, spectrum: Tensor) -> Tensor:
        """Complex spectrum (B, C, N, F) to complex masks (B, S, C, N, bins)."""
        batch, channels, frames, _ = spectrum.shape
        low = spectrum[..., : self.bins]
        # The square root of the magnitude with the phase kept: loud and soft partials within reach of one network.
        low = low * (low.abs() + 1e-4).rsqrt()
        parts = torch.view_as_real(low).permute(0, 2, 3, 1, 4).reshape(batch, frames, self.bins, self.parts)
        # (B, N, K, D) in memory is (B, D, N, K) with channels last.
        x = self.blocks(self.split_norm(self.split(parts).permute(0, 3, 1, 2)))
        hidden = torch.relu(self.mask_hidden(x)).permute(0, 2, 3, 1)
        masks = self.mask(hidden).float().view(batch, frames, self.bins, len(self.stems), channels, 2)
        return torch.view_as_complex(masks.permute(0, 3, 4, 1, 2, 5).contiguous())
