"""Writing files whole or not at all: under a temporary name first, and with errors that say what to do."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from majl_cli.errors import AudioError


def aside_path(path: Path) -> Path:
    """The temporary name beside ``path`` for writing it: short, whatever the length of its own, and hidden."""
    return path.with_name(f".tmp-majl-{os.getpid()}-{zlib.crc32(os.fsencode(path.name)):08x}")


def write_text(path: Path, text: str) -> None:
    """Write aside and rename, making the folder where it is missing. Raises AudioError (see below)."""
    aside = aside_path(path)
    with write_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def write_errors_explained(path: Path) -> Iterator[None]:
    """An OSError within becomes an AudioError that names ``path``, whatever temporary name is behind it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what, hint = "the disk is full", "free some space or choose another folder with --out"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            what, hint = f"cannot be written: {path.parent} is not a folder", "choose another folder with --out"
        else:
            what, hint = f"cannot be written: {error.strerror or error}", "choose another folder, or a shorter name"
        raise AudioError(f"{path}: {what}", hint) from error
