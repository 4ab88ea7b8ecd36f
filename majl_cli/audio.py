"""Audio files as streams of blocks, read and written. No torch here.

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
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from majl_cli.errors import AudioError
from majl_cli.files import aside_path, write_errors_explained

logger = logging.getLogger(__name__)
Block = NDArray[np.float32]
BLOCK_FRAMES = 65536
WAV_LIMIT = 2**32 - 2**16  # bytes; its sizes have 32 bits, and libsndfile goes on writing what nobody can read
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".mp3": "MP3"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
# No recording is a million times full scale; beyond about 1e18 a model's sums of squares overflow.
LOUDEST = 1e6
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

    Raises AudioError for what is missing, empty, not audio or absurd; a damaged file is read as far as it goes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        head = _first_bytes(self.path)
        self._file: soundfile.SoundFile | None = None
        self._container: Any = None
        self._damaged = False
        # MPEG audio, with or without a tag, goes to PyAV at once.
        if head != b"ID3" and not (head[0] == 0xFF and head[1:2] >= b"\xe0"):
            # TypeError: a name that ends in .raw, which soundfile takes for samples without a header.
            with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, TypeError):
                self._file = soundfile.SoundFile(_native(self.path))
        if self._file is not None and self._file.format == "MP3":  # behind something else
            self._file.close()
            self._file = None
        self.info = self._open_with_av() if self._file is None else self._soundfile_info(self._file)
        self.sample_rate, self.channels = self.info.sample_rate, self.info.channels
        if self.info.frames == 0:
            self.close()
            raise AudioError(f"{self.path}: holds no audio at all", "check the recording")

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; blocks can no longer be read."""
        for file in (self._file, self._container):
            if file is not None:
                file.close()

    def blocks(self, block_frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """Blocks (n, channels), n <= ``block_frames`` and never 0, to the end of the file."""
        done = 0
        for block in self._decoded(block_frames):
            self._check_levels(block, done)
            done += len(block)
            yield block
        if not done:
            raise AudioError(f"{self.path}: holds no audio at all", "check the recording")
        promised = self.info.frames if self.info.format == "FLAC" else self._promised_frames()
        if promised is not None and done < promised and not self._damaged:
            logger.warning("%s: cut off: %d of %d samples are there", self.path, done, promised)

    def _check_levels(self, block: Block, done: int) -> None:
        """Raise AudioError for a sample no recording has; ``done`` samples came before the block."""
        wrong = ~(np.abs(block) <= LOUDEST).all(axis=1)  # so that NaN is wrong too
        if not wrong.any():
            return
        at = int(wrong.argmax())
        level = np.abs(block[at]).max()
        what = f"level out of range ({level:.0e} times full scale)" if np.isfinite(level) else "not a number"
        raise AudioError(
            f"{self.path}: {what} at {(done + at) / self.sample_rate:.3f} s (sample {done + at})",
            "export the file again; a plug-in has probably failed",
        )

    def _promised_frames(self) -> int | None:
        """What the header of a WAV file says where the file ends before that; libsndfile corrects it in silence."""
        log = "" if self._file is None or self.info.format not in ("WAV", "WAVEX") else self._file.extra_info
        found = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
        # Programs that write to a pipe cannot know the size and put about 2 or 4 GiB there.
        if self.info.frames is None or found is None or int(found[1]) >> 16 in (0x7FFF, 0xFFFF):
            return None
        width = int(found[2]) // self.info.frames  # bytes; 0 where a sample takes less
        return int(found[1]) // width if width else round(self.info.frames * int(found[1]) / int(found[2]))

    def _decoded(self, block_frames: int) -> Iterator[Block]:
        return _regrouped(self._av_frames() if self._file is None else self._soundfile_frames(), block_frames)

    def _soundfile_frames(self) -> Iterator[Block]:
        assert self._file is not None
        while True:
            try:
                # Small reads: where a file is damaged, libsndfile loses the whole of the read it happens in.
                piece = np.asarray(self._file.read(4096, dtype="float32", always_2d=True), dtype=np.float32)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                self._report_damage(error)
                return
            if not len(piece):
                return
            yield piece

    def _report_damage(self, error: Exception) -> None:
        self._damaged = True
        logger.warning("%s: damaged from here on, read to this point: %s", self.path, error)

    def _soundfile_info(self, file: soundfile.SoundFile) -> AudioInfo:
        frames = file.frames if 0 <= file.frames < 2**62 else None
        kind = {"format": file.format, "subtype": file.subtype}
        return AudioInfo(path=self.path, sample_rate=file.samplerate, channels=file.channels, frames=frames, **kind)

    def _open_with_av(self) -> AudioInfo:
        import av

        try:
            # "file:": a colon in the name names no protocol. Nor need the name be valid text, but PyAV insists.
            is_text = str(self.path).encode("utf-8", "ignore") == os.fsencode(self.path)
            name = f"file:{self.path}" if is_text else self.path.open("rb")
            self._container = av.open(name, metadata_errors="ignore")
            stream = next((s for s in self._container.streams if s.type == "audio"), None)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise AudioError(f"{self.path}: not readable as audio", _PLAYABLE) from error
        if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
            self._container.close()
            raise AudioError(f"{self.path}: has no audio in it", _PLAYABLE)
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        frames = None if stream.duration is None else round(float(stream.duration * stream.time_base) * rate)
        kind = {"format": self._container.format.name.split(",")[0].upper(), "subtype": _av_subtype(stream)}
        return AudioInfo(path=self.path, sample_rate=rate, channels=channels, frames=frames, **kind)

    def _av_frames(self) -> Iterator[Block]:
        import av

        stream = next(s for s in self._container.streams if s.type == "audio")
        layout, current, resampler = stream.codec_context.layout, None, None
        for frame in self._av_decoded(stream):
            # Joined files may change their rate or channels half-way: all of it becomes like the first.
            given = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or given != current:
                yield from () if resampler is None else self._av_blocks(resampler.resample(None))
                resampler, current = av.AudioResampler(format="flt", layout=layout, rate=self.sample_rate), given
            yield from self._av_blocks(resampler.resample(frame))
        yield from () if resampler is None else self._av_blocks(resampler.resample(None))

    def _av_decoded(self, stream: Any) -> Iterator[Any]:
        import av

        try:
            yield from self._container.decode(stream)
        except av.error.FFmpegError as error:
            self._report_damage(error)

    def _av_blocks(self, frames: list[Any]) -> Iterator[Block]:
        for frame in frames:
            yield np.asarray(frame.to_ndarray(), dtype=np.float32).reshape(-1, self.channels)


def read_audio(path: str | Path, *, start: int = 0, frames: int | None = None) -> tuple[Block, int]:
    """Samples ``start`` to ``start + frames`` (None: to the end) as (samples, channels), and the rate."""
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
    Raises AudioError; nothing is left behind then. For several files at once, ``open``, ``finish``, ``place`` and
    ``discard`` are the steps of the ``with`` block.
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
        self._aside = aside_path(self.path)
        self._file: soundfile.SoundFile | None = None

    def __enter__(self) -> AudioWriter:
        with write_errors_explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
                self.place()
        finally:
            self.discard()

    def open(self) -> None:
        """Start the file, in a folder that is there."""
        with write_errors_explained(self.path):
            self._aside.touch()
        name, form = _native(self._aside), {"subtype": self.subtype, "format": self.format}
        try:
            self._file = soundfile.SoundFile(name, "w", self.sample_rate, self.channels, **form)
        except (soundfile.LibsndfileError, ValueError) as error:
            self.discard()
            what = f"{self.channels} channels at {self.sample_rate} Hz as {self.format} {self.subtype}"
            what += f": {getattr(error, 'error_string', error)}"
            raise AudioError(f"{self.path}: cannot write {what}", "choose --format wav") from error

    def write(self, block: Block) -> None:
        """Append (n, channels)."""
        assert self._file is not None
        if self.subtype != "FLOAT":
            over = int(np.count_nonzero(np.abs(block) > 1.0))
            if over:
                self.clipped += over
                block = np.clip(block, -1.0, 1.0)
        with write_errors_explained(self.path):
            try:
                # libsndfile encodes Vorbis recursively per call: long blocks exhaust its stack.
                for start in range(0, len(block), BLOCK_FRAMES):
                    self._file.write(block[start : start + BLOCK_FRAMES])
            except (soundfile.LibsndfileError, AssertionError) as error:
                self._write_on()
                raise OSError(errno.EIO, str(error)) from error
            if self.format == "WAV" and self._aside.stat().st_size > WAV_LIMIT:
                raise AudioError(f"{self.path}: a WAV file cannot be longer than 4 GiB", "choose --format flac")

    def finish(self) -> None:
        """Complete the file under its temporary name; from then on it is on the disk."""
        assert self._file is not None
        with write_errors_explained(self.path):
            self._file.close()
            self._write_on()

    def place(self) -> None:
        """Give the complete file its name."""
        with write_errors_explained(self.path):
            self._aside.replace(self.path)

    def discard(self) -> None:
        """Remove what is there under the temporary name, if anything."""
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            if self._file is not None:
                self._file.close()
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)

    def _write_on(self) -> None:
        """Append something and cut it off again: this raises the OSError that libsndfile has kept to itself."""
        with self._aside.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.write(b"\1" * 65536)
            file.truncate(size)
            os.fsync(file.fileno())


