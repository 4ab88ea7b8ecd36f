"""A stem of a track as a stream of blocks, whatever file and channel it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import BLOCK_FRAMES, AudioReader
from majl_cli.data.manifest import Stem, Track, check_rate
from majl_cli.errors import DataError

Block = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class OpenStem:
    """``blocks`` are (n, channels) at ``sample_rate`` in Hz."""

    sample_rate: int
    channels: int
    blocks: Iterator[Block]


@contextmanager
def open_stem(track: Track, stem: Stem) -> Iterator[OpenStem]:
    """The stem's audio. Raises AudioError; DataError where it is not as the track says."""
    with AudioReader(stem.path, stream=stem.stream) as reader:
        check_rate(track, stem, reader.sample_rate)
        if stem.channel is None:
            yield OpenStem(sample_rate=reader.sample_rate, channels=reader.channels, blocks=reader.blocks())
            return
        channel = stem.channel
        if not 0 <= channel < reader.channels:
            raise DataError(f"{stem.path}: no channel {channel}", f"it has {reader.channels}, counted from 0")
        blocks = (block[:, channel : channel + 1] for block in reader.blocks())
        yield OpenStem(sample_rate=reader.sample_rate, channels=1, blocks=blocks)


def in_blocks(audio: Block) -> Iterator[Block]:
    """(samples, channels) in blocks of the size that files are read in."""
    return (audio[start : start + BLOCK_FRAMES] for start in range(0, len(audio), BLOCK_FRAMES))
