"""FCNF0++: convolutions on 1024-sample frames with layer norm (Morrison et al., "Cross-domain neural pitch and
periodicity estimation", 2023; penn's default network), after FCN-F0 (Ardaillon and Roebel, Interspeech 2019).

Written from its published layer table. The network is trained as a classifier: its 1440 outputs are the logits of a
posteriorgram, and a frame without a pitch is one where they are nearly uniform. The contract's salience is made from
it so that decoding means what it means there: the shape is the posteriorgram's, the height of the largest bin is the
frame's periodicity, 1 - entropy / log(bins). So the largest bin is the classifier's, and the confidence is penn's
periodicity, for which its own threshold holds: 0.1625 is the default here (a benchmark on voices in noise found 0.388
best, lars76/pitch-benchmark). The periodicity of a sure frame is about 0.6, as the targets were blurred by 25 cents.

Letters: B batch, C channels, T samples, N frames, L positions within a frame, K pitch bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.models.contracts import PitchModule

FRAME_LENGTH = 1024
# Of a frame, these samples enter the network: as many as leave one position at its end.
FIRST_SAMPLE, LAST_SAMPLE = 16, 1008
KERNEL = 32
# The posteriorgram's edge over uniform: keeps logits finite where every bin is alike, or one has everything.
SMALLEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Fcnf0Config:
    """``widths`` are the channels of the convolutions, halved in length after the first three; ``batch_frames`` bounds
    memory at inference."""

    widths: tuple[int, int, int, int, int, int] = (256, 32, 32, 128, 256, 512)
    batch_frames: int = 64
    segment: float = 10.0
    voicing_threshold: float = 0.1625


def _block(in_channels: int, out_channels: int, length: int, *, pooled: bool) -> nn.Sequential:
    """Convolution, ReLU, halving where ``pooled``, and layer norm over (out_channels, length)."""
    pooling = [nn.MaxPool1d(2)] if pooled else []
    return nn.Sequential(
        nn.Conv1d(in_channels, out_channels, KERNEL), nn.ReLU(), *pooling, nn.LayerNorm((out_channels, length))
    )


def salience_logits(logits: Tensor) -> Tensor:
    """Logits of a posteriorgram (..., K) to logits whose sigmoid is periodicity * posterior / largest posterior."""
    log_posterior = logits.log_softmax(dim=-1)
    entropy = -(log_posterior.exp() * log_posterior).sum(dim=-1, keepdim=True)
    periodicity = 1.0 - entropy / math.log(logits.shape[-1])
    log_periodicity = periodicity.clamp(SMALLEST, 1.0 - SMALLEST).log()
    log_salience = log_posterior - log_posterior.amax(dim=-1, keepdim=True) + log_periodicity
    return log_salience - torch.log(-torch.expm1(log_salience))


class Fcnf0(PitchModule):
    """(B, T) at 8 kHz to logits (B, N, 1440): bins of 5 cents from 31 Hz, every 10 ms. Edges are mirrored."""

    def __init__(self, config: Fcnf0Config) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = 8000
        self.hop_length = 80
        self.grid = PitchGrid(bins=1440, cents_per_bin=5.0, first_frequency=31.0)
        self.voicing_threshold = config.voicing_threshold
        self.frequency_range = (50.0, 1975.0)
        self.segment = config.segment
        self.stride = self.hop_length
        self.context = (FRAME_LENGTH // 2 + self.hop_length) / self.sample_rate
        length = LAST_SAMPLE - FIRST_SAMPLE + 1
        blocks: list[nn.Module] = []
        for i, width in enumerate(config.widths):
            length = (length - KERNEL + 1) // (2 if i < 3 else 1)
            blocks.append(_block(config.widths[i - 1] if i else 1, width, length, pooled=i < 3))
        self.layers = nn.Sequential(*blocks, nn.Conv1d(config.widths[-1], self.grid.bins, length))

    def forward(self, audio: Tensor) -> Tensor:
        return salience_logits(self.posterior_logits(audio))

    def posterior_logits(self, audio: Tensor) -> Tensor:
        """(B, T) to the classifier's logits (B, N, K)."""
        half = FRAME_LENGTH // 2
        count = audio.shape[-1] // self.hop_length + 1
        # Mirroring needs more samples than it makes up.
        audio = functional.pad(audio.float(), (0, max(0, half + 1 - audio.shape[-1])))
        padded = functional.pad(audio.unsqueeze(1), (half, half), mode="reflect")
        # The first block's convolution and pooling do not depend on where a frame starts: once for all frames.
        pooled = self._first_block()[:-1](padded[..., FIRST_SAMPLE:])
        length = (LAST_SAMPLE - FIRST_SAMPLE + 2 - KERNEL) // 2
        frames = pooled.unfold(-1, length, self.hop_length // 2)[:, :, :count]
        parts = frames.split(max(1, self.config.batch_frames // len(audio)), dim=2)
        return torch.cat([self._classified(part.transpose(1, 2)) for part in parts], dim=1)

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """penn numbers its layers without a name before them; its file keeps them under ``model``, beside the
        optimiser's state."""
        return {f"layers.{name}": weight for name, weight in weights.items()}

    def _first_block(self) -> nn.Sequential:
        block = self.layers[0]
        assert isinstance(block, nn.Sequential)
        return block

    def _classified(self, frames: Tensor) -> Tensor:
        """What the first block pooled of each frame (B, N, C, L) to logits (B, N, K)."""
        flat = self._first_block()[-1](frames.flatten(0, 1))
        return self.layers[1:](flat).float().view(*frames.shape[:2], -1)
