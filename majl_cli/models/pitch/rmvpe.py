"""RMVPE: a deep residual U-Net and a bidirectional GRU on a mel spectrogram (Wei et al., Interspeech 2023).

This is the variant whose weights are in use everywhere (``rmvpe.pt``: 128 mel bands, a frame every 10 ms, no timbre
filter), written from its published layer table; the parameter names are those of that file.

Two things a user should know of the published weights. Their voicing: 0.7 is the default here, since a benchmark of
them on voices in noise found 0.688 best on average (lars76/pitch-benchmark); the paper says 0.5, and voice conversion
uses 0.03, which calls nearly everything voiced. And their octave: they are known to answer f0 / 2 with high
confidence above about 1040 Hz (Applio issue 1274), which ``OctaveGuard`` repairs. The guard was verified with a
simulated defect only.

Letters: B batch, C channels, T samples, N frames, F mel bands, K pitch bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.errors import ConfigError
from majl_cli.models.contracts import PitchModule
from majl_cli.models.pitch.octave_guard import OctaveGuard

N_FFT = 1024
LOWEST_MEL_HZ, HIGHEST_MEL_HZ = 30.0, 8000.0
QUIETEST_MEL = 1e-5


@dataclass(frozen=True, kw_only=True)
class RmvpeConfig:
    """Sizes of the network; the defaults are the published weights'.

    ``base_channels`` of the first level double with each of ``levels``; ``blocks`` per level; ``middle_stages``
    of as many blocks at the bottom; ``hidden`` units of the GRU per direction. ``mel_bands`` is a multiple of
    2 ** levels. ``octave_guard`` repairs dropped octaves in evaluation mode.
    """

    mel_bands: int = 128
    base_channels: int = 16
    levels: int = 5
    blocks: int = 4
    middle_stages: int = 4
    hidden: int = 256
    dropout: float = 0.25
    octave_guard: bool = True
    segment: float = 20.0
    voicing_threshold: float = 0.7

    def __post_init__(self) -> None:
        unit = 2**self.levels
        if self.mel_bands % unit or self.mel_bands < unit:
            raise ConfigError(
                f"rmvpe: mel_bands {self.mel_bands} is not a multiple of {unit}",
                f"use {max(unit, self.mel_bands // unit * unit)}, or fewer levels",
            )


def mel_filters(sample_rate: int, n_fft: int, bands: int, lowest_hz: float, highest_hz: float) -> NDArray[np.float32]:
    """Triangles (bands, n_fft // 2 + 1), equally spaced on the HTK mel scale, each of area 1 in Hz."""
    lowest, highest = 2595.0 * np.log10(1.0 + np.array([lowest_hz, highest_hz]) / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(lowest, highest, bands + 2) / 2595.0) - 1.0)
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    rise, fall = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return (np.maximum(0.0, np.minimum(rise, fall)) * 2.0 / (right - left)).astype(np.float32)


