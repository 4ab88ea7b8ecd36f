"""A joint model from what a name stands for: a checkpoint, or modules of two models joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majl_cli.errors import CheckpointError, ConfigError
from majl_cli.hub.find import DEFAULT_MODEL, Found, Parts, find_parts
from majl_cli.hub.foreign import read_weights
from majl_cli.hub.registry import Entry
from majl_cli.models.checkpoint import CheckpointInfo, load_checkpoint, load_strictly
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation, describe_module
from majl_cli.models.separation.htdemucs import options_from_metadata

# Architectures whose files say in their metadata how they are built.
OPTIONS_IN_METADATA: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {"htdemucs": options_from_metadata}


def load_joint(name: str = DEFAULT_MODEL) -> tuple[JointModel, CheckpointInfo]:
    """The model ``name``, in any form that ``find_parts`` knows, in evaluation mode. Raises MajlError."""
    parts = find_parts(name)
    if parts.is_whole:
        assert parts.separation.folder is not None
        joint, info = load_checkpoint(parts.separation.folder, fetched=parts.separation.fetched)
        return joint, replace(info, name=parts.name)
    return _join(parts)


def load_module(found: Found, task: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Its module for ``task``, what describes that, and its metadata. Raises MajlError."""
    if found.folder is not None:
        joint, info = load_checkpoint(found.folder, fetched=found.fetched)
        return getattr(joint, task), info.architecture[task], info.metadata
    assert found.entry is not None
    entry = found.entry
    with _foreign_errors_explained(entry):
        tensors, metadata = _read(found.files, entry)
        read_options = OPTIONS_IN_METADATA.get(entry.architecture)
        options = {**(read_options(metadata) if read_options else {}), **entry.options}
        build = build_separation if task == "separation" else build_pitch
        module: SeparationModule | PitchModule = build(entry.architecture, options)
        weights = module.convert_weights(tensors)
    load_strictly(module, weights, what=entry.name, hint="run majl models check; if it finds nothing, update majl")
    return module, describe_module(entry.architecture, module), _entry_metadata(entry)


def _join(parts: Parts) -> tuple[JointModel, CheckpointInfo]:
    separation, described_separation, separation_metadata = load_module(parts.separation, "separation")
    pitch, described_pitch, pitch_metadata = load_module(parts.pitch, "pitch")
    target = parts.separation.stems.target
    joint = JointModel(separation, pitch, target=target)
    info = CheckpointInfo(
        name=parts.name,
        folder=parts.separation.folder or parts.separation.files[0].parent,
        architecture={"separation": described_separation, "pitch": described_pitch, "target": target},
        metadata=_joined_metadata(parts, separation_metadata, pitch_metadata),
        default_stems=parts.separation.stems.preferred,
    )
    return joint.eval(), info


def _read(files: tuple[Path, ...], entry: Entry) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a model, floating-point ones as float32, those of a stem's own file as ``stem.name``; metadata."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for path, source in zip(files, entry.sources, strict=True):
        prefix = f"{source.stem}." if source.stem else ""
        content, said = read_weights(path)
        metadata |= said
        for name, tensor in content.items():
            tensors[prefix + name] = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
    return tensors, metadata


def _entry_metadata(entry: Entry) -> dict[str, Any]:
    return {"licence": entry.terms, "data": entry.data, "trained_on": list(entry.trained_on)}


def _joined_metadata(parts: Parts, separation: Mapping[str, Any], pitch: Mapping[str, Any]) -> dict[str, Any]:
    """Licences and corpora of both: whoever judges the pair must know what taught either. ``parts`` holds the rest."""
    named = {"separation": (parts.separation.name, separation), "pitch": (parts.pitch.name, pitch)}
    halves = {task: {"model": name, **metadata} for task, (name, metadata) in named.items()}
    corpora = {**separation.get("training", {}).get("corpora", {}), **pitch.get("training", {}).get("corpora", {})}
    trained_on = dict.fromkeys((*separation.get("trained_on", ()), *pitch.get("trained_on", ())))
    return {
        "licence": "; ".join(f"{half['model']}: {half.get('licence', 'not stated')}" for half in halves.values()),
        "training": {"corpora": corpora},
        "trained_on": list(trained_on),
        "parts": halves,
    }


@contextmanager
def _foreign_errors_explained(entry: Entry) -> Iterator[None]:
    """A registry that this majl cannot follow, and weights that a conversion does not know, as CheckpointErrors."""
    try:
        yield
    except ConfigError as error:
        raise CheckpointError(f"{entry.name}: {error.message}", error.hint) from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        message = f"{entry.name}: its weights are not what {entry.architecture} has: {error!r}"
        raise CheckpointError(message, "run majl models check; if it finds nothing, update majl") from error
