"""Find a checkpoint by name: an embedded model, or a folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from majl_cli.errors import CheckpointError

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "majl-base"


def embedded_models() -> list[str]:
    """Names of the models that came with this installation."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def find_checkpoint(name: str = DEFAULT_MODEL) -> Path:
    """The folder of the embedded model ``name``, or ``name`` itself if it is a folder. Raises CheckpointError."""
    known = embedded_models()
    if name in known:
        return WEIGHTS / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        # A run folder stands for its best checkpoint.
        return folder / "best" if (folder / "best" / "config.json").exists() else folder
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"give a checkpoint folder, or one of: {', '.join(known) or 'none'}"
    raise CheckpointError(f"no model {name!r}", hint)