def matching_subtype(info: AudioInfo, format: str = "WAV") -> str:
    """The subtype that keeps an input's depth: 16, 24 or float; 16 for lossy inputs and 8 bits."""
    deep = {"PCM_24": "PCM_24", "PCM_32": "PCM_24", "FLOAT": "FLOAT", "DOUBLE": "FLOAT"}
    subtype = deep.get(info.subtype, "PCM_16")
    return "PCM_24" if subtype == "FLOAT" and format.upper() == "FLAC" else subtype


def _av_subtype(stream: Any) -> str:
    """As soundfile would call it for a lossless codec, whose sample format tells the depth; else the codec's name."""
    codec = stream.codec_context
    depths = {"s16": "PCM_16", "s32": "PCM_24", "flt": "FLOAT", "dbl": "DOUBLE"}
    form = getattr(codec.format, "name", "")  # a damaged header may leave it unknown
    return (codec.codec.lossless and depths.get(form.removesuffix("p"))) or str(codec.name).upper()


def _native(path: Path) -> str | bytes:
    """How libsndfile takes a name that need not be valid text."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _first_bytes(path: Path) -> bytes:
    """The first three bytes of a file that is there, readable and not empty."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder", "give the files in it")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: is empty (0 bytes)", "copy or download it again")
        with path.open("rb") as file:
            return file.read(3)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: there is no such file", "check the path") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}", "check the path and who may read it") from error


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
