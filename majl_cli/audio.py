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

import numpy as np
import soundfile

from majl_cli.containers import Block, ContainerStream, no_such_stream
from majl_cli.errors import AudioError
from majl_cli.files import aside_path, write_errors_explained

logger = logging.getLogger(__name__)
BLOCK_FRAMES = 65536
WAV_LIMIT = 2**32 - 2**16  # bytes; its sizes have 32 bits, and libsndfile goes on writing what nobody can read
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".mp3": "MP3"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
# No recording is a million times full scale; beyond about 1e18 a model's sums of squares overflow.
LOUDEST = 1e6


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


def probe(path: str | Path, *, stream: int | None = None) -> AudioInfo:
    """The header of a file, or of one audio ``stream`` (from 0) of a container. Raises AudioError."""
    with AudioReader(path, stream=stream) as reader:
        return reader.info


class AudioReader:
    """A file being read: ``with AudioReader(path) as reader: for block in reader.blocks(): ...``.

    ``stream`` is the number (from 0) of an audio stream of a container such as ``.stem.mp4``; None is the first.
    Raises AudioError for what is missing, empty, not audio or absurd; a damaged file is read as far as it goes.
    """

    def __init__(self, path: str | Path, *, stream: int | None = None) -> None:
        self.path = Path(path)
        head = _first_bytes(self.path)
        self._file: soundfile.SoundFile | None = None
        self._container: ContainerStream | None = None
        self._damaged = False
        # MPEG audio, with or without a tag, goes to PyAV at once.
        if head != b"ID3" and not (head[0] == 0xFF and head[1:2] >= b"\xe0"):
            # TypeError: a name that ends in .raw, which soundfile takes for samples without a header.
            with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, TypeError):
                self._file = soundfile.SoundFile(_native(self.path))
        if self._file is not None and self._file.format == "MP3":  # behind something else
            self._file.close()
            self._file = None
        if self._file is None:
            self._container = ContainerStream(self.path, stream, self._report_damage)
        elif stream:
            self._file.close()
            raise no_such_stream(self.path, stream, 1)
        self.info = self._read_info()
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
        for block in _regrouped(self._pieces(), block_frames):
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

    def part(self, start: int, frames: int | None) -> Block:
        """Samples ``start`` to ``start + frames`` (None: to the end), of a reader that has read nothing yet."""
        if self._file is not None:
            self._file.seek(min(start, self._file.frames))
            return self._file.read(-1 if frames is None else frames, dtype="float32", always_2d=True)
        assert self._container is not None
        blocks, at = self._container.blocks_near(start)
        kept = [np.zeros((0, self.channels), np.float32)]
        for block in blocks:
            self._check_levels(block, at)
            end = None if frames is None else max(0, start + frames - at)
            kept.append(block[max(0, start - at) : end])
            at += len(block)
            if frames is not None and at >= start + frames:
                break
        return np.concatenate(kept)

    def _pieces(self) -> Iterator[Block]:
        return self._soundfile_frames() if self._container is None else self._container.blocks_near(0)[0]

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

    def _read_info(self) -> AudioInfo:
        if self._container is not None:
            given = self._container
            rate, channels, frames = given.sample_rate, given.channels, given.frames
            kind = {"format": given.format, "subtype": given.subtype}
        else:
            assert self._file is not None
            rate, channels = self._file.samplerate, self._file.channels
            frames = self._file.frames if 0 <= self._file.frames < 2**62 else None
            kind = {"format": self._file.format, "subtype": self._file.subtype}
        return AudioInfo(path=self.path, sample_rate=rate, channels=channels, frames=frames, **kind)


def read_audio(
    path: str | Path, *, start: int = 0, frames: int | None = None, stream: int | None = None
) -> tuple[Block, int]:
    """Samples ``start`` to ``start + frames`` (None: to the end) as (samples, channels), and the rate; ``stream`` is
    the audio stream (from 0) of a container."""
    with AudioReader(path, stream=stream) as reader:
        if start or frames is not None:
            return reader.part(start, frames), reader.sample_rate
        return np.concatenate(list(reader.blocks())), reader.sample_rate


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
