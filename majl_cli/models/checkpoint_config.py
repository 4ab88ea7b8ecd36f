"""``config.json`` of a checkpoint: readable without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from majl_cli.errors import CheckpointError, ConfigError
from majl_cli.models.stems import StemNames

FORMAT_VERSION = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    """What the checkpoint in ``folder`` says of itself. Raises CheckpointError."""
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no {CONFIG_FILE}, so not a majl model", "give a checkpoint folder") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}", "copy the checkpoint again") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version}, this majl reads {FORMAT_VERSION}", "update majl, or export it again"
        )
    if "architecture" not in config:
        raise CheckpointError(f"{path}: no architecture", "copy the checkpoint again")
    return config


def read_stems(folder: Path) -> StemNames:
    """The stems that the model in ``folder`` gives. Raises CheckpointError."""
    config = read_config(folder)
    stems, architecture = config.get("stems"), config["architecture"]
    if not (isinstance(stems, list) and stems and isinstance(architecture, dict)):
        raise CheckpointError(f"{folder / CONFIG_FILE}: does not name its stems", "copy the checkpoint again")
    try:
        return StemNames(estimated=tuple(map(str, stems)), target=str(architecture.get("target", "vocals")))
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error.message}", error.hint) from error
