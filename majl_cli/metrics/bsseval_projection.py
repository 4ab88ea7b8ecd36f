"""Least-squares projection of signals on delayed copies of others, streamed: what BSS Eval is made of.

The projection of an estimate e on inputs x_i is sum_i sum_a c[i, a] x_i[t - a], a = 0 .. taps - 1, with the c that
come closest to e: the normal equations G c = D hold the inputs' correlations G[(i, a), (k, b)] = sum_t x_i[t - a]
x_k[t - b], which depend on a - b only (block Toeplitz), and D[i, a] = sum_t x_i[t - a] e[t]. Signals are silent before
their first and after their last sample. Letters: I inputs, O outputs, S sources, C channels, F bins.

All is in float64. Blocks of samples are correlated by FFTs long enough that nothing wraps around, and summed as
spectra, so memory does not grow with length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.metrics.normal_equations import solve

_FFT_SIZE = 8192
_BLOCKS = 8  # blocks of one FFT that are worked on at a time: what fits the processor's cache
_COPY = 1e-12  # a channel is a copy of another if it differs by less than 120 dB below its level


def chunk_size(taps: int) -> int:
    """Samples in a chunk that ``Correlations`` takes."""
    return _BLOCKS * (_FFT_SIZE - taps + 1)


class Correlations:
    """Sums sum_t x_i[t - a] y_j[t] for a = 0 .. taps - 1 over chunks that follow one another."""

    def __init__(self, *, taps: int) -> None:
        self.taps = taps
        self._spectra: Tensor | None = None
        self._history: Tensor | None = None

    def add(self, inputs: Tensor, others: Tensor) -> None:
        """Go on with ``inputs`` (I, chunk_size) and ``others`` (J, chunk_size)."""
        step = _FFT_SIZE - self.taps + 1
        if self._history is None:
            self._history = inputs.new_zeros(len(inputs), self.taps - 1)
        extended = torch.cat((self._history, inputs), dim=1)
        self._history = extended[:, extended.shape[1] - self.taps + 1 :].clone()
        x = torch.fft.rfft(extended.unfold(1, _FFT_SIZE, step))
        y = torch.fft.rfft(others.unflatten(1, (-1, step)), n=_FFT_SIZE)
        products = torch.einsum("ikf,jkf->ijf", x.conj(), y)
        self._spectra = products if self._spectra is None else self._spectra + products

    def lags(self) -> Tensor:
        """The sums (I, J, taps)."""
        assert self._spectra is not None, "add() comes first"
        # x begins taps - 1 samples before y, so lag a lies at index a - (taps - 1), from the end.
        return torch.fft.irfft(self._spectra, n=_FFT_SIZE).roll(self.taps - 1, dims=-1)[..., : self.taps]


def normal_matrix(lags: Tensor) -> Tensor:
    """G (I * taps, I * taps) of correlations (I, I, taps)."""
    inputs, _, taps = lags.shape
    # Rows of Toeplitz blocks: entry (a, b) is the lag a - b, a negative one that of the pair turned round.
    both = torch.cat((lags.flip(-1), lags.transpose(0, 1)[..., 1:]), dim=-1)
    rows = both.unfold(-1, taps, 1).flip(-2)
    return rows.permute(0, 2, 1, 3).reshape(inputs * taps, inputs * taps)


def projection_filters(lags: Tensor, targets: Tensor) -> Tensor:
    """Filters (O, I, taps) of the projections of O signals, from ``lags`` (I, I, taps) and ``targets`` (I, O, taps).

    A silent input, or a copy of another, gets no filter. The others are scaled to the same energy, for ``solve``.
    """
    inputs, outputs, taps = targets.shape
    filters = targets.new_zeros(inputs, taps, outputs)
    heard = _distinct(lags[..., 0])
    if not heard.any():
        return filters.permute(2, 0, 1)
    lags, targets = lags[heard][:, heard], targets[heard]
    scale = lags.diagonal()[0].rsqrt()
    matrix = normal_matrix(scale[:, None, None] * lags * scale[:, None])
    wanted = (scale[:, None, None] * targets).permute(0, 2, 1).reshape(-1, outputs)
    filters[heard] = scale[:, None, None] * solve(matrix, wanted).reshape(len(scale), taps, outputs)
    return filters.permute(2, 0, 1)


def _distinct(products: Tensor) -> Tensor:
    """Which inputs count, (I,): not silent ones, nor copies of an earlier one up to a factor (a mono voice in stereo),
    which add nothing and would leave the solution to rounding. ``products`` (I, I) are those of inputs in pairs."""
    energies = products.diagonal()
    counts = energies > 0
    for number in range(1, len(counts)):
        before = products[number, :number].square() >= (1 - _COPY) * energies[number] * energies[:number]
        counts[number] &= not bool((before & counts[:number]).any())
    return counts


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is needed to project all estimates: ``whole`` (E, C, S, C, taps) on all references, ``own`` (E, C, C, taps)
    on the one that each belongs to."""

    whole: Tensor
    own: Tensor

    @classmethod
    def from_lags(cls, lags: Tensor, matches: list[int], channels: int) -> Filters:
        """From ``lags`` (S * C, S * C + E * C, taps) of the references with themselves and the estimates."""
        inputs, taps = lags.shape[0], lags.shape[2]
        between, targets = lags[:, :inputs], lags[:, inputs:]
        sources = inputs // channels
        shape = (len(matches), channels, sources, channels, taps)
        whole = projection_filters(between, targets).reshape(shape)
        alive = {source for source in range(sources) if between.diagonal()[0].view(sources, channels)[source].any()}
        own = torch.zeros_like(whole[:, :, 0])
        for source in set(matches):
            mine = [number for number, match in enumerate(matches) if match == source]
            if alive == {source}:
                own[mine] = whole[mine, :, source]  # the very same, so that there is no interference at all
                continue
            rows = slice(source * channels, (source + 1) * channels)
            columns = targets[rows].view(channels, len(matches), channels, taps)[:, mine].flatten(1, 2)
            own[mine] = projection_filters(between[rows, rows], columns).reshape(len(mine), channels, channels, taps)
        return cls(whole=whole, own=own)


