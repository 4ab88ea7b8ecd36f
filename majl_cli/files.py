"""Writing files whole or not at all, under a temporary name first, with errors that say what to do; and locks, so
that two processes do not write to one folder."""

from __future__ import annotations

import errno
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from majl_cli.errors import AudioError, MajlError

LOCK_FILE = ".majl.lock"


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


@contextmanager
def locked(
    folder: Path,
    what: str = "at work",
    *,
    name: str = LOCK_FILE,
    wait: bool = False,
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold the lock ``name`` of ``folder``, which is made where it is missing; it ends with the block or the process.

    ``wait`` for another process to release it, once ``waiting`` is called, or raise MajlError saying ``what`` that one
    does. The lock file stays:
    were it removed, two processes could hold two files of that name. Without locks (Windows, some network drives)
    nothing is held. Raises AudioError if the folder cannot be written to.
    """
    path = folder / name
    with write_errors_explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        held = [os.open(path, os.O_RDWR | os.O_CREAT, 0o666)]

    def release() -> None:
        while held:
            os.close(held.pop())

    if sys.platform != "win32":
        os.register_at_fork(after_in_child=release)  # a worker that outlives its parent must not hold the lock
    try:
        with write_errors_explained(path):
            free = _lock(held[0], wait=False)
            if not free and wait:
                if waiting is not None:
                    waiting()
                free = _lock(held[0], wait=True)
        if not free:
            raise MajlError(f"another process is {what} here: {folder}", "wait for it, or use another folder")
        yield
    finally:
        release()


def _lock(descriptor: int, *, wait: bool) -> bool:
    """False if another holds the lock; True also where there are no locks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    return True
