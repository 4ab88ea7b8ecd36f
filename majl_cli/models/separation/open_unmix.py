"""Open-Unmix: one recurrent network per stem masks the mixture's magnitude, a Wiener filter shares out the rest.

Stöter, Uhlich, Liutkus and Mitsufuji, "Open-Unmix: a reference implementation for music source separation" (JOSS 2019).
The parameter names are those of the openunmix package, whose published weights load (umxhq and umx with ``hidden`` 512,
umxl with 1024).

Letters: B batch, S stems, C channels, T samples, N frames, F bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.separation.stft import inverse_stft, reflected_stft
from majl_cli.models.separation.wiener import filter_estimates

# What the published files hold beside the weights.
_TRANSFORMS = ("stft.", "istft.", "transform.", "sample_rate")


@dataclass(frozen=True, kw_only=True)
class OpenUnmixConfig:
    """Sizes of the networks, ``hidden`` features wide with ``layers`` of LSTM in both directions.

    They see the mixture below ``bandwidth`` Hz, yet mask all bins. In evaluation, two or more stems are filtered
    by ``iterations`` of expectation-maximisation over excerpts of ``filter_frames`` frames (0 iterations: the masks
    are all there is, as with one stem, and in training).
    """

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    n_fft: int = 4096
    hop_length: int = 1024
    bandwidth: float = 16000.0
    hidden: int = 512
    layers: int = 3
    dropout: float = 0.4
    iterations: int = 1
    filter_frames: int = 300
    segment: float = 30.0

    def __post_init__(self) -> None:
        if self.hidden % 2:
            raise ConfigError(f"open-unmix: hidden {self.hidden} is odd", f"use {self.hidden + 1}")
        if self.iterations < 0 or self.filter_frames < 1:
            raise ConfigError(
                f"open-unmix: iterations {self.iterations}, filter_frames {self.filter_frames}", "use 1 and 300"
            )


class MaskNetwork(nn.Module):
    """The mixture's magnitude (N, B, C, F) to one stem's mask of the same shape, not negative."""

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__()
        bins = config.n_fft // 2 + 1
        self.seen_bins = min(bins, int(config.bandwidth * config.n_fft / config.sample_rate) + 1)
        hidden, outputs = config.hidden, config.channels * bins
        self.fc1 = nn.Linear(config.channels * self.seen_bins, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        dropout = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(hidden, hidden // 2, config.layers, bidirectional=True, dropout=dropout)
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, outputs, bias=False)
        self.bn3 = nn.BatchNorm1d(outputs)
        self.input_mean = nn.Parameter(torch.zeros(self.seen_bins))
        self.input_scale = nn.Parameter(torch.ones(self.seen_bins))
        self.output_scale = nn.Parameter(torch.ones(bins))
        self.output_mean = nn.Parameter(torch.ones(bins))

    def forward(self, magnitude: Tensor) -> Tensor:
        frames, batch, channels, bins = magnitude.shape
        # The mean is kept with its sign turned, the scale as its inverse.
        x = (magnitude[..., : self.seen_bins] + self.input_mean) * self.input_scale
        x = torch.tanh(self.bn1(self.fc1(x.reshape(frames * batch, -1))))
        recurrent, _ = self.lstm(x.view(frames, batch, -1))
        x = torch.cat((x, recurrent.flatten(0, 1)), dim=1)
        x = torch.relu(self.bn2(self.fc2(x)))
        x = self.bn3(self.fc3(x)).view(frames, batch, channels, bins)
        return torch.relu(torch.addcmul(self.output_mean, x, self.output_scale))


class OpenUnmix(SeparationModule):
    """(B, C, T) to (B, S, C, T). Silence in gives silence out; edges are reflected, or zero where there is less input
    than half a window. Estimates have the mixture's phase until they are filtered."""

    window: Tensor

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.context = None
        self.stride = config.hop_length
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.target_models = nn.ModuleDict({stem: MaskNetwork(config) for stem in config.stems})

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published files hold one stem each: their names go under ``{stem}.``, or stay as they are if there is
        but one stem. Those of a whole Separator are taken too."""
        converted = {}
        for name, value in weights.items():
            name = name.removeprefix("target_models.")
            stem, _, rest = name.partition(".")
            if stem not in self.stems and len(self.stems) == 1:
                stem, rest = self.stems[0], name
            if not name.startswith(_TRANSFORMS) and not rest.startswith(_TRANSFORMS):
                converted[f"target_models.{stem}.{rest}"] = value
        return converted

    def forward(self, mixture: Tensor) -> Tensor:
        config = self.config
        spectrum = reflected_stft(mixture, self.window, config.hop_length)
        magnitude = spectrum.abs().permute(2, 0, 1, 3)
        masks = [network(magnitude).float().permute(1, 2, 0, 3) for network in self.target_models.values()]
        estimates = torch.stack([mask * spectrum for mask in masks], dim=1)
        if not self.training and len(masks) > 1:
            estimates = filter_estimates(estimates, spectrum, iterations=config.iterations, frames=config.filter_frames)
        return inverse_stft(estimates, self.window, config.hop_length, mixture.shape[-1])