class Projector:
    """Applies ``filters`` to stretches of references; each gives ``samples`` samples of every projection."""

    def __init__(self, filters: Filters, matches: list[int], samples: int) -> None:
        taps = filters.own.shape[-1]
        self._matches = matches
        self._samples = samples
        sizes = [size for size in (2048, 4096, 8192, 16384) if size >= 4 * taps] or [4 * taps]
        self._fft_size = min(sizes, key=lambda size: size * math.ceil(samples / (size - taps + 1)))
        self._step = self._fft_size - taps + 1
        self._whole = torch.fft.rfft(filters.whole.flatten(2, 3), n=self._fft_size)  # (E, C, S * C, F)
        self._own = torch.fft.rfft(filters.own, n=self._fft_size)  # (E, C, C, F)
        self._taps = taps

    def project(self, references: Tensor, history: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Projections (E, C, W, samples) on all references, and on its own one, of each estimate.

        ``references`` (S, C, W, samples or less) are silent after their end, and before their beginning too unless
        ``history`` (S, C, W, taps - 1) says what came there.
        """
        missing = math.ceil(self._samples / self._step) * self._step - references.shape[-1]
        extended = functional.pad(references, (self._taps - 1, missing))
        if history is not None:
            extended[..., : self._taps - 1] = history
        spectra = torch.fft.rfft(extended.unfold(-1, self._fft_size, self._step))  # (S, C, W, blocks, F)
        everything = spectra.flatten(0, 1)
        whole, own = [], []
        for number, match in enumerate(self._matches):
            whole.append(self._filtered(self._whole[number], everything))
            own.append(self._filtered(self._own[number], spectra[match]))
        return torch.stack(whole), torch.stack(own)

    def _filtered(self, filters: Tensor, spectra: Tensor) -> Tensor:
        """(C, W, samples) of ``filters`` (C, I, F) and ``spectra`` (I, W, blocks, F)."""
        total = filters[:, 0, None, None] * spectra[0]
        for number in range(1, len(spectra)):
            total.addcmul_(filters[:, number, None, None], spectra[number])
        # The first taps - 1 samples of each block are wrapped around.
        blocks = torch.fft.irfft(total, n=self._fft_size)[..., self._taps - 1 :]
        return blocks.flatten(-2)[..., : self._samples]
