"""Configuration of a run: preset or TOML file, then manifests and --set on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from majl_cli.config import build, override, read_toml
from majl_cli.errors import ConfigError

T = TypeVar("T")
PRESETS = Path(__file__).parent.parent / "presets"


def resolve_config(cls: type[T], name: str | None, assignments: Iterable[str], *, manifests: Sequence[Path] = ()) -> T:
    """An instance of ``cls``: from the preset or TOML file ``name`` (None: all defaults), ``manifests`` added to
    its data section, then the assignments. Paths in a file are relative to that file. Raises ConfigError."""
    values = {}
    if name is not None:
        path = Path(name)
        known = sorted(p.stem for p in PRESETS.glob("*.toml"))
        if name in known:
            path = PRESETS / f"{name}.toml"
        elif not path.exists():
            raise ConfigError(f"{name}: no such file or preset", f"presets: {', '.join(known)}; or give a TOML file")
        values = read_toml(path)
        listed = values.get("data", {}).get("manifests", [])
        if listed:
            values["data"]["manifests"] = [str(path.parent / item) for item in listed]
    if manifests:
        data = values.setdefault("data", {})
        data["manifests"] = [*data.get("manifests", []), *(str(path) for path in manifests)]
    return build(cls, override(values, assignments))
