"""A card for each model: what it is, on what terms, and what of it is here. No torch, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from majl_cli.errors import HubError, MajlError
from majl_cli.hub.check import fetched_repositories
from majl_cli.hub.find import embedded_models, find_model, local_files, repository_sources
from majl_cli.hub.pins import known_pin, read_pins
from majl_cli.hub.pull import entry_terms, one_line, repository_terms
from majl_cli.hub.registry import NOT_STATED, Entry, Score, Source, entries
from majl_cli.models.checkpoint_config import CONFIG_FILE, WEIGHTS_FILE, read_config


@dataclass(frozen=True, kw_only=True)
class CardFile:
    """A file of a model. ``source`` says where it comes from, ``path`` where it lies here; ``sha256`` is empty where
    none is known, ``vouched`` "registry", "pinned on DAY" or empty."""

    source: str
    path: str
    sha256: str
    bytes: int
    vouched: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """``here`` is "embedded", "yes", "in part" or "no"; 0 and empty texts mean: not known."""

    name: str
    title: str
    task: str
    stems: tuple[str, ...]
    licence: str
    licence_words: str
    non_commercial: bool
    data: str
    here: str
    bytes: int
    files: tuple[CardFile, ...]
    architecture: str
    sample_rate: int
    parameters: int = 0
    score: Score | None = None
    cost: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def list_cards() -> list[Card]:
    """Embedded models, then those with a short name, then repositories fetched, also those that are gone or damaged
    since. Raises MajlError if the registry or the pins cannot be read."""
    return [_card_or_what_is_wrong(name) for name in (*embedded_models(), *entries(), *fetched_repositories())]


def find_card(name: str) -> Card:
    """Raises CheckpointError for an unknown name, HubError for a repository that is not here."""
    known = entries()
    if name in known and name not in embedded_models():
        return _entry_card(known[name])
    folder = find_model(name).folder
    if folder is None:
        raise HubError(f"{name} is not here", f"majl models pull {name}")
    return _checkpoint_card(name, folder)


def _card_or_what_is_wrong(name: str) -> Card:
    try:
        return find_card(name)
    except MajlError as error:
        sources = repository_sources(name) or ()
        files = _files(sources, [None] * len(sources))
        return Card(
            name=name,
            title="checkpoint of majl",
            task="separation, pitch",
            stems=(),
            licence=NOT_STATED,
            licence_words="",
            non_commercial=False,
            data=NOT_STATED,
            here="no",
            bytes=sum(file.bytes for file in files),
            files=files,
            architecture="",
            sample_rate=0,
            note=one_line(error.message),
        )


def _entry_card(entry: Entry) -> Card:
    paths = local_files(entry.sources)
    files = _files(entry.sources, paths)
    found = sum(path is not None for path in paths)
    sizes = [file.bytes for file in files]
    return Card(
        name=entry.name,
        title=entry.title,
        task=entry.task,
        stems=entry.stems,
        licence=entry.licence or NOT_STATED,
        licence_words=entry.licence_words,
        non_commercial=entry.non_commercial,
        data=entry_terms(entry).data,
        here="no" if not found else "yes" if found == len(paths) else "in part",
        bytes=sum(sizes) if all(sizes) else 0,
        files=files,
        architecture=entry.architecture,
        sample_rate=entry.sample_rate,
        parameters=entry.parameters,
        score=entry.score,
        cost=entry.cost,
        note=entry.note,
    )


def _checkpoint_card(name: str, folder: Path) -> Card:
    terms = repository_terms(name, folder)
    config = read_config(folder)
    paths = [folder / CONFIG_FILE, folder / WEIGHTS_FILE]
    sources = None if Path(name).expanduser().is_dir() else repository_sources(name)
    files = tuple(map(_folder_file, paths)) if sources is None else _files(sources, paths)
    words, _, rest = terms.licence.partition(": ")
    return Card(
        name=name,
        title=terms.title,
        task="separation, pitch",
        stems=tuple(map(one_line, config["stems"])),
        licence=words,
        licence_words=rest,
        non_commercial=False,
        data=terms.data,
        here="embedded" if name in embedded_models() else "yes",
        bytes=sum(file.bytes for file in files),
        files=files,
        architecture=terms.title.partition(": ")[2],
        sample_rate=config["sample_rate"],
    )


def _files(sources: tuple[Source, ...], paths: Sequence[Path | None]) -> tuple[CardFile, ...]:
    pins = read_pins()
    files = []
    for source, path in zip(sources, paths, strict=True):
        pin = known_pin(source, pins)
        recorded = pin is not None and not source.is_pinned
        size = (pin.bytes if pin else 0) or source.bytes or (path.stat().st_size if path else 0)
        files.append(
            CardFile(
                source=f"{source.label} ({pin.commit})" if pin and recorded and pin.commit else source.label,
                path=str(path or ""),
                sha256=pin.sha256 if pin else source.sha256 or (source.sha256_start and f"{source.sha256_start}..."),
                bytes=size,
                vouched=f"pinned on {pin.day}" if pin and recorded else "registry" if source.sha256 else "",
            )
        )
    return tuple(files)


def _folder_file(path: Path) -> CardFile:
    return CardFile(source="", path=str(path), sha256="", bytes=path.stat().st_size if path.exists() else 0)
