"""The project file ``majl.toml``: where a project's corpora and runs are, and the settings of its stages.

Relative paths in it are relative to the folder it lies in. The settings of the stages stay plain tables here: they are
checked when a stage's configuration is built from them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from majl_cli.config import build, merge, read_toml
from majl_cli.errors import ConfigError, UsageError

FILE_NAME = "majl.toml"
StageNumber = Literal[1, 2]


@dataclass(frozen=True, kw_only=True)
class DataPaths:
    """``folders`` are corpora as ``corpus=folder``; all paths are absolute."""

    manifests: tuple[Path, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PseudolabelSettings:
    """``jobs`` tracks are labelled side by side, each in a thread; ``npz`` writes f0 and frequency (Hz), voicing and
    confidence of each frame to a pitch.npz beside the labels."""

    jobs: int = 1
    npz: bool = False

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigError(f"pseudolabel.jobs {self.jobs} is too small", "use 1 or more")


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """``threshold``: pseudo-labels of this confidence or more are kept; "auto" finds the smallest one whose labels
    reach ``precision`` on held-out, fully labelled tracks."""

    threshold: float | str = 0.7
    precision: float = 0.95

    def __post_init__(self) -> None:
        if isinstance(self.threshold, str) and self.threshold != "auto":
            raise ConfigError(f"filter.threshold {self.threshold!r}", 'use a number from 0 to 1, or "auto"')
        for name in ("threshold", "precision"):
            value = getattr(self, name)
            if not isinstance(value, str) and not 0 <= value <= 1:
                raise ConfigError(f"filter.{name} {value}", "use a number from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Each comparison is run with ``seeds`` seeds, on ``budget`` times the steps of the stages."""

    seeds: int = 1
    budget: float = 1.0

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"experiment.seeds {self.seeds} is too small", "use 1 or more")
        if not 0 < self.budget < math.inf:
            raise ConfigError(f"experiment.budget {self.budget} will not do", "use a number above 0")


@dataclass(frozen=True, kw_only=True)
class Project:
    """What a project file says, and where everything of a project is.

    ``train`` holds the settings of both stages: a ``preset`` (a name, or a TOML file) and the tables of a stage's
    configuration; ``stage1`` and ``stage2`` have the same layout and go on top. In ``stage2``, an ``init`` of "stage1"
    means the project's Stage I run.
    """

    folder: Path
    file_name: str = FILE_NAME
    runs: Path
    data: DataPaths = field(default_factory=DataPaths)
    train: dict[str, Any] = field(default_factory=dict)
    stage1: dict[str, Any] = field(default_factory=dict)
    stage2: dict[str, Any] = field(default_factory=dict)
    pseudolabel: PseudolabelSettings = field(default_factory=PseudolabelSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)

    @property
    def file(self) -> Path:
        return self.folder / self.file_name

    @property
    def stage1_run(self) -> Path:
        return self.runs / "stage1"

    @property
    def pseudolabels(self) -> Path:
        return self.runs / "pseudolabels"

    @property
    def stage2_run(self) -> Path:
        return self.runs / "stage2"

    @property
    def experiments(self) -> Path:
        return self.runs / "experiments"

    def tables(self, stage: StageNumber) -> dict[str, dict[str, Any]]:
        """The tables of the file that hold settings of a stage, by name, lowest first, without the preset."""
        tables = {"train": self.train, f"stage{stage}": self.stage1 if stage == 1 else self.stage2}
        return {name: {k: v for k, v in table.items() if k != "preset"} for name, table in tables.items()}

    def stage_settings(self, stage: StageNumber) -> tuple[str | None, dict[str, Any]]:
        """The preset of a stage (None: none), and its settings, the project's data among them."""
        top = self.stage1 if stage == 1 else self.stage2
        data = {"manifests": [str(path) for path in self.data.manifests], "folders": list(self.data.folders)}
        settings = {"data": {key: paths for key, paths in data.items() if paths}}
        for table in self.tables(stage).values():
            settings = merge(settings, table)
        return top.get("preset", self.train.get("preset")), settings


def find_project(path: Path | None = None) -> Project | None:
    """The project of a file or folder; without one, of the working directory or the nearest folder above it that has
    a majl.toml. None if there is none. Raises ConfigError."""
    if path is not None:
        return read_project(path / FILE_NAME if path.is_dir() else path)
    here = Path.cwd()
    found = (folder / FILE_NAME for folder in (here, *here.parents))
    return next((read_project(path) for path in found if path.is_file()), None)


