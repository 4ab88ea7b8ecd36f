"""ResUNetDecouple+, the separation module of the MAJL paper (Kong et al., ISMIR 2021, "Decoupling magnitude and phase
estimation with deep ResUNet for music source separation").

A residual U-Net on the magnitude of the STFT gives four numbers per stem, channel, bin and frame: a magnitude mask in
[0, 1], the two parts of a phase rotation, and a magnitude that is added. The parameter names are those of the bytesep
package, whose weights load: ``subbands`` 1 is its ResUNet143_DecouplePlusInplaceABN_ISMIR2021, ``subbands`` 4 its
ResUNet143_DecouplePlus. It estimates one stem per network.

Letters: B batch, S stems, C channels, T samples, N frames, F bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.separation.stft import inverse_stft, reflected_stft

# Channels of the six encoder blocks, in multiples of ``width``; all but the last halve time, all halve frequency.
_WIDTHS = (1, 2, 4, 8, 12, 12)
_TIME_FACTOR = 32
_FREQUENCY_FACTOR = 64
_OUTPUTS = 4
_MOMENTUM = 0.01
_EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class ResUNetDecouplePlusConfig:
    """Sizes of the network.

    ``width`` is the number of channels of the outermost blocks: 32 as published (102 million parameters), less for
    CPUs. ``subbands`` cuts the spectrum in so many bands, stacked as channels: with 4 it takes a quarter of the work,
    and the activation is ReLU where it is leaky with 1, as in the two published networks.
    """

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("vocals",)
    n_fft: int = 2048
    hop_length: int = 441
    subbands: int = 1
    width: int = 32
    segment: float = 10.0

    def __post_init__(self) -> None:
        if self.subbands not in (1, 4):
            raise ConfigError(f"resunet-decouple-plus: subbands {self.subbands}", "use 1 or 4")
        unit = 2 * _FREQUENCY_FACTOR * self.subbands
        if self.n_fft % unit or self.n_fft <= 0:
            raise ConfigError(
                f"resunet-decouple-plus: n_fft {self.n_fft} is not a multiple of {unit}",
                f"use {max(unit, self.n_fft // unit * unit)}",
            )


class ResidualUnit(nn.Module):
    """Batch norm and activation before either of two 3x3 convolutions; their sum with the input, by way of a 1x1
    convolution where the channels change."""

    def __init__(self, in_channels: int, out_channels: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.bn1 = nn.BatchNorm2d(in_channels, momentum=_MOMENTUM)
        self.bn2 = nn.BatchNorm2d(out_channels, momentum=_MOMENTUM)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(functional.leaky_relu(self.bn1(x), self.slope, inplace=True))
        hidden = self.conv2(functional.leaky_relu(self.bn2(hidden), self.slope, inplace=True))
        return hidden.add_(self.shortcut(x))


class EncoderBlock(nn.Module):
    """Four residual units."""

    def __init__(self, in_channels: int, out_channels: int, slope: float) -> None:
        super().__init__()
        self.conv_block1 = ResidualUnit(in_channels, out_channels, slope)
        self.conv_block2 = ResidualUnit(out_channels, out_channels, slope)
        self.conv_block3 = ResidualUnit(out_channels, out_channels, slope)
        self.conv_block4 = ResidualUnit(out_channels, out_channels, slope)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block4(self.conv_block3(self.conv_block2(self.conv_block1(x))))


class DecoderBlock(nn.Module):
    """A transposed convolution by ``factor`` (time, frequency), the encoder's features beside it, four residual units.

    The activation before the transposed convolution is ReLU in either network.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: tuple[int, int], slope: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels, momentum=_MOMENTUM)
        self.conv1 = nn.ConvTranspose2d(in_channels, out_channels, factor, factor, bias=False)
        self.conv_block2 = ResidualUnit(2 * out_channels, out_channels, slope)
        self.conv_block3 = ResidualUnit(out_channels, out_channels, slope)
        self.conv_block4 = ResidualUnit(out_channels, out_channels, slope)
        self.conv_block5 = ResidualUnit(out_channels, out_channels, slope)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat((self.conv1(functional.relu(self.bn1(x), inplace=True)), skip), dim=1)
        return self.conv_block5(self.conv_block4(self.conv_block3(self.conv_block2(x))))


