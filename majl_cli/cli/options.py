"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
    typer.Option("--model", help="Name of an embedded model, or a checkpoint folder."),
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
        help="mir-1k, musdb18, mir-st500, medleydb, ikala, ultrastar or stems, and its folder. May be repeated.",
    ),
]
ManifestOption = Annotated[
    list[Path] | None,
    typer.Option("--manifest", metavar="FILE", help="A manifest (JSON Lines). May be repeated."),
]
