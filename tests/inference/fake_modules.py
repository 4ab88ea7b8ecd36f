"""Modules whose context and grid are known, small enough to compare chunked with whole to the last digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.device import Runtime
from majl_cli.inference.session import Model
from majl_cli.models.checkpoint import CheckpointInfo
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.joint import JointModel

RUNTIME = Runtime(device=torch.device("cpu"), precision="float32", threads=1)


class FakeSeparation(SeparationModule):
    """A random filter of ``reach`` samples per stem, times a gain that depends on the position modulo the stride.

    So an output sample depends on ``reach`` neighbours exactly, and a chunk off the grid gives a wrong result.
    Sides of a stereo mixture leak into each other, and the right one comes out softer. Zero-padded; remembers the
    shapes it saw.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 1000,
        channels: int = 1,
        stems: tuple[str, ...] = ("vocals",),
        segment: float = 0.3,
        reach: int = 20,
        stride: int = 8,
        knows_context: bool = True,
    ) -> None:
        super().__init__()
        self.sample_rate, self.channels, self.stems, self.segment = sample_rate, channels, stems, segment
        self.reach, self.stride = reach, stride
        self.context = reach / sample_rate if knows_context else None
        generator = torch.Generator().manual_seed(0)
        taps = torch.randn(len(stems), 1, 2 * reach + 1, generator=generator) / (2 * reach + 1) ** 0.5
        self.register_buffer("taps", taps)
        self.register_buffer("gains", torch.linspace(0.5, 1.5, stride))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, mixture: Tensor) -> Tensor:
        batch, channels, samples = mixture.shape
        assert channels == self.channels
        self.shapes.append(tuple(mixture.shape))
        mixed = mixture
        if channels == 2:
            mixed = (mixture + 0.25 * mixture.flip(1)) * torch.tensor([1.0, 0.6])[:, None]
        flat = mixed.reshape(batch * channels, 1, samples)
        filtered = functional.conv1d(flat, self.taps, padding=self.reach)
        gains = self.gains[torch.arange(samples) % self.stride]
        return (filtered * gains).view(batch, channels, len(self.stems), samples).transpose(1, 2)


class Half(FakeSeparation):
    """Every stem is half the mixture."""

    def forward(self, mixture: Tensor) -> Tensor:
        super().forward(mixture)
        return 0.5 * mixture[:, None].expand(-1, len(self.stems), -1, -1)


class FakePitch(PitchModule):
    """Random features of the audio around each frame; neighbouring frames are computed in pairs (the stride)."""

    def __init__(self, *, sample_rate: int = 500, segment: float = 1.0, reach: int = 30, context: bool = True) -> None:
        super().__init__()
        self.sample_rate, self.segment = sample_rate, segment
        self.hop_length, self.stride, self.reach = 5, 10, reach
        self.grid = PitchGrid()
        self.voicing_threshold = 0.5
        self.frequency_range = (50.0, 1000.0)
        self.context = (reach + self.hop_length) / sample_rate if context else None
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("features", torch.randn(2 * reach, self.grid.bins, generator=generator))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, audio: Tensor) -> Tensor:
        self.shapes.append(tuple(audio.shape))
        frames = audio.shape[-1] // self.hop_length + 1
        even = frames + frames % 2
        needed = (even - 1) * self.hop_length + 2 * self.reach
        padded = functional.pad(audio, (self.reach, needed - audio.shape[-1] - self.reach))
        x = padded.unfold(-1, 2 * self.reach, self.hop_length) @ self.features
        pairs = x.view(len(audio), even // 2, 2, -1)
        x = pairs + 0.3 * pairs.flip(2)
        return x.flatten(1, 2)[:, :frames]


def fake_model(separation: SeparationModule | None = None, pitch: PitchModule | None = None) -> Model:
    joint = JointModel(separation or FakeSeparation(), pitch or FakePitch())
    info = CheckpointInfo(name="fake", folder=Path(), architecture={})
    return Model(joint, info, RUNTIME)


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(samples, channels) float32 well below full scale."""
    return (0.1 * np.random.default_rng(seed).standard_normal((samples, channels))).astype(np.float32)


def in_blocks(audio: np.ndarray, *sizes: int) -> list[np.ndarray]:
    """Blocks of these sizes in turn, over and over."""
    blocks, start, turn = [], 0, 0
    while start < len(audio):
        size = sizes[turn % len(sizes)]
        blocks.append(audio[start : start + size])
        start, turn = start + size, turn + 1
    return blocks
