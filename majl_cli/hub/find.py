"""What the name of a model stands for on this machine. No torch, and nothing is fetched.

A name is that of an embedded model, a checkpoint folder, ``owner/repo[@revision]`` of the Hub, a short name of the
registry, or two of these as ``A+B``: the separation module of A with the pitch module of B.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from majl_cli.errors import CheckpointError, HubError, UsageError
from majl_cli.hub.download import local_file
from majl_cli.hub.pins import known_pin, read_pins
from majl_cli.hub.registry import Entry, Source, entries
from majl_cli.models.checkpoint_config import CONFIG_FILE, WEIGHTS_FILE, read_stems
from majl_cli.models.stems import StemNames

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "majl-base"
_PAIR = "A+B takes the separation module of A and the pitch module of B"
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model on this machine: a checkpoint's ``folder``, or the ``files`` of a registry ``entry``, in the order of its
    sources. ``fetched``: the folder is a stranger's."""

    name: str
    folder: Path | None = None
    fetched: bool = False
    entry: Entry | None = None
    files: tuple[Path, ...] = ()

    @property
    def stems(self) -> StemNames:
        """What can be asked of its separation module. Raises CheckpointError."""
        if self.folder is not None:
            return read_stems(self.folder)
        assert self.entry is not None
        return self.entry.stem_names()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where the two modules of the model ``name`` come from; of a whole checkpoint both are that one."""

    name: str
    separation: Found
    pitch: Found

    @property
    def is_whole(self) -> bool:
        return self.separation is self.pitch


def embedded_models() -> list[str]:
    """Names of the models that came with this installation."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def find_checkpoint(name: str = DEFAULT_MODEL) -> Path:
    """The folder of the checkpoint ``name``: of an embedded model, a fetched repository, or ``name`` itself.

    Raises MajlError if there is none.
    """
    found = find_model(name)
    if found.folder is None:
        raise CheckpointError(f"{name} is no checkpoint of majl", "give a checkpoint folder, or an embedded model")
    return found.folder


def own_checkpoint(name: str) -> Path:
    """The folder of the checkpoint ``name`` if it is the user's to change: no embedded or fetched model, no pair.

    Raises MajlError if not.
    """
    found = None if name in embedded_models() else find_parts(name)
    if found is None or not found.is_whole or found.pitch.folder is None or found.pitch.fetched:
        raise UsageError(f"{name}: not a checkpoint folder of your own", "copy the model's folder, and give the copy")
    return found.pitch.folder


def model_stems(name: str = DEFAULT_MODEL) -> StemNames:
    """The stems that ``name`` gives, known before it is loaded. Raises MajlError for what is not here."""
    return find_parts(name).separation.stems


def find_parts(name: str = DEFAULT_MODEL) -> Parts:
    """Both modules of ``name``; what it lacks comes from the default model. Raises MajlError for what is not here."""
    if "+" in name and not tasks_of(name):
        first, second = _split(name)
        return Parts(name=name, separation=find_model(first), pitch=find_model(second))
    found = find_model(name)
    if found.entry is None:
        return Parts(name=found.name, separation=found, pitch=found)
    other = find_model(DEFAULT_MODEL)
    if found.entry.task == "separation":
        return Parts(name=f"{name}+{DEFAULT_MODEL}", separation=found, pitch=other)
    return Parts(name=f"{DEFAULT_MODEL}+{name}", separation=other, pitch=found)


def find_model(name: str) -> Found:
    """One model by its name. Raises CheckpointError for an unknown one, HubError for one that is not here."""
    if name in embedded_models():
        return Found(name=name, folder=WEIGHTS / name)
    if (folder := _own_folder(name)) is not None:
        return Found(name=folder.name, folder=folder)
    if name in entries():
        return _find_entry(entries()[name])
    if (sources := repository_sources(name)) is not None:
        return _find_repository(name, sources)
    raise _unknown(name)


