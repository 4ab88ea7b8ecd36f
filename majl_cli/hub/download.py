"""Files from a Hub's repositories and from plain addresses: asked about, fetched, resumed, verified.

A half-fetched file stays beside its place and is gone on with; under its own name there is only what was verified.
Files of a repository go into the Hub's own cache, where other programs find them and where theirs are found.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from majl_cli.errors import HubError
from majl_cli.files import locked
from majl_cli.hub.cache import blob_path, link_blob, locks_folder, snapshot_path
from majl_cli.hub.failures import server_errors_explained, status_error, storage_errors_explained
from majl_cli.hub.places import downloads_folder
from majl_cli.hub.registry import Source, is_commit, is_digest

BytesCallback = Callable[[int], None]
Note = Callable[[str], None]
_HEADERS = {"Accept-Encoding": "identity"}
_TRIES = 3
_PAUSE = 1.0  # seconds before a broken connection is tried again


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What a server says of a ``source`` before it is fetched. ``commit`` and ``etag`` are empty outside repositories;
    ``bytes`` is 0 if the server does not say."""

    source: Source
    url: str
    bytes: int
    commit: str = ""
    etag: str = ""


def local_file(source: Source, commit: str) -> Path | None:
    """Where ``source`` lies on this machine, for a repository at ``commit``; None if it does not."""
    if source.url:
        path = _place_of(source.url)
        return path if path.exists() else None
    path = snapshot_path(source.repo, commit, source.file)
    return path if is_commit(commit) and path.exists() else None


def ask(source: Source, commit: str = "") -> Remote:
    """Ask the server about ``source``, in a repository at ``commit`` if given. Raises HubError."""
    if source.url:
        return _ask_address(source)
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    revision = commit or source.revision
    with server_errors_explained(source.file, repo=source.repo, revision=revision, host=_endpoint()):
        url = hf_hub_url(source.repo, source.file, revision=revision)
        said = get_hf_file_metadata(url)
    commit, etag = said.commit_hash or "", said.etag or ""
    if not (is_commit(commit) and (is_commit(etag) or is_digest(etag))):
        raise HubError(f"{_endpoint()}: does not answer as a Hub does", "check HF_ENDPOINT")
    return Remote(source=source, url=url, bytes=said.size or 0, commit=commit, etag=etag)


