"""The joint cascade of MAJL: mixture -> separation module -> vocals -> pitch module -> salience.

The hand-over is a waveform, resampled inside the graph, so any separation module can be joined with any pitch
module and the pitch loss reaches the separation module.

Letters: B batch, S stems, C channels, T samples, N frames, K pitch bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.stems import StemNames


@dataclass(frozen=True, kw_only=True)
class JointOutput:
    """``estimates`` (B, S, C, T) at the separation module's rate, ``logits`` (B, N, K) of the pitch module on the
    estimate, ``reference_logits`` (R, N, K) on the reference where it was to hear that too."""

    estimates: Tensor
    logits: Tensor
    reference_logits: Tensor | None = None


class Resampler(nn.Module):
    """Differentiable resampling, (..., T) to (..., round(T * new_rate / old_rate)).

    A polyphase windowed sinc as one strided convolution (Smith, "Digital audio resampling"), the same design as
    torchaudio's and julius' resamplers; here without the dependency on torchaudio's binary.
    """

    kernel: Tensor

    def __init__(self, old_rate: int, new_rate: int, *, zeros: int = 16, rolloff: float = 0.94) -> None:
        super().__init__()
        divisor = math.gcd(old_rate, new_rate)
        self.old, self.new = old_rate // divisor, new_rate // divisor
        cutoff = min(self.old, self.new) * rolloff
        self.width = math.ceil(zeros * self.old / cutoff)
        offsets = torch.arange(-self.width, self.width + self.old, dtype=torch.float64) / self.old
        phases = torch.arange(self.new, dtype=torch.float64)[:, None] / self.new
        t = ((offsets[None] - phases) * cutoff).clamp(-zeros, zeros)
        kernel = torch.sinc(t) * torch.cos(t * math.pi / zeros / 2).square() * cutoff / self.old
        self.register_buffer("kernel", kernel[:, None].float(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        if self.old == self.new:
            return audio
        length = round(audio.shape[-1] * self.new / self.old)
        flat = audio.reshape(-1, 1, audio.shape[-1])
        padded = functional.pad(flat, (self.width, self.width + self.old))
        with torch.autocast(audio.device.type, enabled=False):
            out = functional.conv1d(padded.float(), self.kernel, stride=self.old)
        return out.transpose(1, 2).reshape(*audio.shape[:-1], -1)[..., :length]


class JointModel(nn.Module):
    """A separation module and a pitch module in cascade; ``target`` is the stem whose pitch is estimated.

    ``detach_pitch`` cuts the pitch loss off from the separation module: the pipeline baseline.
    Raises ConfigError if the separation module does not estimate ``target``, or gives stems names that none can have.
    """

    def __init__(
        self,
        separation: SeparationModule,
        pitch: PitchModule,
        *,
        target: str = "vocals",
        detach_pitch: bool = False,
    ) -> None:
        super().__init__()
        if target not in separation.stems:
            raise ConfigError(
                f"the separation module estimates {', '.join(separation.stems)}, not {target!r}",
                "set model.target to one of them",
            )
        StemNames(estimated=tuple(separation.stems), target=target)
        self.separation = separation
        self.pitch = pitch
        self.target = target
        self.detach_pitch = detach_pitch
        self.resampler = Resampler(separation.sample_rate, pitch.sample_rate)

    def separate(self, mixture: Tensor) -> Tensor:
        """(B, C, T) to (B, S, C, T)."""
        return self.separation(mixture)

    def hand_over(self, source: Tensor) -> Tensor:
        """One source (B, C, T) to mono audio at the pitch module's rate (B, T')."""
        return self.resampler(source.mean(dim=1))

    def forward(self, mixture: Tensor, reference: Tensor | None = None, hears: str = "estimate") -> JointOutput:
        """(B, C, T) through both. ``hears`` "reference" gives the pitch module the ``reference`` (B, C, T) in place of
        the estimate, "both" gives it the estimate and a reference (R, C, T) as one batch, whose statistics a batch norm
        then shares."""
        estimates = self.separate(mixture)
        source = estimates[:, self.separation.stems.index(self.target)]
        source = source.detach() if self.detach_pitch else source
        if hears == "estimate":
            return JointOutput(estimates=estimates, logits=self.pitch(self.hand_over(source)))
        assert reference is not None
        if hears == "reference":
            return JointOutput(estimates=estimates, logits=self.pitch(self.hand_over(reference)))
        logits = self.pitch(self.hand_over(torch.cat((source, reference))))
        return JointOutput(estimates=estimates, logits=logits[: len(source)], reference_logits=logits[len(source) :])
