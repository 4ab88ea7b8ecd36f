"""One audio stream of a file that PyAV reads, as blocks; where the container allows it, from the middle. No torch here.

Blocks are float32 arrays (samples, channels). Sample 0 is the first one the decoder gives from the start of the
stream; the encoder's delay is cut off where the container states it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.errors import AudioError

Block = NDArray[np.float32]
PLAYABLE = "give a WAV, FLAC, OGG, MP3, m4a, aac, mp4, webm or wma file"
# Decoded and thrown away after a jump: an AAC frame is overlapped with the one before it.
RUN_UP_FRAMES = 3
_LONGEST_FRAME = 2048  # samples


class ContainerStream:
    """Audio stream number ``stream`` (from 0, None: the first) of ``path``. Raises AudioError.

    ``frames`` is what the container says, or None; the blocks have the last word.
    """

    def __init__(self, path: Path, stream: int | None, on_damage: Callable[[Exception], None]) -> None:
        self.path, self._wanted, self._on_damage = path, stream, on_damage
        self._open()
        codec: Any = self._stream.codec_context
        self.sample_rate, self.channels = codec.sample_rate, codec.channels
        seconds = None if self._stream.duration is None else self._stream.duration * self._stream.time_base
        self.frames = None if seconds is None else round(float(seconds) * self.sample_rate)
        self.format = self._container.format.name.split(",")[0].upper()
        self.subtype = _subtype(self._stream)

    def close(self) -> None:
        self._container.close()

    def blocks_near(self, start: int) -> tuple[Iterator[Block], int]:
        """Blocks to the end of the stream, and the number of their first sample, which is ``start`` or before it.

        Only AAC in MP4 is entered in the middle: there each frame knows its place to the sample and depends on its
        neighbour alone, but for the noise that the decoder makes up where a low bit rate asks for it: that comes out
        otherwise than from the start, though the same each time. Everything else is read from sample 0.
        """
        first = None if start <= _LONGEST_FRAME * (RUN_UP_FRAMES + 1) or not self._can_jump() else self._jump(start)
        if first is None:
            return self._blocks(self._decoded()), 0
        frames, number = first
        return self._blocks(frames), number

    def _open(self) -> None:
        import av

        try:
            # "file:": a colon in the name names no protocol. Nor need the name be valid text, but PyAV insists.
            is_text = str(self.path).encode("utf-8", "ignore") == os.fsencode(self.path)
            name = f"file:{self.path}" if is_text else self.path.open("rb")
            self._container: Any = av.open(name, metadata_errors="ignore")
            streams: list[Any] = [s for s in self._container.streams if s.type == "audio"]
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise AudioError(f"{self.path}: not readable as audio", PLAYABLE) from error
        number = self._wanted or 0
        if streams and number >= len(streams):
            self._container.close()
            raise no_such_stream(self.path, number, len(streams))
        if not streams or streams[number].codec_context is None or not streams[number].codec_context.sample_rate:
            self._container.close()
            raise AudioError(f"{self.path}: has no audio in it", PLAYABLE)
        self._stream: Any = streams[number]

    def _can_jump(self) -> bool:
        codec = self._stream.codec_context
        return (
            self.format == "MOV"
            and codec.name == "aac"
            and codec.profile == "LC"
            and self._stream.time_base == Fraction(1, self.sample_rate)
        )

    def _jump(self, start: int) -> tuple[Iterator[Any], int] | None:
        """Frames from ``start`` or a little before it, and the first one's number; None where that fails."""
        import av

        try:
            origin = next(self._container.decode(self._stream)).pts
            target = origin + start - _LONGEST_FRAME * (RUN_UP_FRAMES + 1)
            self._container.seek(target, stream=self._stream)
            frames = self._decoded()
            for _ in range(RUN_UP_FRAMES):
                next(frames)
            first = next(frames)
            number = first.pts - origin
        except (av.error.FFmpegError, StopIteration, TypeError):  # TypeError: a frame without a time
            number = -1
        if not 0 <= number <= start:
            self._container.close()
            self._open()
            return None
        return chain([first], frames), number

    def _decoded(self) -> Iterator[Any]:
        import av

        try:
            yield from self._container.decode(self._stream)
        except av.error.FFmpegError as error:
            self._on_damage(error)

    def _blocks(self, frames: Iterator[Any]) -> Iterator[Block]:
        import av

        layout, current, resampler = self._stream.codec_context.layout, None, None
        for frame in frames:
            # Joined files may change their rate or channels half-way: all of it becomes like the first.
            given = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or given != current:
                yield from () if resampler is None else self._arrays(resampler.resample(None))
                resampler, current = av.AudioResampler(format="flt", layout=layout, rate=self.sample_rate), given
            yield from self._arrays(resampler.resample(frame))
        yield from () if resampler is None else self._arrays(resampler.resample(None))

    def _arrays(self, frames: list[Any]) -> Iterator[Block]:
        for frame in frames:
            yield np.asarray(frame.to_ndarray(), dtype=np.float32).reshape(-1, self.channels)


def no_such_stream(path: Path, number: int, count: int) -> AudioError:
    """The error for stream ``number`` (from 0) of a file with ``count``."""
    return AudioError(f"{path}: has no audio stream {number}, only {count} (from 0)", "choose one that is there")


def _subtype(stream: Any) -> str:
    """As soundfile would call it for a lossless codec, whose sample format tells the depth; else the codec's name."""
    codec = stream.codec_context
    depths = {"s16": "PCM_16", "s32": "PCM_24", "flt": "FLOAT", "dbl": "DOUBLE"}
    form = getattr(codec.format, "name", "")  # a damaged header may leave it unknown
    return (codec.codec.lossless and depths.get(form.removesuffix("p"))) or str(codec.name).upper()
