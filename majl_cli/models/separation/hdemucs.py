"""Hybrid Demucs: two U-Nets, on the spectrogram and on the waveform, that meet in shared layers with LSTMs.

Défossez, "Hybrid spectrogram and waveform source separation" (MDX workshop at ISMIR 2021). Loads what torchaudio
(``hdemucs_high_trained.pt``) and the demucs package (``hdemucs_mmi``) publish; parameter names are the latter's.

Letters: B batch, S stems, C channels, T samples, N frames, F bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majl_cli.errors import ConfigError
from majl_cli.models.separation.demucs_layers import STRIDE, LayerShape
from majl_cli.models.separation.hybrid_unets import HybridUNets

DEMUCS_STEMS = ("drums", "bass", "other", "vocals")
BRANCH_SCALE = 1e-4
_TORCHAUDIO_NAMES = {
    "freq_encoder": "encoder",
    "freq_decoder": "decoder",
    "time_encoder": "tencoder",
    "time_decoder": "tdecoder",
}


@dataclass(frozen=True, kw_only=True)
class HDemucsConfig:
    """``width`` channels at the outermost level, twice as many at each further one; ``n_fft`` is a power of 4."""

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = DEMUCS_STEMS
    n_fft: int = 4096
    width: int = 48
    compress: int = 4
    segment: float = 10.0

    def __post_init__(self) -> None:
        if self.n_fft < 4 * STRIDE or self.n_fft != STRIDE**self.levels * 4:
            raise ConfigError(f"hdemucs: n_fft {self.n_fft} is not a power of 4", "use 4096")
        hidden = self.width * 2 ** (self.levels - 1) // self.compress
        if self.width % 2 or hidden % 4:
            raise ConfigError(f"hdemucs: width {self.width} is too small or odd", "use a multiple of 8, such as 48")

    @property
    def levels(self) -> int:
        """Levels along frequency until one bin is left; one along time follows."""
        return (self.n_fft.bit_length() - 1) // 2 - 1


def _levels(config: HDemucsConfig) -> tuple[list[LayerShape], list[LayerShape]]:
    """Of the spectrogram's and of the waveform's U-Net, outermost first; the last of the latter only joins."""
    spectrogram, waveform = [], []
    outer_in, outer_out = config.channels, len(config.stems) * config.channels
    for level in range(config.levels):
        joins = level == config.levels - 1
        parts = 2 if level == 0 else 1
        shape = LayerShape(
            outer_in=outer_in,
            outer_out=outer_out,
            inner=config.width * 2**level,
            compress=config.compress,
            branch_scale=BRANCH_SCALE,
            frequency=False,
            bare=joins,
            deep=joins,
        )
        waveform.append(shape)
        shape = replace(shape, outer_in=parts * outer_in, outer_out=parts * outer_out)
        spectrogram.append(replace(shape, frequency=True, bare=False, whole=joins))
        outer_in = outer_out = shape.inner
    shape = replace(shape, outer_in=outer_in, outer_out=outer_out, inner=2 * outer_in)
    spectrogram.append(replace(shape, bare=False, kernel=4, stride=2))
    return spectrogram, waveform


class HDemucs(HybridUNets):
    """(B, C, T) to (B, S, C, T). Edges are mirrored; levels and silence as ``HybridUNets`` says."""

    def __init__(self, config: HDemucsConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.context = None
        self._build(config.n_fft, *_levels(config))

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of torchaudio, whose names differ and whose joining layer has a norm that it does not use; or of demucs."""
        unused = f"time_encoder.{self.config.levels - 1}.norm1."
        converted = {}
        for name, tensor in weights.items():
            first, dot, rest = name.partition(".")
            if not name.startswith(unused):
                converted[_TORCHAUDIO_NAMES.get(first, first) + dot + rest] = tensor
        return converted

    def _between(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing: all goes through the skips."""
        return torch.zeros_like(x), y
