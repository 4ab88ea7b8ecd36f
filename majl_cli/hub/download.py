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
from majl_cli.hub.failures import server_errors_explained, status_error, storage_errors_explained
from majl_cli.hub.places import downloads_folder
from majl_cli.hub.registry import Source, is_commit, is_digest

BytesCallback = Callable[[int], None]
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
    path = _repository_folder(source.repo) / "snapshots" / commit / source.file
    return path if is_commit(commit) and path.exists() else None


def ask(source: Source, commit: str = "") -> Remote:
    """Ask the server about ``source``, in a repository at ``commit`` if given. Raises HubError."""
    if source.url:
        return _ask_address(source)
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    revision = commit or source.revision
    url = hf_hub_url(source.repo, source.file, revision=revision)
    with server_errors_explained(source.file, repo=source.repo, revision=revision, host=_endpoint()):
        said = get_hf_file_metadata(url)
    if not (said.commit_hash and said.etag):
        raise HubError(f"{_endpoint()}: does not answer as a Hub does", "check HF_ENDPOINT")
    return Remote(source=source, url=url, bytes=said.size or 0, commit=said.commit_hash, etag=said.etag)


def fetch(
    remote: Remote, *, sha256: str = "", said_by: str = "", fresh: bool = False, advance: BytesCallback | None = None
) -> Path:
    """Bring the file here and say where it is. Raises HubError, and lets nothing stay, unless its digest is ``sha256``
    (any, if empty), as ``said_by`` says.

    A file that is here already is verified, and with ``fresh`` fetched again. ``advance`` is told how many of its bytes
    are here.
    """
    source = remote.source
    if not sha256 and is_digest(remote.etag):  # of large files, a Hub's etag is the digest
        sha256, said_by = remote.etag, "the server says"
    if source.url:
        place, moves = _place_of(source.url), "MAJL_HOME"
    else:
        place, moves = _repository_folder(source.repo) / "blobs" / remote.etag, "HF_HOME"
    locks, lock = downloads_folder() / "locks", hashlib.sha256(str(place).encode()).hexdigest()[:16]
    with (
        storage_errors_explained(locks, "MAJL_HOME"),
        locked(locks, f"downloading {source.label}", name=lock),
        storage_errors_explained(place.parent, moves),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        if fresh or not place.exists() or (sha256 and digest_of(place) != sha256) or not _is_named(place, remote.etag):
            half = place.with_name(f"{place.name}.majl-half")
            _check_space(place.parent, remote.bytes - _size(half), moves)
            _complete(remote, half, advance or (lambda _bytes: None))
            _verify(half, source, sha256, said_by)
            _verify_name(half, remote)
            half.replace(place)
        return place if source.url else _link(remote)


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
        raise HubError(f"{folder}: the disk has {free / 1e6:.0f} MB free, and {needed / 1e6:.0f} MB are to come", hint)


def _complete(remote: Remote, half: Path, advance: BytesCallback) -> None:
    """Fetch into ``half`` what is missing of it; a connection that breaks is tried again a few times."""
    from huggingface_hub.errors import HTTPError

    source = remote.source
    host = urlsplit(remote.url).netloc if source.url else _endpoint()
    label, failures = source.file or source.url, 0
    with server_errors_explained(label, repo=source.repo, revision=remote.commit, host=host):
        while True:
            before, broken = _size(half), None
            if remote.bytes and before == remote.bytes:
                return
            if remote.bytes and before > remote.bytes:
                half.unlink()
            try:
                _receive(remote, half, advance)
            except HTTPError as error:
                if hasattr(error, "response"):  # the server has answered
                    raise
                broken = error
            if broken is None and (not remote.bytes or _size(half) == remote.bytes):
                return
            failures = 0 if _size(half) > before else failures + 1
            if failures >= _TRIES:
                message = f"{label}: the connection to {host} breaks off at {_size(half)} of {remote.bytes} bytes"
                raise HubError(message, "check the network; the same command goes on where it stopped") from broken
            time.sleep(_PAUSE)


def _receive(remote: Remote, half: Path, advance: BytesCallback) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session

    headers = dict(_HEADERS) if remote.source.url else build_hf_headers() | _HEADERS
    if start := _size(half):
        headers["Range"] = f"bytes={start}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", remote.url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        if response.status_code == 416:  # the half is no part of what lies there now
            half.unlink()
            return
        _check_status(response, remote.source)
        with half.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                advance(file.tell())


def _check_status(response: Any, source: Source) -> None:
    """Raise unless the server gives what was asked for. What else a Hub has to say, its library knows to read."""
    from huggingface_hub.utils import hf_raise_for_status

    if not source.url:
        hf_raise_for_status(response)
    elif response.status_code >= 400:
        raise status_error(response.status_code, source.url, host=response.url.host)


def _verify(half: Path, source: Source, sha256: str, said_by: str) -> None:
    """Remove ``half`` and raise HubError unless its digest is the one expected."""
    found = digest_of(half)
    start = source.sha256_start
    if (not sha256 or found == sha256) and found.startswith(start):
        return
    half.unlink()
    name = Path(source.file or urlsplit(source.url).path).name
    expected = f"{said_by or 'it should be'} {sha256}" if sha256 else f"its name says {start}..."
    raise HubError(
        f"{name}: its SHA-256 is {found}, but {expected}; what was fetched is removed",
        "try again; if it stays so, the file was replaced: look at where it is published, then pull it with --repin",
    )


def _verify_name(half: Path, remote: Remote) -> None:
    """Remove ``half`` and raise HubError unless it is what a repository names it."""
    if _is_named(half, remote.etag):
        return
    half.unlink()
    message = f"{remote.source.file}: what came is not what the server names it: {remote.etag}; it is removed"
    raise HubError(message, "try again; if it stays so, something changes files between here and the server")


def _is_named(path: Path, etag: str) -> bool:
    """False if ``etag`` is git's name of a small file, its SHA-1, and ``path`` is not that file: nobody publishes
    other digests of those."""
    if not is_commit(etag):
        return True
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == etag


def _link(remote: Remote) -> Path:
    """Have the Hub's library put the blob that is there now where it looks for it."""
    from huggingface_hub import hf_hub_download

    source = remote.source
    with server_errors_explained(source.file, repo=source.repo, revision=remote.commit, host=_endpoint()):
        return Path(hf_hub_download(source.repo, source.file, revision=remote.commit))


def _repository_folder(repo: str) -> Path:
    """As the Hub's documentation lays its cache out."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


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
