"""The folder of a pseudo-labelling: the names of what is in it, and how arrays get there whole.

``settings.json`` says which model it belongs to; ``results.jsonl`` has one line for each finished track, written when
the track's files are in their places; ``tracks/`` has those files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from majl_cli.inference.outputs import written_aside

SETTINGS_FILE, RESULTS_FILE, MANIFEST_FILE = "settings.json", "results.jsonl", "manifest.jsonl"
KIND_OF_LABELS = {"mss": "pitch", "pe": "stems"}  # which label a model adds


def write_arrays(path: Path, **arrays: Any) -> None:
    """An NPZ file, whole or not at all; its folder is made."""
    with written_aside(path) as file:
        np.savez_compressed(file, **arrays)


def write_columns(path: Path, header: str, *columns: Any) -> None:
    """A CSV of ``time,value``, ... whole or not at all: microseconds, then five decimals."""
    rows = (
        ",".join([f"{time:.6f}", *(f"{value:.5f}" for value in rest)]) for time, *rest in zip(*columns, strict=True)
    )
    with written_aside(path) as file:
        file.write("\n".join([header, *rows, ""]).encode("ascii"))
