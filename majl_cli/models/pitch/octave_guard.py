"""A second opinion on frames whose octave a network may have dropped.

Letters: B batch, N frames, K pitch bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majl_cli.convert import PitchGrid


@dataclass(frozen=True, kw_only=True)
class OctaveGuard:
    """Finds frames whose octave was dropped, by asking again about the same audio an octave lower.

    Only frames whose salience reaches ``threshold`` (lower than any that frames are called voiced at: both answers must
    agree in any case) and found within ``lowest_hz`` and an octave below the grid's top are in doubt. If
    f0 is what was found, an octave lower it is half of that. If it is twice what was found, an octave lower it is
    what was found, in the range where the network is right: then the salience belongs an octave higher.
    f0 above the grid's top (1975 Hz) stays out of reach. Cost: a second pass over examples (chunks) with a frame in
    doubt, nothing for others.
    """

    grid: PitchGrid
    threshold: float = 0.1
    lowest_hz: float = 500.0
    tolerance_cents: float = 100.0

    @property
    def octave(self) -> int:
        """Bins per octave."""
        return round(1200.0 / self.grid.cents_per_bin)

    def in_doubt(self, logits: Tensor) -> Tensor:
        """(B, N, K) to a mask (B, N)."""
        peak, found = torch.sigmoid(logits).max(dim=-1)
        lowest = float(self.grid.frequency_to_bin(self.lowest_hz))
        return (peak >= self.threshold) & (found >= lowest) & (found < self.grid.bins - self.octave)

    def repaired(self, logits: Tensor, octave_lower: Tensor) -> Tensor:
        """The logits (B, N, K), an octave higher where those of the audio an octave lower (B, N, K) ask for it."""
        peak, found = torch.sigmoid(octave_lower).max(dim=-1)
        apart = (found - logits.argmax(dim=-1)).abs() * self.grid.cents_per_bin
        dropped = self.in_doubt(logits) & (peak >= self.threshold) & (apart <= self.tolerance_cents)
        empty = logits.amin(dim=-1, keepdim=True).expand(*logits.shape[:-1], self.octave)
        higher = torch.cat((empty, logits[..., : -self.octave]), dim=-1)
        return torch.where(dropped.unsqueeze(-1), higher, logits)
