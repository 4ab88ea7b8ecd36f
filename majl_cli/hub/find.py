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
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model on this machine: a checkpoint's ``folder``, or the ``files`` of a registry ``entry``, in the order of its
    sources."""

    name: str
    folder: Path | None = None
    entry: Entry | None = None
    files: tuple[Path, ...] = ()

    @property
    def stems(self) -> StemNames:
        """What can be asked of its separation module. Raises CheckpointError."""
        if self.folder is not None:
            return read_stems(self.folder)
        assert self.entry is not None
        return StemNames(estimated=self.entry.stems)


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


def model_stems(name: str = DEFAULT_MODEL) -> StemNames:
    """The stems that ``name`` gives, known before it is loaded. Raises MajlError for what is not here."""
    return find_parts(name).separation.stems


def find_parts(name: str = DEFAULT_MODEL) -> Parts:
    """Both modules of ``name``; what it lacks comes from the default model. Raises MajlError for what is not here."""
    first, plus, second = name.partition("+")
    if plus and not Path(name).expanduser().exists():
        separation, pitch = find_model(first), find_model(second)
        _check_task(separation, "separation", f"{second}+{first}")
        _check_task(pitch, "pitch", f"{second}+{first}")
        return Parts(name=name, separation=separation, pitch=pitch)
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
    folder = Path(name).expanduser()
    if folder.is_dir():
        # A run folder stands for its best checkpoint.
        folder = folder / "best" if (folder / "best" / CONFIG_FILE).exists() else folder
        return Found(name=folder.name, folder=folder)
    known = entries()
    if name in known:
        return _find_entry(known[name])
    if (sources := repository_sources(name)) is not None:
        return _find_repository(name, sources)
    near = difflib.get_close_matches(name, [*embedded_models(), *known], n=1)
    names = ", ".join(embedded_models()) or "none"
    others = f"give a checkpoint folder, or one of: {names}; majl models list shows more"
    hint = f"did you mean {near[0]}?" if near else others
    raise CheckpointError(f"no model {name!r}", hint)


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
    return Found(name=name, folder=config.parent)


def _check_task(found: Found, task: str, other_way: str) -> None:
    if found.entry is not None and found.entry.task != task:
        message = f"{found.name} has no {task} module"
        raise UsageError(message, f"separation comes first, then pitch: {other_way}")
