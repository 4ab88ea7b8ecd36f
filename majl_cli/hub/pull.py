"""Fetching a model: first what it is and on what terms; then, once someone has agreed, its files, and their pins."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from majl_cli.errors import CheckpointError, HubError, UsageError
from majl_cli.hub.download import Note, Remote, ask, digest_of, fetch, local_file
from majl_cli.hub.find import embedded_models, repository_sources
from majl_cli.hub.pins import Pin, known_pin, read_pins, record_pins, today
from majl_cli.hub.registry import NOT_STATED, Entry, Source, entries
from majl_cli.models.checkpoint_config import read_config

PullProgress = Callable[[Source, int], None]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What someone should know before fetching ``name``: what it is, the licence's words, what it was trained on."""

    name: str
    title: str
    licence: str
    data: str
    non_commercial: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """A file to come: what the server says of it, and what it must be, if anyone knows (``pin``)."""

    remote: Remote
    pin: Pin | None

    @property
    def bytes(self) -> int:
        return self.remote.bytes or (self.pin.bytes if self.pin else 0)

    @property
    def sha256(self) -> str:
        """What it must be; empty if nobody has said."""
        return self.pin.sha256 if self.pin else self.remote.source.sha256


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``files`` are to be fetched; ``here`` is there already. With ``repin`` what was pinned is replaced."""

    terms: Terms
    files: tuple[PlannedFile, ...]
    here: tuple[Path, ...]
    repin: bool = False

    @property
    def bytes(self) -> int:
        """To be fetched; 0 if no server says how many."""
        sizes = [file.bytes for file in self.files]
        return sum(sizes) if all(sizes) else 0


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """``pinned``: what had to be recorded, by the label of its source."""

    files: tuple[Path, ...]
    pinned: dict[str, Pin]


def plan_pull(name: str, *, repin: bool = False, note: Note | None = None) -> Plan:
    """What fetching ``name``, a short name or ``owner/repo[@revision]``, comes to. Servers are asked, and of a
    repository the config.json, which states its terms, is read. ``note`` is told what is waited for. Raises
    MajlError."""
    if name in embedded_models():
        raise UsageError(f"{name} came with majl: there is nothing to fetch", f"use it: --model {name}")
    known = entries()
    if name in known:
        entry = known[name]
        return _plan(entry_terms(entry), entry.sources, repin=repin)
    sources = repository_sources(name)
    if sources is None:
        if "+" in name:
            raise UsageError(f"{name} is two models", f"name each: majl models pull {name.replace('+', ' ')}")
        near = difflib.get_close_matches(name, known, n=1)
        others = "see majl models list, or name a repository as owner/repo"
        raise UsageError(f"no model {name!r} to fetch", f"did you mean {near[0]}?" if near else others)
    pin = _wanted_pin(sources[0], repin)
    config = _here(sources[0], pin)
    if config is None:
        planned = _plan_file(name, sources[0], pin)
        config = fetch(planned.remote, sha256=planned.sha256, said_by=_said_by(pin), note=note)
    return _plan(repository_terms(name, config.parent), sources, repin=repin, commit=config.parent.name)


def pull(plan: Plan, progress: PullProgress | None = None, note: Note | None = None) -> Pulled:
    """Fetch and verify what ``plan`` says, and pin what nobody has vouched for; ``note`` is told what is waited for.
    Raises HubError."""
    paths, pinned = list(plan.here), {}
    for file in plan.files:
        source = file.remote.source

        def advance(count: int, source: Source = source) -> None:
            if progress is not None:
                progress(source, count)

        path = fetch(
            file.remote,
            sha256=file.sha256,
            said_by=_said_by(file.pin),
            fresh=plan.repin and bool(source.url),
            advance=advance,
            note=note,
        )
        paths.append(path)
        if file.pin is None:
            size = path.stat().st_size
            pin = Pin(sha256=digest_of(path), bytes=size, commit=file.remote.commit, day=today())
            pinned[source.label] = pin
    if pinned:
        record_pins(pinned)
    return Pulled(files=tuple(paths), pinned=pinned)


def entry_terms(entry: Entry) -> Terms:
    return Terms(
        name=entry.name,
        title=entry.title,
        licence=entry.terms,
        data=entry.data or NOT_STATED,
        non_commercial=entry.non_commercial,
        note=entry.note,
    )


def repository_terms(name: str, folder: Path) -> Terms:
    """What the checkpoint in ``folder`` says of itself. Raises CheckpointError."""
    config = read_config(folder)
    try:
        modules = " and ".join(config["architecture"][task]["name"] for task in ("separation", "pitch"))
        metadata = config.get("metadata") or {}
        corpora = ", ".join((metadata.get("training") or {}).get("corpora") or {})
        licence = metadata.get("licence") or f"{NOT_STATED}: look at the page of the repository"
    except (KeyError, TypeError, AttributeError) as error:
        raise _not_of_majl(name, repr(error)) from error
    rate, stems = config.get("sample_rate"), config.get("stems")
    if type(rate) is not int or rate <= 0:
        raise _not_of_majl(name, f"its sample_rate is {one_line(repr(rate))[:80]}")
    if not (isinstance(stems, list) and stems and all(isinstance(stem, str) for stem in stems)):
        raise _not_of_majl(name, f"its stems are {one_line(repr(stems))[:80]}")
    title = f"checkpoint of majl: {modules}"
    return Terms(name=name, title=one_line(title), licence=one_line(licence), data=one_line(corpora) or NOT_STATED)


def one_line(text: object) -> str:
    """Without control characters: it comes from anywhere, and goes to a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def _plan(terms: Terms, sources: tuple[Source, ...], *, repin: bool, commit: str = "") -> Plan:
    files, here = [], []
    for source in sources:
        pin = _wanted_pin(source, repin)
        path = _here(source, pin)
        if path is None:
            files.append(_plan_file(terms.name, source, pin, commit))
        else:
            here.append(path)
    return Plan(terms=terms, files=tuple(files), here=tuple(here), repin=repin)


def _here(source: Source, pin: Pin | None) -> Path | None:
    """Where ``source`` lies, if it is what ``pin`` says."""
    path = local_file(source, pin.commit or source.revision) if pin else None
    return path if path and pin and digest_of(path) == pin.sha256 else None


def _plan_file(name: str, source: Source, pin: Pin | None, commit: str = "") -> PlannedFile:
    remote = ask(source, pin.commit if pin else commit)
    expected = pin.bytes if pin else source.bytes
    if expected and remote.bytes and remote.bytes != expected:
        raise HubError(
            f"{source.label}: {remote.bytes} bytes where {expected} are expected: the file was replaced",
            f"look at where it is published; if the new one is right: majl models pull {name} --repin"
            if not (source.sha256 or source.bytes)
            else "nothing was fetched; look for a newer majl, which knows the new file",
        )
    return PlannedFile(remote=remote, pin=pin)


def _wanted_pin(source: Source, repin: bool) -> Pin | None:
    """What a source must be; with ``repin`` only what the registry says."""
    return known_pin(source, {} if repin else read_pins())


def _said_by(pin: Pin | None) -> str:
    if pin is None:
        return ""
    return f"when it was pinned ({pin.day}) it was" if pin.day else "the registry says"


def _not_of_majl(name: str, why: str) -> CheckpointError:
    return CheckpointError(f"{name}: its config.json is not one of majl: {why}", "name another model")
