"""Configuration of a run, in layers: preset, project, TOML file, then data and --set from the command line on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from majl_cli.config import build, check_keys, merge, override, read_toml, to_dict
from majl_cli.errors import ConfigError
from majl_cli.project import Project, StageNumber, absolute_data

T = TypeVar("T")
PRESETS = Path(__file__).parent.parent / "presets"


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def resolve_config(
    cls: type[T],
    name: str | None,
    assignments: Iterable[str],
    *,
    manifests: Sequence[Path] = (),
    folders: Sequence[str] = (),
    project: Project | None = None,
    stage: StageNumber = 1,
) -> T:
    """An instance of ``cls``, from the lowest layer to the highest: its defaults; the preset of ``project``, but only
    without ``name``; the project's settings of both stages, then of ``stage``; the preset or TOML file ``name``;
    ``manifests`` and ``folders`` (``corpus=folder``), added to the data section; the assignments.

    A table of module options or weights in the file ``name`` replaces the project's, so that the ``config.toml`` of a
    run repeats that run in any project. Paths in a file are relative to that file; the result has absolute ones.
    Raises ConfigError.
    """
    # The modules are named from the start: options given without a name go with the module they were for.
    values: dict[str, Any] = {"model": to_dict(cls())["model"]}
    if project is not None:
        preset, settings = project.stage_settings(stage)
        _check_project(cls, project, stage)
        if name is None and preset is not None:
            values = merge(values, _read_settings(preset))
        values = merge(values, settings)
    if name is not None:
        values = merge(values, _read_settings(name), cls)
    added = {"manifests": [str(path) for path in manifests], "folders": list(folders)}
    data = values.setdefault("data", {})
    for key, items in absolute_data(added, Path()).items():
        if items and isinstance(data, dict) and isinstance(data.setdefault(key, []), list):
            data[key] = list(dict.fromkeys([*data[key], *items]))
    return build(cls, override(values, assignments))


def _read_settings(name: str) -> dict[str, Any]:
    """The settings of a preset or TOML file, with absolute paths."""
    known = preset_names()
    path = PRESETS / f"{name}.toml" if name in known else Path(name)
    if not path.exists():
        raise ConfigError(f"{name}: no such file or preset", f"presets: {', '.join(known)}; or give a TOML file")
    values = read_toml(path)
    if isinstance(values.get("data"), dict):
        values["data"] = absolute_data(values["data"], path.parent)
    return values


def _check_project(cls: type, project: Project, stage: StageNumber) -> None:
    """Keys that ``cls`` does not have, named as they are in the project file."""
    for section, table in project.tables(stage).items():
        try:
            check_keys(cls, table, section=section)
        except ConfigError as error:
            raise ConfigError(f"{project.file}: {error.message}", error.hint) from error
