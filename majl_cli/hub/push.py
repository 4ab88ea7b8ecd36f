"""Publishing a checkpoint on the Hub: looked at first, then one commit, so that nobody ever sees half of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from majl_cli.errors import CheckpointError, HubError, UsageError
from majl_cli.hub.card import Described, card_front_matter, model_card
from majl_cli.hub.failures import server_errors_explained
from majl_cli.hub.find import find_checkpoint, find_model
from majl_cli.hub.licence import front_matter, hub_tag, is_stated
from majl_cli.models.checkpoint import load_checkpoint
from majl_cli.models.checkpoint_config import CONFIG_FILE, WEIGHTS_FILE, read_config

CARD_FILE = "README.md"
_BESIDE = ("LICENSE*", "NOTICE*", "scores.json")
_FRONT_MATTER = re.compile(r"---\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_LOG_IN = "run hf auth login, or set HF_TOKEN to a token that may write"


@dataclass(frozen=True, kw_only=True)
class PushPlan:
    """What would be in ``repo`` at ``branch``: ``files`` by their names there, from disk or made here."""

    repo: str
    branch: str
    licence: str
    files: dict[str, Path | bytes]

    @property
    def card(self) -> str:
        content = self.files[CARD_FILE]
        return content.decode() if isinstance(content, bytes) else content.read_text(encoding="utf-8")

    def bytes_of(self, name: str) -> int:
        content = self.files[name]
        return len(content) if isinstance(content, bytes) else content.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """``url`` of the repository, and the ``commit`` that holds what was pushed."""

    url: str
    commit: str


def plan_push(name: str, repository: str, *, licence: str | None = None) -> PushPlan:
    """What publishing the checkpoint ``name`` as ``owner/repo[@branch]`` comes to; it is loaded to be sure of it.

    ``licence`` is written into its config.json where that states none. A README.md of its own is kept; without front
    matter it is given some. Raises MajlError.
    """
    repo, _, branch = repository.partition("@")
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise UsageError(f"{repository!r} is not a repository", "name it as owner/repo, or owner/repo@branch")
    folder = find_checkpoint(name)
    joint, _ = load_checkpoint(folder, fetched=find_model(name).fetched)
    stored = read_config(folder)
    words = _licence(folder, stored, licence)
    metadata = _without_paths({**(stored.get("metadata") or {}), "licence": words})
    config = {**stored, "metadata": metadata}
    config_file = folder / CONFIG_FILE if config == stored else (json.dumps(config, indent=2) + "\n").encode()
    parameters = {task: sum(p.numel() for p in getattr(joint, task).parameters()) for task in ("separation", "pitch")}
    described = Described(repo=repo, config=config, licence=words, parameters=parameters)
    files: dict[str, Path | bytes] = {
        CARD_FILE: _card(folder / CARD_FILE, described),
        CONFIG_FILE: config_file,
        WEIGHTS_FILE: folder / WEIGHTS_FILE,
    }
    files |= {path.name: path for pattern in _BESIDE for path in sorted(folder.glob(pattern)) if path.is_file()}
    return PushPlan(repo=repo, branch=branch or "main", licence=words, files=files)


def push_checkpoint(plan: PushPlan, *, private: bool = False, message: str = "Publish a checkpoint of majl") -> Pushed:
    """Make the repository where there is none (``private``, or as its owner has them made); commit all files at once.

    Raises HubError, and then nothing has changed but that the repository, and the branch, may be there.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if get_token() is None:
        raise HubError("no token of the Hub, so nobody to publish as", _LOG_IN)
    api = HfApi(library_name="majl")
    with (
        server_errors_explained(plan.repo, repo=plan.repo, revision=plan.branch, host=api.endpoint),
        _refusals_explained(plan.repo),
    ):
        api.whoami()
        url = str(api.create_repo(plan.repo, private=private or None, exist_ok=True))
        if private and not api.model_info(plan.repo).private:
            raise HubError(f"{plan.repo} is there already, and public", "choose another name, or leave --private out")
        if plan.branch != "main":
            api.create_branch(plan.repo, branch=plan.branch, exist_ok=True)
        operations = [CommitOperationAdd(path_in_repo=n, path_or_fileobj=f) for n, f in sorted(plan.files.items())]
        done = api.create_commit(plan.repo, operations, commit_message=message, revision=plan.branch)
    return Pushed(url=url, commit=done.oid)


