"""What a caller may hand in, a file or an array, as one thing: a stream of blocks that can be opened again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import BLOCK_FRAMES, LOUDEST, AudioInfo, AudioReader
from majl_cli.errors import AudioError, CheckpointError, UsageError
from majl_cli.inference.chunks import Block

MANY_CHANNELS = 64  # an array with more of them than samples has its axes the other way round


@dataclass(frozen=True, kw_only=True)
class OpenSource:
    """``frames`` is None where the file does not say; ``blocks`` are (n, channels) float32."""

    sample_rate: int
    channels: int
    frames: int | None
    info: AudioInfo
    blocks: Iterator[Block]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file at ``path``, or ``audio`` (samples, channels) at ``sample_rate``; ``name`` for messages and files."""

    name: str
    path: Path | None = None
    audio: Block | None = None
    sample_rate: int = 0

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """The source as a stream; a model that fails on it within the block says on which."""
        try:
            with self._open() as opened:
                yield opened
        except CheckpointError as error:
            raise CheckpointError(f"{self.path or self.name}: {error.message}", error.hint) from error

    @contextmanager
    def _open(self) -> Iterator[OpenSource]:
        if self.path is not None:
            with AudioReader(self.path) as reader:
                yield OpenSource(
                    sample_rate=reader.sample_rate,
                    channels=reader.channels,
                    frames=reader.info.frames,
                    info=reader.info,
                    blocks=reader.blocks(BLOCK_FRAMES),
                )
            return
        assert self.audio is not None
        audio = self.audio
        info = AudioInfo(
            path=Path(self.name),
            sample_rate=self.sample_rate,
            channels=audio.shape[1],
            frames=len(audio),
            subtype="FLOAT",
            format="WAV",
        )
        yield OpenSource(
            sample_rate=self.sample_rate,
            channels=audio.shape[1],
            frames=len(audio),
            info=info,
            blocks=(audio[start : start + BLOCK_FRAMES] for start in range(0, len(audio), BLOCK_FRAMES)),
        )


def make_source(source: str | Path | NDArray[Any], sample_rate: int | None) -> Source:
    """A path, or an array (samples,) or (samples, channels) of floats with its sample rate in Hz.

    Raises UsageError for an array without a rate or a path with one, AudioError for an array that is not audio.
    """
    if isinstance(source, str | Path):
        if sample_rate is not None:
            raise UsageError("sample_rate is for arrays: a file has its own", "leave sample_rate out")
        path = Path(source)
        return Source(name=path.stem, path=path)
    if sample_rate is None or sample_rate <= 0:
        raise UsageError("an array needs its sample rate", "pass sample_rate=44100 or what it is, in Hz")
    audio = np.asarray(source)
    if audio.ndim not in (1, 2) or not audio.size:
        raise AudioError(f"array {audio.shape}: not audio", "give (samples,) or (samples, channels), not empty")
    if audio.ndim == 2 and audio.shape[1] > max(MANY_CHANNELS, len(audio)):
        raise AudioError(f"array {audio.shape}: more channels than samples", "give (samples, channels): audio.T")
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"array of {audio.dtype}: not floats in [-1, 1]", "divide 16-bit integers by 32768")
    audio = audio.astype(np.float32, copy=False)
    if not np.isfinite(audio).all():
        raise AudioError("array: holds values that are not finite", "replace nan and inf first")
    if np.abs(audio).max() > LOUDEST:
        raise AudioError(f"array: level out of range (up to {np.abs(audio).max():.0e})", "full scale is +-1: scale it")
    return Source(name="audio", audio=audio[:, None] if audio.ndim == 1 else audio, sample_rate=int(sample_rate))
