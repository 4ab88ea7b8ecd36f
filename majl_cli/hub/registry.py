"""Published models of other projects that majl can load: what they are, where they lie, on what terms.

The entries are data (``registry.toml``, and the user's own ``models.toml``); reading them needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from majl_cli.config import build, read_toml
from majl_cli.errors import ConfigError
from majl_cli.hub.places import own_registry
from majl_cli.models.stems import StemNames

BUILT_IN = Path(__file__).parent / "registry.toml"
NOT_STATED = "not stated"
_COMMIT, _DIGEST = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_NON_COMMERCIAL = re.compile(r"(^|-)NC(-|$)")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file: ``file`` of the Hub's ``repo`` at ``revision``, or what lies at ``url``.

    ``sha256`` and ``bytes`` are empty where nobody has published them; ``sha256_start`` is what a file's name says of
    its digest. ``stem`` tells the files of a model apart that has one for each stem.
    """

    repo: str = ""
    revision: str = "main"
    file: str = ""
    url: str = ""
    sha256: str = ""
    sha256_start: str = ""
    bytes: int = 0
    stem: str = ""

    def __post_init__(self) -> None:
        if bool(self.repo and self.file) == bool(self.url):
            raise ConfigError(f"source {self.label}: neither repo and file nor url, or both", "give one of them")
        if self.url and not self.url.startswith("https://"):
            raise ConfigError(f"{self.url}: not https", "give an address that starts with https://")
        address = urlsplit(self.url)
        if address.query or address.fragment:
            raise ConfigError(f"{self.url}: not the address of a file", "leave out what follows ? or #")
        for text in (unquote(address.path).removeprefix("/"), self.repo, self.file):
            if text and not _is_plain_path(text):
                raise ConfigError(f"{self.label}: {text!r} leads elsewhere", "write it with plain names and slashes")
        if self.sha256 and not is_digest(self.sha256):
            raise ConfigError(f"{self.label}: {self.sha256!r} is not a SHA-256", "give 64 hexadecimal digits, or none")

    @property
    def label(self) -> str:
        """What it is called in messages and pins."""
        return self.url or f"{self.repo}@{self.revision}/{self.file}"

    @property
    def suffix(self) -> str:
        """The ending of its name, in small letters."""
        return Path(self.file or self.url).suffix.lower()

    @property
    def is_pinned(self) -> bool:
        """Is it known to the bit, so that nothing has to be recorded on first use?"""
        return bool(self.sha256) and (bool(self.url) or is_commit(self.revision))


@dataclass(frozen=True, kw_only=True)
class Score:
    """A published figure and the kind of figure it is: kinds differ by more than models do."""

    value: float
    kind: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model known by a short ``name``.

    ``architecture`` and ``options`` build the registered module of that ``task``; ``sources`` hold its weights.
    ``licence`` is a tag, ``licence_words`` what its publishers say. ``trained_on`` names corpora as ``CORPUS`` or
    ``CORPUS/split``, for warnings of leaks. ``default_stems``: those to write where nobody says which, if not the usual
    ones. 0 and empty texts mean: not known.
    """

    name: str
    title: str
    task: Literal["separation", "pitch"]
    architecture: str
    sources: tuple[Source, ...]
    options: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    licence_words: str = ""
    data: str = ""
    trained_on: tuple[str, ...] = ()
    sample_rate: int
    stems: tuple[str, ...] = ()
    default_stems: tuple[str, ...] = ()
    parameters: int = 0
    score: Score | None = None
    cost: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r}: not a short name", "use small letters, digits, dots and dashes")
        if not self.sources:
            raise ConfigError(f"{self.name}: no sources", "say where its files lie")
        if (self.task == "separation") != bool(self.stems) or (self.default_stems and not self.stems):
            raise ConfigError(f"{self.name}: separation has stems, pitch has none", "correct task or stems")
        if self.stems:
            self.stem_names()

    def stem_names(self) -> StemNames:
        """What can be asked of a separation module. Raises ConfigError."""
        return StemNames(estimated=self.stems, preferred=self.default_stems)

    @property
    def bytes(self) -> int:
        """Of all its files; 0 if that of any is unknown."""
        sizes = [source.bytes for source in self.sources]
        return sum(sizes) if all(sizes) else 0

    @property
    def terms(self) -> str:
        """Licence tag and words, in one line."""
        words = self.licence_words or "look for terms where it is published"
        return f"{self.licence or NOT_STATED}: {words}"

    @property
    def non_commercial(self) -> bool:
        return bool(_NON_COMMERCIAL.search(self.licence))


def _is_plain_path(text: str) -> bool:
    return "\\" not in text and not {"", ".", ".."} & set(text.split("/"))


def is_commit(revision: str) -> bool:
    """Does it name one state of a repository for good?"""
    return _COMMIT.fullmatch(revision) is not None


def is_digest(text: str) -> bool:
    """Can it be a SHA-256?"""
    return _DIGEST.fullmatch(text) is not None


def entries() -> dict[str, Entry]:
    """All models with a short name, the user's own after those that come with majl. Raises ConfigError."""
    found = read_entries(BUILT_IN)
    if own_registry().exists():
        own = read_entries(own_registry())
        taken = sorted(own.keys() & found.keys())
        if taken:
            raise ConfigError(f"{own_registry()}: {taken[0]!r} is a name that majl has", "choose another name")
        found |= own
    return found


def read_entries(path: Path) -> dict[str, Entry]:
    """The entries of a registry file, by name, which is the name of their table. Raises ConfigError."""
    found = {}
    for name, values in read_toml(path).items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path}: {name} is not a table", "write an entry as [NAME]")
        found[name] = build(Entry, {"name": name, **values}, section=name)
    return found
