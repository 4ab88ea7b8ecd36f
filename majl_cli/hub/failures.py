"""Whatever can go wrong between here and a server, or on the disk, as one HubError each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from majl_cli.errors import AudioError, HubError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def storage_errors_explained(folder: Path, variable: str) -> Iterator[None]:
    """An OSError within becomes a HubError about ``folder``, which the environment ``variable`` can move."""
    try:
        yield
    except (OSError, AudioError) as error:
        cause = error.__cause__ if isinstance(error, AudioError) else error
        raise _storage_error(cause, folder, variable) from error


@contextmanager
def server_errors_explained(what: str, *, repo: str = "", revision: str = "", host: str) -> Iterator[None]:
    """Errors of huggingface_hub within become HubErrors about the file ``what`` of ``repo``, or at ``host``."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except OfflineModeIsEnabled as error:
        hint = "unset HF_HUB_OFFLINE, or copy the caches of a machine that has it"
        raise HubError(f"{what}: not here, and HF_HUB_OFFLINE is set", hint) from error
    except GatedRepoError as error:
        message = f"{repo} is gated: its owner asks who wants it"
        raise HubError(message, f"accept the terms at {host}/{repo}, then run hf auth login") from error
    except RepositoryNotFoundError as error:
        message = f"no repository {repo} at {host}, or none that you may see"
        raise HubError(message, "check the name; if it is private, run hf auth login") from error
    except RevisionNotFoundError as error:
        raise HubError(f"{repo} has no revision {revision!r}", "name a branch, tag or commit of it") from error
    except RemoteEntryNotFoundError as error:
        raise HubError(f"{repo} has no file {what!r} at revision {revision}", "check the name") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{what}: no answer from {host}", "check the network; then the same command again") from error
    except HFValidationError as error:
        raise HubError(f"{repo}: not the name of a repository: {error}", "write it as owner/name") from error
    except HfHubHTTPError as error:
        raise status_error(error.response.status_code, what, repo=repo, host=host) from error
    except HTTPError as error:
        message = f"{what}: no answer from {host}: {error or type(error).__name__}"
        raise HubError(message, "check network and proxy; the same command goes on where it stopped") from error


def status_error(status: int, what: str, *, repo: str = "", host: str) -> HubError:
    """What a server's refusal to give ``what`` means."""
    if status in (401, 403):
        where = f" for {repo}" if repo else ""
        return HubError(f"{what}: {host} refuses access ({status})", f"run hf auth login with a token{where}")
    if status in (404, 410):
        return HubError(f"{what}: not at {host} ({status})", "it may have moved: look for a newer majl")
    if status == 429:
        return HubError(f"{what}: {host} has had too many requests (429)", "wait some minutes, or run hf auth login")
    if status >= 500:
        return HubError(f"{what}: {host} is in trouble ({status})", "try again later")
    return HubError(f"{what}: {host} answers {status}", "try again later")


def _storage_error(error: BaseException | None, folder: Path, variable: str) -> HubError:
    number = getattr(error, "errno", None)
    if number in _FULL:
        hint = f"free some space, or set {variable} to a folder elsewhere; the same command goes on where it stopped"
        return HubError(f"{folder}: the disk is full", hint)
    if number in _FORBIDDEN:
        return HubError(f"{folder}: may not be written to", f"set {variable} to a folder of yours")
    reason = getattr(error, "strerror", None) or error
    return HubError(f"{folder}: cannot be written to: {reason}", f"set {variable} to another folder")
