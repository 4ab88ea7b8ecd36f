"""Corpora by name: each function takes the folder and gives its tracks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from majl_cli.data.corpora.mir1k import mir1k
from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.manifest import Track

corpora: dict[str, Callable[[Path], list[Track]]] = {"mir-1k": mir1k, "stems": stems_folder}
