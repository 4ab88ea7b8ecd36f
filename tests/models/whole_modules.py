"""Modules whose output depends on the whole input: what attention, recurrence and normalisation over time do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.models.contracts import PitchModule, SeparationModule


class AttentiveSeparation(SeparationModule):
    """Frames without overlap attend to each other; each gives the gains of its own samples."""

    def __init__(self, stems: tuple[str, ...] = ("vocals", "drums"), segment: float = 0.25) -> None:
        super().__init__()
        self.config = {"stems": stems, "segment": segment}
        self.sample_rate, self.channels, self.stems = 8000, 2, tuple(stems)
        self.segment, self.context, self.stride = segment, None, 64
        self.inputs = nn.Linear(2 * self.stride, 16)
        self.gains = nn.Linear(16, len(self.stems) * 2 * self.stride)

    def forward(self, mixture: Tensor) -> Tensor:
        batch, channels, samples = mixture.shape
        padded = functional.pad(mixture, (0, -samples % self.stride))
        frames = padded.unflatten(-1, (-1, self.stride)).transpose(1, 2)  # (B, N, C, stride)
        x = self.inputs(30 * frames.flatten(2))  # loud enough that attention differs from a mean
        x = x + 3 * functional.scaled_dot_product_attention(x, x, x)
        gains = self.gains(x).view(batch, -1, len(self.stems), channels, self.stride)
        return (gains * frames.unsqueeze(2)).permute(0, 2, 3, 1, 4).flatten(-2)[..., :samples]


class RecurrentPitch(PitchModule):
    """Frames normalised over the whole input, then read in both directions."""

    def __init__(self, segment: float = 0.5) -> None:
        super().__init__()
        self.config = {"segment": segment}
        self.sample_rate, self.hop_length, self.stride = 8000, 80, 160
        self.grid, self.voicing_threshold, self.frequency_range = PitchGrid(), 0.5, (50.0, 1000.0)
        self.segment, self.context = segment, None
        self.lstm = nn.LSTM(self.hop_length, 8, batch_first=True, bidirectional=True)
        self.logits = nn.Linear(16, self.grid.bins)

    def forward(self, audio: Tensor) -> Tensor:
        frames = audio.shape[-1] // self.hop_length + 1
        half = self.hop_length // 2
        padded = functional.pad(audio, (half, frames * self.hop_length - audio.shape[-1]))
        x = padded[:, : frames * self.hop_length].unflatten(-1, (frames, self.hop_length))
        x = (x - x.mean(dim=(1, 2), keepdim=True)) * torch.rsqrt(x.var(dim=(1, 2), keepdim=True, correction=0) + 1e-5)
        return self.logits(self.lstm(x)[0])
