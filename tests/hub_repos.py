"""What a hub holds: repositories with commits and references, who may do what, and faults to come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

LARGE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".th", ".onnx")
LICENCES = (
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "openrail",
    "other",
    "unknown",
)


def is_large(path: str) -> bool:
    """Whether the hub keeps this file in its large file storage."""
    return path.endswith(LARGE_SUFFIXES)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    """The name git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Commit:
    sha: str
    files: dict[str, bytes]
    message: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with requests whose path holds ``part``: an answer with a ``status``, a body that ends after
    ``size`` bytes, a body of the right size with a wrong byte, or ``seconds`` to wait."""

    kind: Literal["fail", "cut", "corrupt", "delay"]
    part: str
    status: int = 500
    size: int = 0
    seconds: float = 0.0


class Refused(Exception):
    """An answer other than the wanted one."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass(kw_only=True)
class Repo:
    name: str
    gated: bool = False
    private: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    def commit(
        self, changes: Mapping[str, bytes | None], *, branch: str = "main", message: str = "Change files"
    ) -> str:
        """Add or (None) delete files on top of a branch; the new commit's sha."""
        parent = self.branches.get(branch) or self.branches.get("main", "")
        files = dict(self.commits[parent].files) if parent else {}
        for path, content in changes.items():
            if content is None:
                del files[path]
            else:
                files[path] = content
        state = f"{parent} {len(self.commits)} {message} " + " ".join(f"{p} {sha256(c)}" for p, c in files.items())
        sha = hashlib.sha1(state.encode()).hexdigest()
        self.commits[sha] = Commit(sha=sha, files=files, message=message)
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> Commit | None:
        """By branch, full sha, or the beginning of one."""
        sha = self.branches.get(revision, revision)
        if sha in self.commits or len(sha) < 7:
            return self.commits.get(sha)
        return next((commit for name, commit in self.commits.items() if name.startswith(sha)), None)

    def history(self) -> list[str]:
        """Messages of all commits, oldest first."""
        return [commit.message for commit in self.commits.values()]


def card_data(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The front matter of README.md; empty without one."""
    text = files.get("README.md", b"").decode()
    return (yaml.safe_load(text.split("---\n")[1]) or {}) if text.startswith("---\n") else {}


def card_errors(text: str) -> list[str]:
    """Why the hub refuses a README.md."""
    try:
        data = card_data({"README.md": text.encode()})
    except (yaml.YAMLError, IndexError) as error:
        return [str(error)]
    errors = []
    licence = data.get("license")
    if licence is not None and licence not in LICENCES:
        errors.append(f'"license" must be one of {", ".join(LICENCES)}')
    if licence == "other" and "license_name" not in data:
        errors.append('"license_name" is required when "license" is "other"')
    if not all(isinstance(tag, str) for tag in data.get("tags", [])):
        errors.append('"tags" must be strings')
    return errors


def file_row(path: str, content: bytes) -> dict[str, Any]:
    """A file as the tree of a revision lists it."""
    row: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
    if is_large(path):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n"
        row["oid"] = git_sha1(pointer.encode())
        row["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer)}
    return row


def model_row(repo: Repo, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    """A model as its page's API tells of it."""
    card = card_data(commit.files)
    siblings = []
    for path, content in sorted(commit.files.items()):
        row = file_row(path, content)
        sibling = {"rfilename": path}
        if blobs:
            lfs = {"lfs": {"sha256": row["lfs"]["oid"], **row["lfs"]}} if "lfs" in row else {}
            sibling |= {"size": row["size"], "blobId": row["oid"], **lfs}
        siblings.append(sibling)
    licence = [f"license:{card['license']}"] if "license" in card else []
    return {
        "_id": sha256(repo.name.encode())[:24],
        "id": repo.name,
        "modelId": repo.name,
        "author": repo.owner,
        "sha": commit.sha,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "lastModified": "2026-01-01T00:00:00.000Z",
        "downloads": 0,
        "likes": 0,
        "tags": [*card.get("tags", []), *licence],
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "cardData": card,
        "siblings": siblings,
    }
