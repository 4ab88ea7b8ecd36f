"""Which files a command works on, and what their outputs are called.

A file that is named gives its name without the extension; a file found below a folder keeps its sub-folders
(``album/disc 1/song.flac`` in ``album`` gives ``disc 1/song``). Names that would still fall together (also on
file systems that ignore case) become the full file name (``song.wav``, ``song.mp3``), else the name with its
folder (``live/song``), else get a number (``song-2``).
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path, PurePosixPath

from majl_cli.errors import AudioError, MajlError

_EXTENSIONS = """
    .wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64
    .m4a .aac .mp4 .m4v .mov .mkv .mka .webm .wma .ac3
"""
AUDIO_EXTENSIONS = frozenset(_EXTENSIONS.split())


@dataclass(frozen=True, kw_only=True)
class InputTrack:
    """A file to be worked on; ``name`` is what its outputs are called, with ``/`` between sub-folders.

    ``named``: given as a file, not found below a folder or by a pattern.
    """

    path: Path
    name: str
    named: bool = False


@dataclass(frozen=True, kw_only=True)
class BadInput:
    """An argument that names no audio file, and why."""

    argument: str
    error: MajlError


def find_inputs(arguments: Sequence[str], *, out: Path | None = None) -> tuple[list[InputTrack], list[BadInput]]:
    """The tracks that ``arguments`` (files, folders, patterns) name, and those arguments that name none.

    The order is that of the arguments, sorted within folders and patterns; a file named twice counts once. An
    output folder ``out`` inside of an input folder is left out, so that stems are not separated again. A file
    that exists is taken as such, even if its name looks like a pattern.
    """
    found: dict[Path, tuple[Path, str]] = {}
    named: set[Path] = set()
    bad = []
    for argument in arguments:
        try:
            for path, name in _expand(argument, out):
                found.setdefault(path.resolve(), (path, name))
                if path in (Path(argument), Path(argument).expanduser()):
                    named.add(path.resolve())
        except MajlError as error:
            bad.append(BadInput(argument=argument, error=error))
    tracks = _with_unique_names(list(found.values()))
    return [replace(track, named=track.path.resolve() in named) for track in tracks], bad


def _expand(argument: str, out: Path | None) -> Iterator[tuple[Path, str]]:
    """The (path, track name) of each audio file that one argument means."""
    if not argument:
        raise AudioError("'': an empty name is no input", "name a file, a folder or a pattern")
    path = Path(argument)
    if argument.startswith("~") and not _exists(path):
        path = path.expanduser()
    if _exists(path) and path.is_dir():
        found = list(_files_below(path, out))
    elif _exists(path):
        found = [(path, _file_track(path))]
    elif glob.has_magic(argument):
        found = list(_matches(str(path), out))
    else:
        raise AudioError(f"{argument}: no such file or folder", _nearest(path))
    if not found:
        extensions = " ".join(sorted(AUDIO_EXTENSIONS))
        raise AudioError(f"{argument}: no audio file found there", f"these names count as audio: {extensions}")
    yield from found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the file system, or with a null character
        return False


def _matches(pattern: str, out: Path | None) -> Iterator[tuple[Path, str]]:
    """Audio files that ``pattern`` matches; a folder that matches stands for the files below it."""
    base = Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
    avoided = out if out is not None and _is_inside(out, base) else None
    for path in map(Path, sorted(glob.glob(pattern, recursive=True))):  # noqa: PTH207, Path.glob refuses "/x/*"
        if avoided is not None and (_is_inside(path, avoided) or path.resolve() == avoided.resolve()):
            continue
        if path.is_dir():
            # "**" has matched the files of the folder already.
            if "**" not in pattern:
                yield from ((file, f"{path.name}/{name}") for file, name in _files_below(path, avoided))
        elif path.suffix.lower() in AUDIO_EXTENSIONS:
            yield path, _file_track(path)


def _files_below(folder: Path, out: Path | None) -> Iterator[tuple[Path, str]]:
    """Audio files below ``folder``, sorted, without hidden ones and without those in an ``out`` inside of it."""
    avoided = out.resolve() if out is not None and _is_inside(out, folder) else None
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and Path(parent, name).resolve() != avoided)
        for path in (Path(parent, file) for file in sorted(files) if file[0] != "."):
            if path.suffix.lower() in AUDIO_EXTENSIONS and path.is_file():
                yield path, str(PurePosixPath(*path.parent.relative_to(folder).parts, _file_track(path)))


def _is_inside(path: Path, folder: Path) -> bool:
    inner, outer = path.resolve(), folder.resolve()
    return inner != outer and inner.is_relative_to(outer)


def _file_track(path: Path) -> str:
    return path.name if path.stem in {".", ".."} else path.stem


def _with_unique_names(found: Sequence[tuple[Path, str]]) -> list[InputTrack]:
    groups: dict[str, list[int]] = {}
    for index, (_, name) in enumerate(found):
        groups.setdefault(_name_key(name), []).append(index)
    names = [name for _, name in found]
    for group in groups.values():
        if len(group) == 1:
            continue
        with_extension = [str(PurePosixPath(found[i][1]).parent / found[i][0].name) for i in group]
        with_folder = [str(PurePosixPath(found[i][0].absolute().parent.name, found[i][1])) for i in group]
        for candidates in (with_extension, with_folder):
            if len({_name_key(name) for name in candidates}) == len(group):
                for index, name in zip(group, candidates, strict=True):
                    names[index] = name
                break
    return _numbered([path for path, _ in found], names)


def _numbered(paths: Sequence[Path], names: Sequence[str]) -> list[InputTrack]:
    taken: set[str] = set()
    tracks = []
    for path, name in zip(paths, names, strict=True):
        unique, number = name, 1
        while _name_key(unique) in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(_name_key(unique))
        tracks.append(InputTrack(path=path, name=unique))
    return tracks


def _name_key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _nearest(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        names = []
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else "check the spelling and the folder you are in"