def fetch(
    remote: Remote,
    *,
    sha256: str = "",
    said_by: str = "",
    fresh: bool = False,
    advance: BytesCallback | None = None,
    note: Note | None = None,
) -> Path:
    """Bring the file here and say where it is. Raises HubError, and lets nothing stay, unless its digest is ``sha256``
    (any, if empty), as ``said_by`` says.

    A file that is here already is verified, and with ``fresh`` fetched again. ``advance`` is told how many of its bytes
    are here, ``note`` that another process has to be waited for.
    """
    source, label = remote.source, remote.source.label
    if not sha256 and is_digest(remote.etag):  # of large files, a Hub's etag is the digest
        sha256, said_by = remote.etag, "the server says"
    if source.url:
        place, moves = _place_of(source.url), "MAJL_HOME"
        locks, lock = downloads_folder() / "locks", hashlib.sha256(str(place).encode()).hexdigest()[:16]
    else:
        place, moves = blob_path(source.repo, remote.etag), "HF_HOME"
        locks, lock = locks_folder(source.repo), f"{remote.etag}.lock"

    def waiting() -> None:
        if note is not None:
            note(f"waiting for another process that fetches {label}")

    with (
        storage_errors_explained(locks, moves),
        locked(locks, name=lock, wait=True, waiting=waiting),
        storage_errors_explained(place.parent, moves),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        if fresh or not place.exists() or _what_is_wrong(place, remote, sha256, said_by):
            half = place.with_name(f"{place.name}.majl-half")
            _check_space(place.parent, remote.bytes - _size(half), moves)
            vouched = bool(sha256 or source.sha256_start or remote.etag)
            _complete(remote, half, advance or (lambda _bytes: None), vouched=vouched)
            _verify(half, remote, sha256, said_by)
            half.replace(place)
        return place if source.url else link_blob(place, snapshot_path(source.repo, remote.commit, source.file))


def digest_of(path: Path) -> str:
    """Its SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask_address(source: Source) -> Remote:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    url = _mirrored(source.url)
    with server_errors_explained(source.url, host=urlsplit(url).netloc):
        # Not every host answers HEAD: ask for all, and go after the headers.
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        with get_session().stream("GET", url, headers=_HEADERS, timeout=timeout, follow_redirects=True) as response:
            _check_status(response, source)
            return Remote(source=source, url=url, bytes=int(response.headers.get("Content-Length") or 0))


def _check_space(folder: Path, needed: int, variable: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        hint = f"free some space, or set {variable} to a folder elsewhere"
        raise HubError(f"{folder}: the disk has {free:,} bytes free, and {needed:,} bytes are to come", hint)


def _complete(remote: Remote, half: Path, advance: BytesCallback, *, vouched: bool) -> None:
    """Fetch into ``half`` what is missing of it; a connection that breaks is tried again a few times.

    Unless a digest has ``vouched`` for the whole, what is there is gone on with only where the server can tell whether
    it still has the file that it is a part of.
    """
    from huggingface_hub.errors import HTTPError

    source = remote.source
    host = urlsplit(remote.url).netloc if source.url else _endpoint()
    label, failures = source.file or source.url, 0
    if not vouched and remote.bytes and _size(half) >= remote.bytes:
        half.unlink(missing_ok=True)
    with server_errors_explained(label, repo=source.repo, revision=remote.commit, host=host):
        while True:
            before, broken = _size(half), None
            if remote.bytes and before == remote.bytes:
                break
            if remote.bytes and before > remote.bytes:
                half.unlink()
            try:
                _receive(remote, half, advance, vouched=vouched)
            except HTTPError as error:
                if hasattr(error, "response"):  # the server has answered
                    raise
                broken = error
            if broken is None and (not remote.bytes or _size(half) == remote.bytes):
                break
            failures = 0 if _size(half) > before else failures + 1
            if failures >= _TRIES:
                message = f"{label}: the connection to {host} breaks off at {_size(half)} of {remote.bytes} bytes"
                raise HubError(message, "check the network; the same command goes on where it stopped") from broken
            time.sleep(_PAUSE)
    _tag_file(half).unlink(missing_ok=True)


def _receive(remote: Remote, half: Path, advance: BytesCallback, *, vouched: bool) -> None:
    """Fetch what is missing of ``half``, or all if that does not go with what is there."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session

    headers = dict(_HEADERS) if remote.source.url else build_hf_headers() | _HEADERS
    tag = "" if vouched else _read_tag(half)
    if (start := _size(half)) and (vouched or tag):
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", remote.url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        _check_status(response, remote.source, also=416)
        goes_on = response.status_code == 206
        if response.status_code == 416 or (goes_on and not _continues(response, start, tag)):
            half.unlink(missing_ok=True)  # it is no part of what lies there now
            return
        if not (vouched or goes_on):
            _tag_file(half).write_text(response.headers.get("ETag") or "", encoding="utf-8")
        with half.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_bytes():
                if remote.bytes and file.tell() + len(chunk) > remote.bytes:
                    break
                file.write(chunk)
                advance(file.tell())
            else:
                return
    half.unlink()
    message = f"{remote.source.label}: more comes than the {remote.bytes} bytes announced; what was fetched is removed"
    raise HubError(message, "try again; if it stays so, something changes files between here and the server")


def _continues(response: Any, start: int, tag: str) -> bool:
    """Is the part that comes the one asked for, of the file that the parts before it are of?"""
    part = response.headers.get("Content-Range") or ""
    return part.startswith(f"bytes {start}-") and (not tag or response.headers.get("ETag") in (tag, None))


def _tag_file(half: Path) -> Path:
    return half.with_name(f"{half.name}.etag")


def _read_tag(half: Path) -> str:
    """What the server called the file when ``half`` was begun; empty if that does not tell versions apart."""
    path = _tag_file(half)
    tag = path.read_text(encoding="utf-8") if path.exists() else ""
    return tag if tag.startswith('"') else ""


def _check_status(response: Any, source: Source, *, also: int = 200) -> None:
    """Raise unless the server gives what was asked for, or answers ``also``. What else a Hub has to say, its library
    knows to read."""
    from huggingface_hub.utils import hf_raise_for_status

    if response.status_code == also:
        return
    if not source.url:
        hf_raise_for_status(response)
    elif response.status_code >= 400:
        raise status_error(response.status_code, source.url, host=response.url.host)


def _verify(half: Path, remote: Remote, sha256: str, said_by: str) -> None:
    """Remove ``half`` and raise HubError unless it is the file expected."""
    wrong = _what_is_wrong(half, remote, sha256, said_by)
    if not wrong:
        return
    half.unlink()
    source = remote.source
    if source.sha256 or source.sha256_start:
        hint = "the file was replaced: look for a newer majl, which knows the new one"
    elif sha256 and sha256 != remote.etag:
        hint = "the file was replaced: look at where it is published, then pull it with --repin"
    else:
        hint = "something changes files between here and the server"
    raise HubError(f"{wrong}; what was fetched is removed", f"try again; if it stays so, {hint}")


def _what_is_wrong(path: Path, remote: Remote, sha256: str, said_by: str) -> str:
    """Why the file at ``path`` is not the one expected, in words; empty if it is."""
    source, size, found = remote.source, _size(path), digest_of(path)
    name = Path(source.file or urlsplit(source.url).path).name
    expected = source.bytes or remote.bytes
    if sha256 and found != sha256:
        return f"{name}: its SHA-256 is {found}, but {said_by or 'it should be'} {sha256}"
    if not found.startswith(source.sha256_start):
        return f"{name}: its SHA-256 is {found}, but its name says {source.sha256_start}..."
    if not sha256 and expected and size != expected:
        return f"{name}: it has {size} bytes, where {expected} are expected"
    if remote.etag and remote.etag != (found if is_digest(remote.etag) else _git_name(path)):
        return f"{name}: what came is not what the server names it: {remote.etag}"
    return ""


def _git_name(path: Path) -> str:
    """What git, and so the Hub, calls a small file: nobody publishes other digests of those."""
    with path.open("rb") as file:
        start = b"blob %d\0" % _size(path)
        return hashlib.file_digest(file, lambda: hashlib.sha1(start, usedforsecurity=False)).hexdigest()


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _place_of(url: str) -> Path:
    parts = urlsplit(url)
    return downloads_folder() / parts.netloc / parts.path.lstrip("/")


def _mirrored(url: str) -> str:
    """``MAJL_MIRROR`` is the address of a copy of other hosts' files: below it comes the host's name, then its path."""
    mirror = os.environ.get("MAJL_MIRROR")
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}" if mirror else url


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
