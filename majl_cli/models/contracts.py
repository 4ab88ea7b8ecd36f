"""What a separation module and a pitch module promise, whoever wrote them.

Letters: B batch, S stems, C channels, T samples, N frames, K pitch bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from majl_cli.convert import PitchGrid


class SeparationModule(nn.Module, ABC):
    """Mixture to stems.

    ``sample_rate`` in Hz, ``channels`` 1 or 2, ``stems`` the names of what is estimated, ``segment`` the
    seconds per chunk it was made for, ``context`` the seconds of neighbourhood on either side that an output
    sample depends on (None: the whole input), ``stride`` the samples by which an input may be shifted so that the
    output shifts along exactly (chunks start on multiples of it; 1 also where no shift is exact). ``config``, a
    dataclass or a mapping, holds the options it was built with: a checkpoint stores them.
    """

    sample_rate: int
    channels: int
    stems: tuple[str, ...]
    segment: float
    context: float | None
    stride: int = 1

    @abstractmethod
    def forward(self, mixture: Tensor) -> Tensor:
        """(B, C, T) to (B, S, C, T): any T >= 1, same T out, no statistics over the whole input."""

    def compile_network(self) -> None:
        """Replace the costly part of ``forward`` by what torch.compile makes of it; the default leaves all as it is."""

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as the reference implementation's files hold them, as this module's state dict; the default takes
        them as they are. What is left over or missing is the caller's to find."""
        return dict(weights)


class PitchModule(nn.Module, ABC):
    """Mono audio to salience logits.

    ``hop_length`` in samples at ``sample_rate``; ``grid`` says what the K bins are; ``voicing_threshold`` in
    [0, 1] applies to the sigmoid's maximum; ``frequency_range`` (lowest, highest) in Hz; ``segment`` and
    ``context`` in seconds, ``stride`` in samples (a multiple of the hop) and ``config`` as for separation.
    """

    sample_rate: int
    hop_length: int
    grid: PitchGrid
    voicing_threshold: float
    frequency_range: tuple[float, float]
    segment: float = 20.0
    context: float | None
    stride: int

    @abstractmethod
    def forward(self, audio: Tensor) -> Tensor:
        """(B, T) to logits (B, N, K), N = T // hop_length + 1, frame n centred on sample n * hop_length."""

    def compile_network(self) -> None:
        """As in a separation module."""

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As in a separation module."""
        return dict(weights)
