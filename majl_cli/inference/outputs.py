"""Several stem files written at once, all or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from majl_cli.audio import AudioWriter
from majl_cli.errors import AudioError, UsageError

FORMATS = ("wav", "flac", "mp3", "ogg")


def stem_names(filename: str, *, track: str, stems: Sequence[str], format: str) -> dict[str, str]:
    """The template filled in for each stem. Raises UsageError for a bad template or format."""
    if format not in FORMATS:
        raise UsageError(f"no format {format!r}", f"use one of {', '.join(FORMATS)}")
    example = "for example '{track}/{stem}.{ext}'"
    try:
        names = {stem: filename.format(track=track, stem=stem, ext=format) for stem in stems}
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise UsageError(f"filename {filename!r}: not a template of track, stem and ext", example) from error
    if len(set(names.values())) < len(names):
        raise UsageError(f"filename {filename!r}: gives several stems one name", example)
    return names


def check_targets(files: Iterable[Path], *, overwrite: bool, source: Path | None) -> None:
    """Raise AudioError if a file is in the way, or is the source itself."""
    for path in files:
        with _explained(path):
            is_folder, exists, target = path.is_dir(), path.exists(), path.resolve()
        if is_folder:
            raise AudioError(f"{path}: is a folder", "choose another folder or file name for the stems")
        if source is not None and target == source.resolve():
            raise AudioError(f"{source}: its stem would overwrite the input {path}", "choose another folder")
        if exists and not overwrite:
            raise AudioError(f"{path}: exists", "allow overwriting or choose another folder")


@contextmanager
def stem_writers(
    files: dict[str, Path],
    *,
    sample_rate: int,
    channels: int,
    subtype: str | None,
    format: str,
    done: Callable[[], None],
) -> Iterator[dict[str, AudioWriter]]:
    """A writer a stem, all open together. The files take their names only when all are complete.

    ``done`` is called just before that, the last chance to raise; older files of these names are untouched until
    then. After any exception none of the files, and no folder made for them, is left. Raises AudioError.
    """
    aside = {
        stem: path.with_name(f".{path.stem[:100]}.majl-{os.getpid()}{path.suffix}") for stem, path in files.items()
    }
    folders: list[Path] = []
    placed: list[Path] = []
    try:
        for path in files.values():
            _make_folder(path.parent, folders)
        with ExitStack() as stack:
            yield {
                stem: stack.enter_context(
                    AudioWriter(
                        path, sample_rate=sample_rate, channels=channels, format=format.upper(), subtype=subtype
                    )
                )
                for stem, path in aside.items()
            }
        done()
        for stem, path in files.items():
            with _explained(path):
                aside[stem].replace(path)
            placed.append(path)
    except BaseException:
        for path in (*aside.values(), *placed):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(folders):
            # Only what is still empty goes: somebody else may have put something there.
            with suppress(OSError):
                folder.rmdir()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make it and its parents, noting in ``made`` which were not there."""
    with _explained(folder):
        for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
            path.mkdir()
            made.append(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be written: {error.strerror or error}", "choose another folder or a shorter name"
        ) from error