class ResUNetDecouplePlus(SeparationModule):
    """(B, C, T) to (B, S, C, T). Silence in gives silence out; edges are reflected, or zero where there is less input
    than half a window.

    ``context`` is None: the convolutions reach 2100 frames, 21 s at the published sizes, of which next to nothing
    arrives. As published, long audio is separated in overlapping segments.
    """

    window: Tensor

    def __init__(self, config: ResUNetDecouplePlusConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.context = None
        self.stride = config.hop_length * _TIME_FACTOR
        # The subband network's frames are padded to twice the multiple it needs, as published.
        self.frame_multiple = _TIME_FACTOR if config.subbands == 1 else 2 * _TIME_FACTOR
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

        slope = 0.01 if config.subbands == 1 else 0.0
        inputs = config.channels * config.subbands
        widths = [config.width * width for width in _WIDTHS]
        self.factors = [(2, 2)] * 5 + [(1, 2)]
        self.bn0 = nn.BatchNorm2d(config.n_fft // 2 + 1, momentum=_MOMENTUM)
        for i, (before, after) in enumerate(zip((inputs, *widths), widths, strict=False), start=1):
            self.add_module(f"encoder_block{i}", EncoderBlock(before, after, slope))
        for letter in "abcd":
            self.add_module(f"conv_block7{letter}", EncoderBlock(widths[-1], widths[-1], slope))
        outwards = [widths[-1], *reversed(widths)]
        for i, factor in enumerate(reversed(self.factors), start=1):
            self.add_module(f"decoder_block{i}", DecoderBlock(outwards[i - 1], outwards[i], factor, slope))
        self.after_conv_block1 = EncoderBlock(widths[0], widths[0], slope)
        self.after_conv2 = nn.Conv2d(widths[0], len(config.stems) * inputs * _OUTPUTS, 1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The reference keeps the matrices of its STFT among the weights, and scales by |weight| + eps in its in-place
        batch norms (abn2), whose activation is leaky."""
        converted = {}
        for name, value in weights.items():
            if name.startswith(("stft.", "istft.")):
                continue
            if name.endswith(".abn2.weight"):
                value = value.abs() + _EPSILON
            converted[name.replace(".abn2.", ".bn2.")] = value
        return converted

    def compile_network(self) -> None:
        # Not the whole of forward: torch.compile has no code for complex numbers.
        self._features = torch.compile(self._features)  # type: ignore[method-assign]

    def forward(self, mixture: Tensor) -> Tensor:
        hop_length = self.config.hop_length
        spectrum = reflected_stft(mixture, self.window, hop_length)
        # The floor keeps the gradient finite on silence.
        magnitude = (spectrum.real.square() + spectrum.imag.square()).clamp_min(1e-10).sqrt()
        mask, cosine, sine, added = self._outputs(magnitude).unbind(dim=3)
        inner = magnitude[:, None, ..., :-1]
        gain = functional.relu(inner * torch.sigmoid(mask) + added) / inner
        cosine, sine = torch.tanh(cosine), torch.tanh(sine)
        # Where both are next to nothing there is no direction: the floor bounds the gradient there.
        gain = gain * (cosine.square() + sine.square()).clamp_min(1e-12).rsqrt()
        estimates = torch.complex(gain * cosine, gain * sine) * spectrum[:, None, ..., :-1]
        # The last bin takes no part.
        return inverse_stft(functional.pad(estimates, (0, 1)), self.window, hop_length, mixture.shape[-1])

    def _outputs(self, magnitude: Tensor) -> Tensor:
        """Magnitude (B, C, N, F) to what the network says of all bins but the last, (B, S, C, 4, N, F - 1)."""
        bands = self.config.subbands
        batch, channels, frames, _ = magnitude.shape
        x = self.bn0(magnitude.transpose(1, 3)).transpose(1, 3)
        x = functional.pad(x, (0, -1, 0, -frames % self.frame_multiple))
        x = x.unflatten(3, (bands, -1)).transpose(2, 3).flatten(1, 2)
        x = self._features(x.contiguous(memory_format=torch.channels_last))[:, :, :frames].float()
        return x.unflatten(1, (len(self.stems), channels, _OUTPUTS, bands)).transpose(4, 5).flatten(5)

    def _features(self, x: Tensor) -> Tensor:
        skips = []
        for i, factor in enumerate(self.factors, start=1):
            x = self.get_submodule(f"encoder_block{i}")(x)
            skips.append(x)
            x = functional.avg_pool2d(x, factor)
        for letter in "abcd":
            x = self.get_submodule(f"conv_block7{letter}")(x)
        for i, skip in enumerate(reversed(skips), start=1):
            x = self.get_submodule(f"decoder_block{i}")(x, skip)
        return self.after_conv2(self.after_conv_block1(x))
