"""Conversions between Hz, cents, MIDI numbers and pitch bins, and from frames to seconds.

Cents are counted above 10 Hz, as CREPE does (Kim et al., ICASSP 2018). 0 Hz means *unvoiced* and has
no place on a logarithmic scale: convert voiced frames only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

REFERENCE_HZ = 10.0
CREPE_FIRST_BIN_CENTS = 1997.3794084376191


def frequency_to_cents(frequency: ArrayLike) -> NDArray[np.float64]:
    """Hz (positive) to cents above 10 Hz."""
    return 1200.0 * np.log2(np.asarray(frequency, dtype=np.float64) / REFERENCE_HZ)


def cents_to_frequency(cents: ArrayLike) -> NDArray[np.float64]:
    """Cents above 10 Hz to Hz."""
    return REFERENCE_HZ * 2.0 ** (np.asarray(cents, dtype=np.float64) / 1200.0)


def frequency_to_midi(frequency: ArrayLike) -> NDArray[np.float64]:
    """Hz (positive) to MIDI note numbers, 69 = 440 Hz."""
    return 69.0 + 12.0 * np.log2(np.asarray(frequency, dtype=np.float64) / 440.0)


def midi_to_frequency(midi: ArrayLike) -> NDArray[np.float64]:
    """MIDI note numbers to Hz, 69 = 440 Hz."""
    return 440.0 * 2.0 ** ((np.asarray(midi, dtype=np.float64) - 69.0) / 12.0)


def frames_to_seconds(frames: ArrayLike, hop_length: int, sample_rate: int) -> NDArray[np.float64]:
    """Frame numbers to the time of their centre in seconds."""
    return np.asarray(frames, dtype=np.float64) * hop_length / sample_rate


@dataclass(frozen=True, kw_only=True)
class PitchGrid:
    """Equally spaced pitch bins: ``bins`` of ``cents_per_bin``, bin 0 at ``first_frequency`` Hz."""

    bins: int = 360
    cents_per_bin: float = 20.0
    first_frequency: float = float(cents_to_frequency(CREPE_FIRST_BIN_CENTS))

    @property
    def cents(self) -> NDArray[np.float64]:
        """Centre of each bin in cents above 10 Hz; shape (bins,)."""
        first = float(frequency_to_cents(self.first_frequency))
        return first + self.cents_per_bin * np.arange(self.bins, dtype=np.float64)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Centre of each bin in Hz; shape (bins,)."""
        return cents_to_frequency(self.cents)

    def frequency_to_bin(self, frequency: ArrayLike) -> NDArray[np.float64]:
        """Hz (positive) to fractional bin number."""
        return (frequency_to_cents(frequency) - self.cents[0]) / self.cents_per_bin
