"""Other sample rates and other numbers of channels: streams, and arrays at once. No torch here.

Blocks are float32 arrays (samples, channels).
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from majl_cli.errors import AudioError

Block = NDArray[np.float32]


class StreamResampler:
    """Resampling of a stream (soxr, "HQ"), sample-aligned, round(n * out / in) samples in all."""

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        self.in_rate, self.out_rate, self.channels = in_rate, out_rate, channels
        self._stream = None if in_rate == out_rate else soxr.ResampleStream(in_rate, out_rate, channels, "float32")
        self._taken = self._given = 0

    def push(self, block: Block, last: bool = False) -> Block:
        """What (n, channels) more samples give; with ``last`` everything that is still inside."""
        self._taken += len(block)
        if self._stream is None:
            return block
        out = self._stream.resample_chunk(np.ascontiguousarray(block, dtype=np.float32), last=last)
        out = np.asarray(out, dtype=np.float32).reshape(-1, self.channels)
        if last:
            out = _fitted(out, resampled_length(self._taken, self.in_rate, self.out_rate) - self._given)
        self._given += len(out)
        return out


def resampled_length(samples: int, in_rate: int, out_rate: int) -> int:
    """Samples after resampling: round(samples * out_rate / in_rate), halves up."""
    return (2 * samples * out_rate + in_rate) // (2 * in_rate)


def resample(audio: Block, in_rate: float, out_rate: float) -> Block:
    """(samples, channels) or (samples,) at another rate, sample-aligned, of the exact rounded length."""
    if in_rate == out_rate:
        return audio
    length = int(np.floor(len(audio) * out_rate / in_rate + 0.5))
    return _fitted(np.asarray(soxr.resample(audio, in_rate, out_rate, quality="HQ"), dtype=np.float32), length)


def to_channels(block: Block, channels: int) -> Block:
    """(n, any) to (n, ``channels``): one channel is copied, to one channel is the mean.

    From more than two to two: even-numbered channels (0, 2, ...) are averaged into the left, odd ones into the right.
    """
    given = block.shape[1]
    if given == channels:
        return block
    if channels == 1:
        # The mean over an axis as short as this is ten times slower than a matrix product.
        return np.matmul(block, np.full((given, 1), 1.0 / given, np.float32), dtype=np.float32)
    if given == 1:
        return np.repeat(block, channels, axis=1)
    if channels == 2:
        return np.stack((block[:, 0::2].mean(axis=1), block[:, 1::2].mean(axis=1)), axis=1, dtype=np.float32)
    raise AudioError(f"{given} channels cannot become {channels}", "use mono or stereo")


def _fitted(audio: Block, length: int) -> Block:
    if len(audio) >= length:
        return audio[:length]
    return np.pad(audio, [(0, length - len(audio)), *[(0, 0)] * (audio.ndim - 1)])
