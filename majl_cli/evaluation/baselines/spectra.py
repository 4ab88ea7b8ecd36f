"""Masking in the STFT domain as a stream: blocks of several signals in, blocks of estimates out, bounded memory.

Periodic Hann windows for analysis and synthesis, a quarter window apart: their squares add up to 3/2 everywhere, so
that a mask of one gives the signal back to rounding. A signal is preceded and followed by zeros, so that its first and
last samples are in four frames too; there is no shortest length.

Letters: I signals in, S estimates, C channels, T samples, N frames, F frequency bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Spectra = NDArray[np.complex128]
OVERLAPPING = 4  # frames at any sample
BLOCK_HOPS = 16
WINDOW_SECONDS = 4096 / 44100


def fitting_n_fft(sample_rate: int) -> int:
    """The power of two nearest to 93 ms: 4096 at 44.1 and 48 kHz, 2048 at 16 and 22.05 kHz."""
    return 2 ** max(3, round(math.log2(sample_rate * WINDOW_SECONDS)))


def map_spectra(
    blocks: Iterable[NDArray[np.float32]], estimate: Callable[[Spectra], Spectra], *, n_fft: int
) -> Iterator[NDArray[np.float32]]:
    """Estimates (S, t, C) from blocks (I, t, C) of signals, in all as long as these; blocks of any lengths.

    ``estimate`` makes spectra (S, C, N, F) of (I, C, N, F), frame by frame (N differs from call to call).
    """
    hop = n_fft // OVERLAPPING
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    past: NDArray[np.float64] | None = None  # (I, C, n_fft - hop): what the next frames begin with
    unfinished: NDArray[np.float64] | float = 0.0  # (S, C, n_fft - hop): what the next frames are added to
    given = -(n_fft - hop)  # the first three hops given out lie before the signal
    taken = 0
    for block, size in _whole_hops(blocks, hop):
        taken += size
        signals = block.transpose(0, 2, 1).astype(np.float64)
        if past is None:
            past = np.zeros((*signals.shape[:2], n_fft - hop))
        signals = np.concatenate((past, signals), axis=2)
        past = signals[:, :, -(n_fft - hop) :]
        frames = np.lib.stride_tricks.sliding_window_view(signals, n_fft, axis=2)[:, :, ::hop]
        spectra = estimate(np.fft.rfft(window * frames))
        parts = np.fft.irfft(spectra, n_fft) * (window / 1.5)
        out = np.zeros((*parts.shape[:2], signals.shape[2]))
        out[:, :, : n_fft - hop] = unfinished
        for n in range(parts.shape[2]):
            out[:, :, n * hop : n * hop + n_fft] += parts[:, :, n]
        unfinished = out[:, :, -(n_fft - hop) :]
        ready = out[:, :, max(0, -given) : out.shape[2] - (n_fft - hop)]
        given += out.shape[2] - (n_fft - hop)
        ready = ready[:, :, : ready.shape[2] - max(0, given - taken)]
        if ready.shape[2]:
            yield ready.transpose(0, 2, 1).astype(np.float32)


def _whole_hops(blocks: Iterable[NDArray[np.float32]], hop: int) -> Iterator[tuple[NDArray[np.float32], int]]:
    """The same signals in blocks of whole hops, each with its number of true samples; zeros to the end of the last
    frame follow."""
    held: NDArray[np.float32] | None = None
    for block in blocks:
        held = block if held is None else np.concatenate((held, block), axis=1)
        while held.shape[1] >= BLOCK_HOPS * hop:
            yield held[:, : BLOCK_HOPS * hop], BLOCK_HOPS * hop
            held = held[:, BLOCK_HOPS * hop :]
    if held is None:
        return
    size = held.shape[1]
    zeros = -size % hop + (OVERLAPPING - 1) * hop
    yield np.pad(held, ((0, 0), (0, zeros), (0, 0))), size
