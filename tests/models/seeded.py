"""Random weights under which every layer of a reference network can be seen at its output."""

from __future__ import annotations

import math

import torch
from torch import nn


def fill_with_seed(network: nn.Module, seed: int = 0) -> None:
    """Weights that keep the level, gains around 1, small shifts: no layer is hidden behind a gain of 0.0001."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in))
            elif name.endswith(("scale", "weight")):
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
            else:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def tones_in_noise(samples: int, channels: int = 2, batch: int = 2) -> torch.Tensor:
    """(B, C, T): a tone per channel, louder in each further example, in noise."""
    time = torch.arange(samples) / 16000
    frequencies = 220.0 * torch.arange(1, channels + 1)
    tones = torch.sin(2 * math.pi * frequencies[:, None] * time)
    noise = torch.randn(batch, channels, samples, generator=torch.Generator().manual_seed(1))
    return torch.arange(1, batch + 1).view(-1, 1, 1) * (0.2 * tones + 0.05 * noise)
