"""How far to believe a pseudo-label, frame by frame: a number in [0, 1] meant as the chance that it is right.

The pitch module's bins are independent. With an explicit "unvoiced" of odds 1 beside odds exp(z / temperature) per bin
they become one distribution: q_k = exp(z_k / T) / (1 + sum_j exp(z_j / T)), unvoiced 1 / (1 + sum_j exp(z_j / T)).
What a pitch is worth is the mass within 50 cents of it; a frequency of 0 Hz, or one off the grid, is worth nothing.

Where nobody sings the mixture's separated voice is judged by its attenuation; a mixture below -80 dB full scale is
silent, and there nothing can be wrong.

Letters: N frames, K pitch bins, n samples of a block, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import PitchGrid, frequency_to_cents

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Block = NDArray[np.float32]
TOLERANCE_CENTS = 50.0
WINDOW_SECONDS = 0.040
SILENCE = 1e-8  # mean square: -80 dB full scale
SMALLEST, LARGEST = 1e-26, 1.0 - 1e-7  # salience is float32: beyond that it holds no more information


def posteriorgram(salience: NDArray[np.floating], temperature: float) -> tuple[Block, Block]:
    """Salience (N, K) in [0, 1], bins independent, to the distribution (N, K) and the mass (N,) of "unvoiced"."""
    clipped = np.clip(np.asarray(salience, dtype=np.float32), SMALLEST, LARGEST)
    scaled = (np.log(clipped) - np.log1p(-clipped)) / np.float32(temperature)
    top = np.maximum(scaled.max(axis=1, keepdims=True), 0.0)
    odds, unvoiced = np.exp(scaled - top), np.exp(-top)
    total = odds.sum(axis=1, keepdims=True) + unvoiced
    return odds / total, (unvoiced / total)[:, 0]


def mass_near(posterior: Block, grid: PitchGrid, frequency: Floats) -> Floats:
    """Mass (N,) of the bins whose centre lies within 50 cents of ``frequency`` (N,) in Hz; 0 for 0 Hz."""
    reach = int(TOLERANCE_CENTS // grid.cents_per_bin) + 1
    sounding = frequency > 0
    place = grid.frequency_to_bin(np.where(sounding, frequency, grid.first_frequency))
    columns = np.round(place).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    near = np.abs(columns - place[:, None]) * grid.cents_per_bin <= TOLERANCE_CENTS + 1e-6
    inside = near & (columns >= 0) & (columns < grid.bins) & sounding[:, None]
    found = posterior[np.arange(len(posterior))[:, None], columns.clip(0, grid.bins - 1)]
    return np.where(inside, found, 0.0).sum(axis=1, dtype=np.float64)


def within_tolerance(frequency: Floats, label: Floats) -> Bools:
    """Where two frequencies in Hz (N,) differ by 50 cents at most; never where one of them is 0."""
    both = (frequency > 0) & (label > 0)
    cents = frequency_to_cents(np.where(both, frequency, 1.0)) - frequency_to_cents(np.where(both, label, 1.0))
    return both & (np.abs(cents) <= TOLERANCE_CENTS)


class WindowEnergy:
    """The energy of a stream of blocks in windows of 40 ms; one number a millisecond is held."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._cell = max(1, sample_rate // 1000)
        self._cells: list[Floats] = []
        self._rest = np.zeros(0)
        self._channels = 1

    def push(self, block: Block) -> None:
        """Take in (n, C)."""
        self._channels = block.shape[1]
        squares = np.concatenate((self._rest, np.square(block, dtype=np.float64).sum(axis=1)))
        whole = len(squares) // self._cell * self._cell
        self._cells.append(squares[:whole].reshape(-1, self._cell).sum(axis=1))
        self._rest = squares[whole:]

    def passing(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks, taken in on their way."""
        for block in blocks:
            self.push(block)
            yield block

    def around(self, times: Floats) -> tuple[Floats, Floats]:
        """Energy (N,) and mean square per sample (N,) around ``times`` in s; 0 beyond the audio."""
        sums = np.cumsum(np.concatenate(([0.0], *self._cells, [self._rest.sum()])))
        per_second = self.sample_rate / self._cell
        start = np.floor((times - WINDOW_SECONDS / 2) * per_second + 0.5).clip(0, len(sums) - 1).astype(np.int64)
        stop = np.floor((times + WINDOW_SECONDS / 2) * per_second + 0.5).clip(0, len(sums) - 1).astype(np.int64)
        energy = np.maximum(sums[stop] - sums[start], 0.0)
        return energy, energy / np.maximum((stop - start) * self._cell * self._channels, 1)


def attenuation(*, vocals: WindowEnergy, mixture: WindowEnergy, times: Floats) -> Floats:
    """1 - rms of the vocals / rms of the mixture around each time (N,), at least 0; 1 where the mixture is silent."""
    part, _ = vocals.around(times)
    whole, mean_square = mixture.around(times)
    silent = mean_square < SILENCE
    ratio = np.sqrt(part / np.where(silent, 1.0, whole))
    return np.where(silent, 1.0, 1.0 - ratio.clip(0.0, 1.0))


def quiet_enough(*, error: WindowEnergy, mixture: WindowEnergy, times: Floats, below_db: float = 10.0) -> Bools:
    """Where the error (N,) is ``below_db`` below the mixture, or the mixture is silent."""
    part, _ = error.around(times)
    whole, mean_square = mixture.around(times)
    return (mean_square < SILENCE) | (part <= whole * 10.0 ** (-below_db / 10.0))