def tasks_of(name: str) -> tuple[str, ...]:
    """What the one model ``name`` has modules for, whether it is here or not; none if nobody knows the name."""
    if name in embedded_models() or _own_folder(name) is not None:
        return ("separation", "pitch")
    if (entry := entries().get(name)) is not None:
        return (entry.task,)
    return ("separation", "pitch") if repository_sources(name) is not None else ()


def local_files(sources: tuple[Source, ...]) -> list[Path | None]:
    """Where each lies on this machine, at the commit that is known of it."""
    pins = read_pins()
    found = []
    for source in sources:
        pin = known_pin(source, pins)
        found.append(local_file(source, pin.commit or source.revision) if pin else None)
    return found


def repository_sources(name: str) -> tuple[Source, ...] | None:
    """The files of the checkpoint in the repository ``owner/repo[@revision]``; None if ``name`` is not of that form."""
    match = _REPOSITORY.fullmatch(name)
    if match is None or match["repo"].startswith("."):
        return None
    revision = match["revision"] or "main"
    return tuple(Source(repo=match["repo"], revision=revision, file=file) for file in (CONFIG_FILE, WEIGHTS_FILE))


def size_words(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count else "size not known"


def _find_entry(entry: Entry) -> Found:
    files = local_files(entry.sources)
    here = tuple(path for path in files if path is not None)
    if len(here) < len(files):
        which = "not here yet" if not here else f"here in part ({len(here)} of {len(files)} files)"
        terms = f"{size_words(entry.bytes)}; licence {entry.terms}"
        raise HubError(f"{entry.name} is {which} ({terms})", f"majl models pull {entry.name}")
    return Found(name=entry.name, entry=entry, files=here)


def _find_repository(name: str, sources: tuple[Source, ...]) -> Found:
    config, weights = local_files(sources)
    if config is None or weights is None:
        message = f"no folder {name}, and the repository of that name is not here"
        raise HubError(message, f"check the folder's name; or, of a repository: majl models pull {name}")
    return Found(name=name, folder=config.parent, fetched=True)


def _own_folder(name: str) -> Path | None:
    """The user's folder of that name; with a short name only if a checkpoint lies in it."""
    if not name:
        return None
    folder = Path(name).expanduser()
    # A run folder stands for its best checkpoint.
    if (folder / "best" / CONFIG_FILE).exists():
        return folder / "best"
    is_model = (folder / CONFIG_FILE).exists() or name not in entries()
    return folder if folder.is_dir() and is_model else None


def _split(name: str) -> tuple[str, str]:
    """A and B of ``A+B``, at the plus that leaves two models: names of folders may have one as well. Raises MajlError
    unless A can separate and B can estimate pitch, here or not."""
    splits = [(name[:place], name[place + 1 :]) for place, letter in enumerate(name) if letter == "+"]
    first, second = max(splits, key=lambda parts: sum(bool(tasks_of(part)) for part in parts))
    for part, task in ((first, "separation"), (second, "pitch")):
        if not part:
            raise UsageError(f"{name!r} lacks the name of its {task} model", _PAIR)
        if not tasks_of(part):
            raise _unknown(part)
    for part, task in ((first, "separation"), (second, "pitch")):
        if task not in tasks_of(part):
            swaps = "separation" in tasks_of(second) and "pitch" in tasks_of(first)
            hint = f"separation comes first, then pitch: {second}+{first}" if swaps else _PAIR
            raise UsageError(f"{part} has no {task} module", hint)
    return first, second


def _unknown(name: str) -> CheckpointError:
    near = difflib.get_close_matches(name, [*embedded_models(), *entries()], n=1)
    names = ", ".join(embedded_models()) or "none"
    others = f"give a checkpoint folder, or one of: {names}; majl models list shows more"
    hint = "these may be two models: name one of them" if "+" in name else others
    return CheckpointError(f"no model {name!r}", f"did you mean {near[0]}?" if near else hint)
