"""What every corpus has: its record of words, its way to say what is missing, and splits that follow a name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from majl_cli.audio import AudioInfo, AudioReader, probe
from majl_cli.data.manifest import Track
from majl_cli.errors import DataError

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".mp4", ".webm", ".wma")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus by ``name``; called with its folder it gives its tracks, and raises DataError.

    ``labels`` says what its tracks teach, ``obtain`` where it comes from, ``licence`` the words it is given under,
    ``layout`` what ``load`` expects in the folder: one line each.
    """

    name: str
    load: Callable[[Path], list[Track]]
    labels: str
    obtain: str
    licence: str
    layout: str

    def __call__(self, folder: Path) -> list[Track]:
        return self.load(folder)


def check_folder(folder: Path, layout: str) -> None:
    """Raise DataError unless the folder is there."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder", f"expected {layout}")


def missing_files(folder: Path, missing: Sequence[str], layout: str) -> DataError:
    """The error for files that ought to be below ``folder``."""
    count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    return DataError(f"{folder}: {count} missing: {first_few(missing)}", f"expected {layout}; unpack it again")


def first_few(names: Sequence[str], limit: int = 4) -> str:
    """``a, b, c, d and 12 more``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def probe_track(path: Path, stream: int | None = None) -> tuple[AudioInfo, float]:
    """The header of a file and its length in seconds, by decoding where the container does not say."""
    info = probe(path, stream=stream)
    if info.duration is not None:
        return info, info.duration
    with AudioReader(path, stream=stream) as reader:
        return info, sum(len(block) for block in reader.blocks()) / info.sample_rate


def split_by_name(name: str) -> str:
    """One name in ten is in validation, one in test, the rest in train; always the same for the same name, whatever
    its spaces, punctuation and capitals."""
    tenth = zlib.crc32(plain_name(name).encode()) % 10
    return {0: "validation", 1: "test"}.get(tenth, "train")


def plain_name(name: str) -> str:
    """Letters and digits only, in small letters."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