def _licence(folder: Path, config: dict[str, Any], licence: str | None) -> str:
    """The words that ``config`` states, or those given."""
    stated = (config.get("metadata") or {}).get("licence")
    if is_stated(stated):
        if licence not in (None, stated):
            message = f"{folder}: its config.json states the licence {stated!r}, not {licence!r}"
            raise CheckpointError(message, "leave --licence out, or train with the licence you mean")
        return str(stated)
    if licence is None or not is_stated(licence):
        message = f"{folder}: its config.json states no licence, and without one nobody may use it"
        raise CheckpointError(message, "give one: --licence apache-2.0, cc-by-nc-4.0, or words of your own")
    return licence


def _without_paths(value: Any) -> Any:
    """Metadata for others to read: of absolute paths, also those after ``name=``, the last name."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    if _is_absolute(value):
        return PureWindowsPath(value).name
    label, equals, path = value.partition("=")
    return f"{label}{equals}{PureWindowsPath(path).name}" if _is_absolute(path) else value


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "~/")) or PureWindowsPath(path).is_absolute()


def _card(own: Path, described: Described) -> Path | bytes:
    """The checkpoint's own README.md, with front matter that states its licence; a generated one if it has none."""
    if not own.is_file():
        return model_card(described).encode()
    try:
        text = own.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{own}: not readable as text: {error}", "mend it, or move it away") from error
    front = _FRONT_MATTER.match(text)
    if front is None:
        return (card_front_matter(described) + "\n" + text).encode()
    try:
        said = yaml.safe_load(front[1]) or {}
        licence = said.get("license")
    except (yaml.YAMLError, AttributeError) as error:
        raise CheckpointError(f"{own}: its front matter is not a YAML mapping: {error}", "mend it") from error
    expected = front_matter(described.licence)
    if "license" not in said:
        added = {key: value for key, value in expected.items() if key not in said}
        return f"---\n{yaml.safe_dump(added, sort_keys=False)}{text[front.start(1) :]}".encode()
    if licence != described.licence and (hub_tag(str(licence)) or licence) != expected["license"]:
        message = f"{own}: its front matter says license: {licence}, the checkpoint {described.licence!r}"
        raise CheckpointError(message, f"correct it, or leave license out: it becomes {expected['license']}")
    return own


@contextmanager
def _refusals_explained(repo: str) -> Iterator[None]:
    """What only someone who writes can be told, as HubErrors; the rest passes through."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    nothing = "nothing was published"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(f"{repo}: HF_HUB_OFFLINE is set, so {nothing}", "unset HF_HUB_OFFLINE") from error
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            raise HubError(f"{repo}: the Hub does not take your token (401); {nothing}", _LOG_IN) from error
        if status == 403:
            message = f"{repo}: not yours to write to, or your token may only read (403); {nothing}"
            raise HubError(message, "push to your own name or organisation; hf auth whoami tells it") from error
        if status == 412:
            raise HubError(f"{repo}: somebody else has just changed it; {nothing}", "run the command again") from error
        raise
    except HFValidationError:
        raise
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise HubError(f"{repo}: the Hub refuses the files: {reason}", f"mend {CARD_FILE}; {nothing}") from error
    except RuntimeError as error:
        message = f"{repo}: the upload broke off: {error.__cause__ or error}; {nothing}"
        raise HubError(message, "check the network and run the command again") from error
