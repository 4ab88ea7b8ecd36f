"""Configuration of a run: preset or TOML file, then manifests and --set on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from majl_cli.config import build, override, read_toml
from majl_cli.errors import ConfigError

T = TypeVar("T")
PRESETS = Path(__file__).parent.parent / "presets"


def resolve_config(
    cls: type[T],
    name: str | None,
    assignments: Iterable[str],
    *,
    manifests: Sequence[Path] = (),
    folders: Sequence[str] = (),
) -> T:
    """An instance of ``cls``: from the preset or TOML file ``name`` (None: all defaults), ``manifests`` and ``folders``
    (``corpus=folder``) added to its data section, then the assignments. Paths in a file are relative to that file;
    the result has absolute ones. Raises ConfigError."""
    values = {}
    if name is not None:
        path = Path(name)
        known = sorted(p.stem for p in PRESETS.glob("*.toml"))
        if name in known:
            path = PRESETS / f"{name}.toml"
        elif not path.exists():
            raise ConfigError(f"{name}: no such file or preset", f"presets: {', '.join(known)}; or give a TOML file")
        values = read_toml(path)
        data = values.get("data", {})
        for key, absolute in (("manifests", _absolute), ("folders", _absolute_folder)):
            if isinstance(data, dict) and key in data:
                data[key] = [absolute(str(item), path.parent) for item in data[key]]
    data = values.setdefault("data", {})
    if manifests:
        data["manifests"] = [*data.get("manifests", []), *(_absolute(str(path), Path()) for path in manifests)]
    if folders:
        data["folders"] = [*data.get("folders", []), *(_absolute_folder(item, Path()) for item in folders)]
    return build(cls, override(values, assignments))


def _absolute(item: str, base: Path) -> str:
    return str((base / item).resolve())


def _absolute_folder(item: str, base: Path) -> str:
    """``corpus=folder`` with the folder made absolute; without a sign as it is, for the error that names it."""
    corpus, sign, folder = item.partition("=")
    return f"{corpus}={_absolute(folder, base)}" if sign else item
