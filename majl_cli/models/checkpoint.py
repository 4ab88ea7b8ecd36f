"""A model on disk: a folder with ``config.json`` and ``model.safetensors``. Nothing is ever unpickled.

Writing is atomic: a temporary folder beside the target, flushed, then renamed. Loading is strict.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from majl_cli.errors import CheckpointError, ConfigError
from majl_cli.files import aside_path
from majl_cli.models.checkpoint_config import CONFIG_FILE, FORMAT_VERSION, WEIGHTS_FILE, read_config
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_joint, describe_module


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """What ``config.json`` says beside the architecture: ``metadata`` holds training summary, licence words, scores.

    ``default_stems`` are those written where none are asked for; empty: the usual ones.
    """

    name: str
    folder: Path
    architecture: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    default_stems: tuple[str, ...] = ()


def save_checkpoint(
    folder: Path,
    joint: JointModel,
    *,
    separation: str,
    pitch: str,
    metadata: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write ``joint``, whose modules are registered as ``separation`` and ``pitch``, to ``folder``.

    ``half`` stores float16 weights (batch-norm statistics stay float32). An existing checkpoint is replaced whole.
    """
    config = {
        "format_version": FORMAT_VERSION,
        "architecture": {
            "separation": describe_module(separation, joint.separation),
            "pitch": describe_module(pitch, joint.pitch),
            "target": joint.target,
        },
        "sample_rate": joint.separation.sample_rate,
        "stems": list(joint.separation.stems),
        "metadata": dict(metadata or {}),
    }
    tensors = {name: _stored(name, tensor, half) for name, tensor in joint.state_dict().items()}
    aside = aside_path(folder)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        save_file(tensors, aside / WEIGHTS_FILE)
        (aside / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        # safetensors makes its file readable by the owner alone, whatever the umask says.
        (aside / WEIGHTS_FILE).chmod((aside / CONFIG_FILE).stat().st_mode)
        for path in sorted(aside.iterdir()):
            _flush(path)
        _swap(aside, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{folder}: cannot be written: {reason}", "free some space or choose another") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_checkpoint(folder: Path, *, fetched: bool = False) -> tuple[JointModel, CheckpointInfo]:
    """The joint model in evaluation mode and what its config says. Raises CheckpointError.

    Of a ``fetched`` checkpoint only registered modules are built: a stranger's config.json has nothing imported.
    """
    config = read_config(folder)
    joint = _build(folder, config["architecture"], fetched)
    weights = folder / WEIGHTS_FILE
    try:
        tensors = load_file(weights)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no {WEIGHTS_FILE}", "the folder is incomplete: copy it again") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights}: damaged or not safetensors: {error}", "copy or download it again") from error
    load_strictly(joint, tensors, what=str(folder), hint="use the config.json the weights were saved with")
    info = CheckpointInfo(
        name=folder.name,
        folder=folder,
        architecture=config["architecture"],
        metadata=config.get("metadata", {}),
    )
    return joint.eval(), info


def set_voicing_threshold(folder: Path, threshold: float, *, calibration: Mapping[str, Any]) -> None:
    """Let the checkpoint in ``folder`` call frames voiced from ``threshold`` on, and keep in its metadata under
    "calibration" how that was chosen. Its weights are not touched, ``config.json`` is replaced whole.

    Raises CheckpointError if its pitch module has no such option, or the file cannot be written. ``folder`` must be
    one that can be loaded.
    """
    config = read_config(folder)
    pitch = config["architecture"]["pitch"]
    pitch["options"]["voicing_threshold"] = threshold
    try:
        heeded = build_joint(config["architecture"]).pitch.voicing_threshold == threshold
    except ConfigError:
        heeded = False
    if not heeded:
        hint = "have the module take that option and keep it, or give majl pitch --threshold"
        raise CheckpointError(f"{folder}: its pitch module {pitch['name']} has no option voicing_threshold", hint)
    config["metadata"] = {**(config.get("metadata") or {}), "calibration": dict(calibration)}
    path = folder / CONFIG_FILE
    aside = aside_path(path)
    try:
        aside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        _flush(aside)
        aside.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written: {error.strerror}", "copy the checkpoint elsewhere"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def load_strictly(module: nn.Module, weights: Mapping[str, Tensor], *, what: str, hint: str) -> None:
    """Give ``module`` the ``weights`` of ``what``, cast to its types. Raises CheckpointError unless all fit."""
    expected = module.state_dict()
    wrong = sorted(expected.keys() ^ weights.keys())
    wrong += [name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape]
    if wrong:
        message = f"{what}: weights and architecture do not agree, first at {wrong[0]!r} ({len(wrong)} in all)"
        raise CheckpointError(message, hint)
    module.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in weights.items()})


def _build(folder: Path, architecture: Any, fetched: bool) -> JointModel:
    try:
        named = [architecture[task]["name"] for task in ("separation", "pitch")]
        foreign = [name for name in named if ":" in name]
        if fetched and foreign:
            raise CheckpointError(
                f"{folder}: names code of its own, {foreign[0]!r}; that is loaded from folders of your own only",
                "look at that code; if you trust it, copy the files of the repository to a folder, and name that",
            )
        return build_joint(architecture)
    except ConfigError as error:
        message = f"{folder}: its architecture is not one this majl can build: {error.message}"
        raise CheckpointError(message, "update majl, or copy the checkpoint again") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: architecture not readable: {error!r}", "copy the checkpoint again") from error


def _stored(name: str, tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    statistics = name.endswith(("running_mean", "running_var"))
    return tensor.half() if half and tensor.dtype == torch.float32 and not statistics else tensor


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _swap(aside: Path, folder: Path) -> None:
    """Put ``aside`` in the place of ``folder``; the old one goes only after the new one is there."""
    old = folder.with_name(f".{folder.name}.old-majl-{os.getpid()}")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