def read_project(path: Path) -> Project:
    """The project of the file ``path``. Raises ConfigError naming the file."""
    return project_from(read_toml(path), path)


def project_from(values: Mapping[str, Any], path: Path) -> Project:
    """The project that the tables ``values`` of the file ``path`` describe. Raises ConfigError naming the file."""
    path = Path(os.path.normpath(path.absolute()))
    try:
        layout = build(_Layout, values)
        tables = {name: _stage_table(getattr(layout, name), name, path.parent) for name in _STAGE_TABLES}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error
    data = absolute_data({"manifests": list(layout.data.manifests), "folders": layout.data.folders}, path.parent)
    project = Project(
        folder=path.parent,
        file_name=path.name,
        runs=Path(_absolute(layout.runs, path.parent)),
        data=DataPaths(manifests=tuple(map(Path, data["manifests"])), folders=tuple(data["folders"])),
        pseudolabel=layout.pseudolabel,
        filter=layout.filter,
        experiment=layout.experiment,
        **tables,
    )
    init = project.stage2.get("init")
    if not isinstance(init, str):
        return project
    return replace(project, stage2={**project.stage2, "init": _absolute_init(init, project)})


def absolute_data(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A data section with its ``manifests`` and ``folders`` made absolute.

    Folders are a list of ``corpus=folder`` or a table of ``corpus = folder`` (or of lists of folders); the result is
    the list. What is neither stays as it is, for the error that names it.
    """
    result = dict(data)
    folders = data.get("folders")
    if isinstance(folders, Mapping):
        folders = [
            f"{corpus}={item}"
            for corpus, items in folders.items()
            for item in (items if isinstance(items, list) else [items])
        ]
    if isinstance(folders, list):
        result["folders"] = [_absolute_folder(str(item), base) for item in folders]
    if isinstance(data.get("manifests"), list):
        result["manifests"] = [_absolute(str(item), base) for item in data["manifests"]]
    return result


def stage_run(out: Path | None, project: Project | None, stage: StageNumber) -> Path:
    """The run folder of a stage: ``out`` where it is given, else the project's. Raises UsageError without either."""
    if out is not None:
        return out
    if project is None:
        raise UsageError(
            f"no run folder: neither --out nor a {FILE_NAME} here or above",
            "give --out FOLDER, or start with majl init",
        )
    return project.stage1_run if stage == 1 else project.stage2_run


@dataclass(frozen=True, kw_only=True)
class _DataLayout:
    manifests: tuple[str, ...] = ()
    folders: dict[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The project file as it is written."""

    runs: str = "runs"
    data: _DataLayout = field(default_factory=_DataLayout)
    train: dict[str, Any] = field(default_factory=dict)
    stage1: dict[str, Any] = field(default_factory=dict)
    stage2: dict[str, Any] = field(default_factory=dict)
    pseudolabel: PseudolabelSettings = field(default_factory=PseudolabelSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)


_STAGE_TABLES = ("train", "stage1", "stage2")


def _stage_table(table: Mapping[str, Any], name: str, base: Path) -> dict[str, Any]:
    result = dict(table)
    preset = table.get("preset", "")
    if not isinstance(preset, str):
        raise ConfigError(f"{name}.preset {preset!r} is no name", "give the name of a preset, or a TOML file")
    if preset.endswith(".toml"):
        result["preset"] = _absolute(preset, base)
    if isinstance(table.get("data"), Mapping):
        result["data"] = absolute_data(table["data"], base)
    return result


def _absolute(item: str, base: Path) -> str:
    path = Path(item).expanduser() if item.startswith("~/") else Path(item)
    return str((base / path).resolve())


def _absolute_init(init: str, project: Project) -> str:
    """The checkpoint to fine-tune: "stage1" is the project's run; what is a path, or names a folder beside the file,
    becomes absolute; other names, such as that of an embedded model, stay."""
    if init == "stage1":
        return str(project.stage1_run)
    path = _absolute(init, project.folder)
    return path if init and (len(Path(init).parts) > 1 or Path(path).is_dir()) else init


def _absolute_folder(item: str, base: Path) -> str:
    """``corpus=folder`` with the folder made absolute; without a sign as it is, for the error that names it."""
    corpus, sign, folder = item.partition("=")
    return f"{corpus}={_absolute(folder, base)}" if sign else item
