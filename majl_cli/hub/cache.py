"""The Hub's own cache, laid out as its documentation says: other programs find files there, and theirs are found.

Bytes lie once, in ``blobs`` under the Hub's name for them; ``snapshots`` links to them from each commit.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from majl_cli.files import aside_path


def blob_path(repo: str, etag: str) -> Path:
    return _repository_folder(repo) / "blobs" / etag


def snapshot_path(repo: str, commit: str, file: str) -> Path:
    return _repository_folder(repo) / "snapshots" / commit / file


def locks_folder(repo: str) -> Path:
    """Where the Hub's library locks blobs, each as ``ETAG.lock``, while it fetches them."""
    folder = _repository_folder(repo)
    return folder.parent / ".locks" / folder.name


def link_blob(blob: Path, pointer: Path) -> Path:
    """Have ``pointer`` lead to ``blob``, whatever was in its place, or be a copy where there are no links."""
    if pointer.is_symlink() and pointer.resolve() == blob.resolve():
        return pointer
    pointer.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_path(pointer)
    try:
        aside.unlink(missing_ok=True)
        try:
            aside.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:
            shutil.copyfile(blob, aside)
        aside.replace(pointer)
    finally:
        aside.unlink(missing_ok=True)
    return pointer


def _repository_folder(repo: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
