"""Several files written at once, all or none: under temporary names beside their own, renamed when all are complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from majl_cli.audio import AudioWriter
from majl_cli.errors import AudioError, UsageError
from majl_cli.files import aside_path, write_errors_explained

FORMATS = ("wav", "flac", "mp3", "ogg")


def stem_names(filename: str, *, track: str, stems: Sequence[str], format: str) -> dict[str, str]:
    """The template filled in for each stem. Raises UsageError for a bad template or format, and for a name that leads
    out of the folder it is put below."""
    if format not in FORMATS:
        raise UsageError(f"no format {format!r}", f"use one of {', '.join(FORMATS)}")
    example = "for example '{track}/{stem}.{ext}'"
    try:
        names = {stem: filename.format(track=track, stem=stem, ext=format) for stem in stems}
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise UsageError(f"filename {filename!r}: not a template of track, stem and ext", example) from error
    for name in names.values():
        if Path(name).anchor or ".." in Path(name).parts:
            raise UsageError(f"filename {filename!r}: {name} is not below the folder of the stems", example)
    if len(set(names.values())) < len(names):
        raise UsageError(f"filename {filename!r}: gives several stems one name", example)
    return names


def check_targets(files: Iterable[Path], *, overwrite: bool, source: Path | None) -> None:
    """Raise AudioError if a file is in the way, or is the source itself."""
    for path in files:
        with write_errors_explained(path):
            is_folder, exists, target = path.is_dir(), path.exists(), path.resolve()
        if is_folder:
            raise AudioError(f"{path}: is a folder", "choose another folder or file name for the stems")
        if source is not None and target == source.resolve():
            raise AudioError(f"{source}: its stem would overwrite the input {path}", "choose another folder")
        if exists and not overwrite:
            raise AudioError(f"{path}: exists", "allow overwriting or choose another folder")


@contextmanager
def stem_writers(
    files: Mapping[str, Path],
    *,
    sample_rate: int,
    channels: int,
    subtype: str | None,
    format: str,
    done: Callable[[], None],
) -> Iterator[dict[str, AudioWriter]]:
    """A writer a stem, all open together; see ``_all_or_none``. Raises AudioError."""
    form = format.upper()
    writers = {
        stem: AudioWriter(path, sample_rate=sample_rate, channels=channels, format=form, subtype=subtype)
        for stem, path in files.items()
    }
    with _all_or_none(list(writers.values()), done):
        yield writers


@contextmanager
def binary_files(files: Mapping[str, Path]) -> Iterator[dict[str, BinaryIO]]:
    """A binary file of each name, all open together; see ``_all_or_none``. Raises AudioError."""
    parts = {kind: _BinaryPart(path) for kind, path in files.items()}
    with _all_or_none(list(parts.values())):
        yield {kind: part.file for kind, part in parts.items()}


@contextmanager
def written_aside(target: Path | BinaryIO) -> Iterator[BinaryIO]:
    """A binary file that takes the name ``target`` when the block ends well, and vanishes when it does not.

    A target that is a file already is handed through: its owner sees to all that. Raises AudioError.
    """
    if not isinstance(target, Path):
        yield target
        return
    with binary_files({"": target}) as files, write_errors_explained(target):
        yield files[""]


class _Part(Protocol):
    path: Path

    def open(self) -> None: ...
    def finish(self) -> None: ...
    def place(self) -> None: ...
    def discard(self) -> None: ...


class _BinaryPart:
    """What AudioWriter is for stems, for any other file."""

    file: BinaryIO

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = aside_path(path)

    def open(self) -> None:
        with write_errors_explained(self.path):
            self.file = self._aside.open("wb")

    def finish(self) -> None:
        with write_errors_explained(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()

    def place(self) -> None:
        with write_errors_explained(self.path):
            self._aside.replace(self.path)

    def discard(self) -> None:
        with suppress(OSError, AttributeError):  # AttributeError: never opened
            self.file.close()
        with suppress(OSError):
            self._aside.unlink(missing_ok=True)


@contextmanager
def _all_or_none(parts: Sequence[_Part], done: Callable[[], None] | None = None) -> Iterator[None]:
    """Make the folders and open the files; the files take their names only when all are complete.

    ``done`` is called just before that, the last chance to raise; older files of these names are untouched until
    then. After any exception none of the files, and no folder made for them, is left.
    """
    folders: list[Path] = []
    placed: list[Path] = []
    try:
        for part in parts:
            _make_folder(part.path, folders)
            part.open()
        yield
        for part in parts:
            part.finish()
        if done is not None:
            done()
        for part in parts:
            part.place()
            placed.append(part.path)
    except BaseException:
        for part in parts:
            part.discard()
        for path in placed:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(folders):
            # Only what is still empty goes: somebody else may have put something there.
            with suppress(OSError):
                folder.rmdir()
        raise


def _make_folder(path: Path, made: list[Path]) -> None:
    """Make the folder of ``path`` and its parents, noting in ``made`` which were not there.

    Another thread or process may make, or remove, one of them at the same time.
    """
    with write_errors_explained(path):
        for folder in reversed([folder for folder in path.parents if not folder.exists()]):
            with suppress(FileExistsError, FileNotFoundError):
                folder.mkdir()
                made.append(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
