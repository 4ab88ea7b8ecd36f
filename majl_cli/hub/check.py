"""Are the models that are here what they should be? Digests first, then a strict load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from majl_cli.errors import CheckpointError, HubError, MajlError
from majl_cli.hub.download import digest_of
from majl_cli.hub.find import Found, embedded_models, find_model, local_files, repository_sources
from majl_cli.hub.pins import known_pin, read_pins
from majl_cli.hub.pull import repository_terms
from majl_cli.hub.registry import Entry, Source, entries
from majl_cli.models.checkpoint_config import CONFIG_FILE


@dataclass(frozen=True, kw_only=True)
class Checked:
    """``error`` is None for a model that is as it should be."""

    name: str
    files: tuple[Path, ...]
    error: MajlError | None


def models_here() -> list[str]:
    """Embedded models, registry entries of which any file is here, and such repositories with pins."""
    short = [name for name, entry in entries().items() if any(local_files(entry.sources))]
    fetched = [name for name in fetched_repositories() if any(local_files(repository_sources(name) or ()))]
    return [*embedded_models(), *short, *fetched]


def fetched_repositories() -> list[str]:
    """``owner/repo[@revision]`` of the checkpoints fetched from the Hub."""
    ending = f"/{CONFIG_FILE}"
    names = {label.removesuffix(ending).removesuffix("@main") for label in read_pins() if label.endswith(ending)}
    return sorted(name for name in names if repository_sources(name) is not None)


def check_model(name: str) -> Checked:
    """Hash and load ``name``; what is wrong is in the result."""
    files: tuple[Path, ...] = ()
    try:
        found = find_model(name)
        sources = _sources(found)
        files = found.files or tuple(sorted(found.folder.glob("*.*")) if found.folder else ())
        _check_digests(name, sources)
        _load(found)
    except MajlError as error:
        return Checked(name=name, files=files, error=error)
    return Checked(name=name, files=files, error=None)


def _sources(found: Found) -> tuple[Source, ...]:
    """Those with a digest to compare with; an embedded model and a folder have none."""
    if found.entry is not None:
        return found.entry.sources
    return repository_sources(found.name) or () if found.name not in embedded_models() else ()


def _check_digests(name: str, sources: tuple[Source, ...]) -> None:
    pins = read_pins()
    for source, path in zip(sources, local_files(sources), strict=True):
        pin = known_pin(source, pins)
        if path is None or pin is None:
            continue
        digest = digest_of(path)
        if digest != pin.sha256:
            message = f"{path}: SHA-256 is {digest}, where {pin.sha256} is expected: damaged or replaced"
            raise HubError(message, f"majl models pull {name} fetches it again")


def _load(found: Found) -> None:
    from majl_cli.hub.assemble import load_module

    if found.folder is not None:
        repository_terms(found.name, found.folder)
        load_module(found, "separation")
        return
    assert isinstance(found.entry, Entry)
    module, *_ = load_module(found, found.entry.task)
    own = tuple(getattr(module, "stems", ()))
    if own != found.entry.stems or module.sample_rate != found.entry.sample_rate:
        message = f"{found.name}: the module gives {', '.join(own) or 'pitch'} at {module.sample_rate} Hz"
        raise CheckpointError(message, "its entry in the registry says otherwise: correct that")
