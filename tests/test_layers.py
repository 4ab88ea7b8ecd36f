"""Imports go down only, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import majl_cli

PACKAGE = Path(majl_cli.__file__).parent
LAYERS = [
    {"cli"},
    {"experiments"},
    {"training", "pseudolabel", "report"},
    {"evaluation"},
    {"inference", "hub"},
    {"models", "data", "metrics"},
    {"audio", "convert", "device", "resample"},
    {"project"},
    {"config"},
    {"files", "containers"},
    {"errors"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imported_rooms(path: Path) -> set[str]:
    """Rooms of majl_cli that a file imports, inside functions too."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.module != "majl_cli" else [f"majl_cli.{a.name}" for a in node.names]
            assert node.level == 0, f"{path}: relative import"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("majl_cli.")}
    return rooms


def test_imports_go_down_only() -> None:
    checked = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for other in imported_rooms(path) - {room}:
            if other not in RANK:
                continue  # a public name of the package itself
            assert RANK[room] < RANK[other], f"{path.relative_to(PACKAGE)} imports {other}"
            checked += 1
    assert checked > 20


def test_every_room_has_a_layer() -> None:
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} <= set(RANK)


def test_command_line_starts_without_torch() -> None:
    code = "import majl_cli.cli.app, sys; print(sorted({'torch', 'librosa', 'scipy', 'accelerate'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