class LogMel(nn.Module):
    """Audio (B, T) to log mel magnitudes (B, N, F); edges are mirrored."""

    window: Tensor
    window_down: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, hop_length: int, bands: int) -> None:
        super().__init__()
        self.hop_length = hop_length
        filters = mel_filters(sample_rate, N_FFT, bands, LOWEST_MEL_HZ, HIGHEST_MEL_HZ)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("window_down", 2.0 * torch.hann_window(N_FFT // 2), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.T.copy()), persistent=False)

    def forward(self, audio: Tensor, *, octave_down: bool = False) -> Tensor:
        """With ``octave_down``, what audio played at half speed gives in frames of twice the hop: the same times.

        An octave down halves frequencies and doubles durations, so that the spectrum of 1024 samples of the slow
        audio is that of 512 samples of the original, in the lower half of the bins. Nothing is resampled.
        """
        window = self.window_down if octave_down else self.window
        n_fft = len(window)
        frames = audio.shape[-1] // self.hop_length + 1
        # Mirroring needs more samples than it makes up.
        audio = functional.pad(audio, (0, max(0, n_fft // 2 + 1 - audio.shape[-1])))
        spectrum = torch.stft(audio, n_fft, self.hop_length, window=window, return_complex=True)[..., :frames]
        # The floor keeps the square root's gradient finite; it lies far below the quietest mel.
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = power.clamp_min(1e-20).sqrt().transpose(1, 2)
        mel = magnitude @ self.filters[: magnitude.shape[-1]]
        return mel.clamp_min(QUIETEST_MEL).log()


class ConvBlockRes(nn.Module):
    """Twice convolution, batch norm, ReLU; plus the input, through a 1x1 where channels change."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels, momentum=0.01),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels, momentum=0.01),
            nn.ReLU(inplace=True),
        )
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + (self.shortcut(x) if hasattr(self, "shortcut") else x)


def _blocks(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlockRes(in_channels if i == 0 else out_channels, out_channels) for i in range(count)))


class Stage(nn.Module):
    """Blocks at one resolution."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.conv = _blocks(in_channels, out_channels, blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UpStage(nn.Module):
    """A transposed convolution to twice the size, then blocks on it and the encoder's features of that size."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 3, 2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(out_channels, momentum=0.01),
            nn.ReLU(inplace=True),
        )
        self.conv2 = _blocks(2 * out_channels, out_channels, blocks)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv2(torch.cat((self.conv1(x), skip), dim=1))


class Encoder(nn.Module):
    """Batch norm, then a stage and average pooling per level."""

    def __init__(self, widths: list[int], blocks: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(1, momentum=0.01)
        self.layers = nn.ModuleList(Stage(a, b, blocks) for a, b in zip([1, *widths], widths, strict=False))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn(x)
        skips = []
        for layer in self.layers:
            skips.append(layer(x))
            x = functional.avg_pool2d(skips[-1], 2)
        return x, skips


class Middle(nn.Module):
    """Stages at the lowest resolution."""

    def __init__(self, width: int, stages: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Stage(width if i == 0 else 2 * width, 2 * width, blocks) for i in range(stages)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Decoder(nn.Module):
    """The encoder's levels in reverse."""

    def __init__(self, widths: list[int], blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(UpStage(2 * width, width, blocks) for width in reversed(widths))

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for layer, skip in zip(self.layers, reversed(skips), strict=True):
            x = layer(x, skip)
        return x


class DeepUNet(nn.Module):
    """(B, 1, N, F) to (B, base channels, N, F); N and F are multiples of 2 ** levels."""

    def __init__(self, config: RmvpeConfig) -> None:
        super().__init__()
        widths = [config.base_channels * 2**level for level in range(config.levels)]
        self.encoder = Encoder(widths, config.blocks)
        self.intermediate = Middle(widths[-1], config.middle_stages, config.blocks)
        self.decoder = Decoder(widths, config.blocks)

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return self.decoder(self.intermediate(x), skips)


class BiGRU(nn.Module):
    """(B, N, features) to (B, N, 2 * hidden), in float32 whatever the precision around it."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.gru(x.float())[0]


class Rmvpe(PitchModule):
    """(B, T) at 16 kHz to logits (B, N, 360). Edges are mirrored, silence is the log mel's floor."""

    def __init__(self, config: RmvpeConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = 16000
        self.hop_length = 160
        self.grid = PitchGrid()
        self.voicing_threshold = config.voicing_threshold
        self.frequency_range = (50.0, 1975.0)
        self.segment = config.segment
        self.context = None
        self.frame_unit = 2**config.levels
        self.stride = self.hop_length * self.frame_unit
        self.guard = OctaveGuard(grid=self.grid)
        self.mel = LogMel(self.sample_rate, self.hop_length, config.mel_bands)
        self.unet = DeepUNet(config)
        self.cnn = nn.Conv2d(config.base_channels, 3, 3, padding=1)
        head = nn.Linear(2 * config.hidden, self.grid.bins)
        nn.init.constant_(head.bias, -4.5)  # salience is sparse: see SalienceCNN
        self.fc = nn.Sequential(BiGRU(3 * config.mel_bands, config.hidden), head)

    def forward(self, audio: Tensor) -> Tensor:
        logits = self._logits(audio)
        if self.training or not self.config.octave_guard:
            return logits
        rows = self.guard.in_doubt(logits).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return logits
        octave_lower = self._logits(audio[rows], octave_down=True)
        return logits.index_copy(0, rows, self.guard.repaired(logits[rows], octave_lower))

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published file holds half precision under these very names."""
        return {name: weight.float() if weight.is_floating_point() else weight for name, weight in weights.items()}

    def compile_network(self) -> None:
        self.unet.compile()

    def _logits(self, audio: Tensor, *, octave_down: bool = False) -> Tensor:
        with torch.autocast(audio.device.type, enabled=False):
            mel = self.mel(audio.float(), octave_down=octave_down)
        frames = mel.shape[1]
        # Zero, not the log of silence: what the published weights were trained with.
        x = functional.pad(mel, (0, 0, 0, -frames % self.frame_unit)).unsqueeze(1)
        x = self.cnn(self.unet(x))
        gru, head = self.fc
        # The reference drops logits instead, which makes a quarter of a training frame's saliences 0.5: DWHS could not
        # compare them.
        x = functional.dropout(gru(x.transpose(1, 2).flatten(2)), self.config.dropout, self.training)
        return head(x).float()[:, :frames]
