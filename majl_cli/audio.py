"""Audio files as streams of blocks: read, write, resample, change the number of channels. No torch here.

Blocks are float32 arrays (samples, channels) with full scale at +-1. soundfile reads WAV, FLAC and OGG; what it
refuses (m4a, aac, mp4, webm, wma) goes through PyAV, and so does MP3: python-soundfile seeks after every read, which
makes libsndfile's MP3 decoder start anew and puts a glitch at every block's edge. Nothing here holds a whole file
except ``read_audio``.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from majl_cli.errors import AudioError

logger = logging.getLogger(__name__)
Block = NDArray[np.float32]
BLOCK_FRAMES = 65536
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".mp3": "MP3"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
_PLAYABLE = "give a WAV, FLAC, OGG, MP3, m4a, aac, mp4, webm or wma file"


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What a file's header says. ``frames`` is None where the container does not know, and an estimate for what PyAV
    reads: the blocks have the last word."""

    path: Path
    sample_rate: int
    channels: int
    frames: int | None
    format: str
    subtype: str

    @property
    def duration(self) -> float | None:
        """Seconds, or None where the container does not know."""
        return None if self.frames is None else self.frames / self.sample_rate


def probe(path: str | Path) -> AudioInfo:
    """The header of a file. Raises AudioError."""
    with AudioReader(path) as reader:
        return reader.info


class AudioReader:
    """A file being read: ``with AudioReader(path) as reader: for block in reader.blocks(): ...``.

    Raises AudioError for what is missing, empty, not audio, damaged, or holds NaN or infinity.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_is_file(self.path)
        self._file: soundfile.SoundFile | None = None
        self._container: Any = None
        with contextlib.suppress(soundfile.LibsndfileError, RuntimeError):
            self._file = soundfile.SoundFile(self.path)
        if self._file is not None and self._file.format == "MP3":
            self._file.close()
            self._file = None
        if self._file is None:
            self.info = self._open_with_av()
        else:
            file = self._file
            frames = file.frames if 0 <= file.frames < 2**62 else None
            self.info = AudioInfo(
                path=self.path,
                sample_rate=file.samplerate,
                channels=file.channels,
                frames=frames,
                format=file.format,
                subtype=file.subtype,
            )
        if self.info.frames == 0:
            self.close()
            raise AudioError(f"{self.path}: holds no audio at all", "check the recording")

    @property
    def sample_rate(self) -> int:
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        return self.info.channels

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; blocks can no longer be read."""
        if self._file is not None:
            self._file.close()
        if self._container is not None:
            self._container.close()

    def blocks(self, block_frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """Blocks (n, channels), n <= ``block_frames`` and never 0, to the end of the file."""
        done = 0
        for block in self._decoded(block_frames):
            if not np.isfinite(block).all():
                bad = int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0]) + done
                raise AudioError(
                    f"{self.path}: not a number at {bad / self.sample_rate:.3f} s (sample {bad})",
                    "export the file again; a plug-in has probably failed",
                )
            done += len(block)
            yield block
        if not done:
            raise AudioError(f"{self.path}: holds no audio at all", "check the recording")
        if self.info.frames is not None and done < self.info.frames and self.info.format in ("WAV", "FLAC"):
            logger.warning("%s: cut off: %d of %d samples are there", self.path, done, self.info.frames)

    def _decoded(self, block_frames: int) -> Iterator[Block]:
        return _regrouped(self._av_frames() if self._file is None else self._soundfile_frames(), block_frames)

    def _soundfile_frames(self) -> Iterator[Block]:
        assert self._file is not None
        while True:
            try:
                # Small reads: where a file is damaged, libsndfile loses the whole of the read it happens in.
                piece = np.asarray(self._file.read(4096, dtype="float32", always_2d=True), dtype=np.float32)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                logger.warning("%s: damaged from here on, read to this point: %s", self.path, error)
                return
            if not len(piece):
                return
            yield piece

    def _open_with_av(self) -> AudioInfo:
        import av

        try:
            self._container = av.open(str(self.path), metadata_errors="ignore")
            stream = next((s for s in self._container.streams if s.type == "audio"), None)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise AudioError(f"{self.path}: not readable as audio", _PLAYABLE) from error
        if stream is None or not stream.codec_context.sample_rate:
            self._container.close()
            raise AudioError(f"{self.path}: has no audio in it", _PLAYABLE)
        rate = stream.codec_context.sample_rate
        return AudioInfo(
            path=self.path,
            sample_rate=rate,
            channels=stream.codec_context.channels,
            frames=None if stream.duration is None else round(float(stream.duration * stream.time_base) * rate),
            format=self._container.format.name.split(",")[0].upper(),
            subtype=stream.codec_context.name.upper(),
        )

    def _av_frames(self) -> Iterator[Block]:
        import av

        stream = next(s for s in self._container.streams if s.type == "audio")
        resampler = av.AudioResampler(format="flt")
        try:
            for frame in self._container.decode(stream):
                for piece in resampler.resample(frame):
                    yield np.asarray(piece.to_ndarray(), dtype=np.float32).reshape(-1, self.channels)
        except av.error.FFmpegError as error:
            logger.warning("%s: damaged from here on, read to this point: %s", self.path, error)
        for piece in resampler.resample(None):
            yield np.asarray(piece.to_ndarray(), dtype=np.float32).reshape(-1, self.channels)


