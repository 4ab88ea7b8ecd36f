"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from majl_cli.errors import UsageError
from majl_cli.project import FILE_NAME, FilterSettings, find_project

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Audio files, folders (with everything below them) or quoted patterns such as '*.mp3'.",
        show_default=False,
    ),
]
SkipExistingOption = Annotated[
    bool,
    typer.Option(
        "--skip-existing/--overwrite",
        help="Leave out tracks whose files are all there already, or do them again.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON object; messages go to stderr."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="Name of an embedded or fetched model (see majl models), a checkpoint folder, or A+B: the separation of "
        "one with the pitch of another.",
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes the fastest there is.")]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="Number format; auto takes the fastest that will do."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads.", show_default="all cores"),
]
ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="FILE",
        help="Project file, or its folder.",
        show_default="majl.toml here or in a folder above",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="CORPUS=FOLDER",
        help="mir-1k, musdb18, mir-st500, medleydb, ikala, ultrastar or stems, and its folder; or synth=FILE, for "
        "pieces made while training. May be repeated.",
    ),
]
ManifestOption = Annotated[
    list[Path] | None,
    typer.Option("--manifest", metavar="FILE", help="A manifest (JSON Lines). May be repeated."),
]


def threshold_of(text: str) -> float | None:
    """A threshold as it is written on the command line; None for auto. Raises UsageError."""
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"--th {text}: not a confidence", "use a value from 0 to 1, or auto")
    return value


def filter_settings(pseudo: Path | None, project: Path | None) -> tuple[Path, FilterSettings]:
    """The folder of the pseudo-labels, and how a project wants them filtered. Raises UsageError without a folder."""
    found = find_project(project)
    if pseudo is None and found is None:
        raise UsageError(
            f"no pseudo-labels: neither a folder nor a {FILE_NAME} here or above",
            "name the folder that majl pseudolabel has written, or start with majl init",
        )
    if found is None:
        assert pseudo is not None
        return pseudo, FilterSettings()
    return pseudo or found.pseudolabels, found.filter