def read_audio(path: str | Path, *, start: int = 0, frames: int | None = None) -> tuple[Block, int]:
    """Samples ``start`` to ``start + frames`` (None: to the end) as (samples, channels), and the sample rate.

    Raises AudioError.
    """
    with AudioReader(path) as reader:
        if reader._file is not None and (start or frames is not None):
            reader._file.seek(min(start, reader._file.frames))
            audio = reader._file.read(-1 if frames is None else frames, dtype="float32", always_2d=True)
            return audio, reader.sample_rate
        audio = np.concatenate(list(reader.blocks()))
        return audio[start:] if frames is None else audio[start : start + frames], reader.sample_rate


class AudioWriter:
    """A file being written, block by block, under a temporary name; renamed when the ``with`` block ends well.

    ``format`` is WAV, FLAC, OGG or MP3 (None: from the name), ``subtype`` PCM_16, PCM_24 or FLOAT (None: PCM_16).
    Samples beyond full scale are clamped and counted in ``clipped``, except in float files, which keep them.
    Raises AudioError; nothing is left behind then.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sample_rate: int,
        channels: int,
        format: str | None = None,
        subtype: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.format = (format or _FORMATS.get(self.path.suffix.lower(), "")).upper()
        if self.format not in _FORMATS.values():
            raise AudioError(f"{self.path}: cannot write this kind of file", "use wav, flac, ogg or mp3")
        self.subtype = _LOSSY.get(self.format) or (subtype or "PCM_16")
        self.sample_rate, self.channels = sample_rate, channels
        self.clipped = 0
        self._aside = self.path.with_name(f".{self.path.name[:200]}.tmp-majl-{os.getpid()}")
        self._file: soundfile.SoundFile | None = None

    def __enter__(self) -> AudioWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(
                self._aside, "w", self.sample_rate, self.channels, self.subtype, format=self.format
            )
        except (OSError, soundfile.LibsndfileError, ValueError) as error:
            self._remove()
            raise self._refused(error) from error
        return self

    def write(self, block: Block) -> None:
        """Append (n, channels)."""
        assert self._file is not None
        if self.subtype != "FLOAT":
            over = int(np.count_nonzero(np.abs(block) > 1.0))
            if over:
                self.clipped += over
                block = np.clip(block, -1.0, 1.0)
        try:
            # libsndfile encodes Vorbis recursively per call: long blocks exhaust its stack.
            for start in range(0, len(block), BLOCK_FRAMES):
                self._file.write(block[start : start + BLOCK_FRAMES])
        except (OSError, soundfile.LibsndfileError) as error:
            raise self._refused(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
            if kind is None:
                with self._aside.open("rb") as file:
                    os.fsync(file.fileno())
                self._aside.replace(self.path)
        except (OSError, soundfile.LibsndfileError) as failure:
            raise self._refused(failure) from failure
        finally:
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)

    def _refused(self, error: Exception) -> AudioError:
        folder = self.path.parent
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT):
            return AudioError(f"{folder}: the disk is full", "free some space, or choose another folder with --out")
        if code in (errno.ENOTDIR, errno.EEXIST):
            return AudioError(f"{folder}: is not a folder", "choose another folder with --out")
        if isinstance(error, soundfile.LibsndfileError) and os.access(folder, os.W_OK):
            what = f"{self.channels} channels at {self.sample_rate} Hz as {self.format} {self.subtype}"
            return AudioError(f"{self.path}: cannot write {what}: {error.error_string}", "choose --format wav")
        return AudioError(f"{folder}: cannot write here: {error}", "choose another folder with --out")


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
        return block.mean(axis=1, keepdims=True, dtype=np.float32)
    if given == 1:
        return np.repeat(block, channels, axis=1)
    if channels == 2:
        return np.stack((block[:, 0::2].mean(axis=1), block[:, 1::2].mean(axis=1)), axis=1, dtype=np.float32)
    raise AudioError(f"{given} channels cannot become {channels}", "use mono or stereo")


def matching_subtype(info: AudioInfo, format: str = "WAV") -> str:
    """The subtype that keeps an input's depth: 16, 24 or float; 16 for lossy inputs and 8 bits."""
    deep = {"PCM_24": "PCM_24", "PCM_32": "PCM_24", "FLOAT": "FLOAT", "DOUBLE": "FLOAT"}
    subtype = deep.get(info.subtype, "PCM_16")
    return "PCM_24" if subtype == "FLOAT" and format.upper() == "FLAC" else subtype


def _check_is_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise AudioError(f"{path}: there is no such file", "check the path") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}", "check the path and who may read it") from error
    if path.is_dir():
        raise AudioError(f"{path}: is a folder", "give the files in it")
    if size == 0:
        raise AudioError(f"{path}: is empty (0 bytes)", "copy or download it again")


def _regrouped(pieces: Iterator[Block], block_frames: int) -> Iterator[Block]:
    """The same samples in blocks of ``block_frames``, the last one shorter."""
    held: list[Block] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= block_frames:
            joined = np.concatenate(held)
            whole = count // block_frames * block_frames
            yield from np.split(joined[:whole], whole // block_frames)
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


def _fitted(audio: Block, length: int) -> Block:
    if len(audio) >= length:
        return audio[:length]
    return np.pad(audio, [(0, length - len(audio)), *[(0, 0)] * (audio.ndim - 1)])
