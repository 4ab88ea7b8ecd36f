"""``majl train-stage2``: train on fully labelled and pseudo-labelled tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.kept import kept_pseudo_labels
from majl_cli.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ManifestOption,
    ProjectOption,
    QuietOption,
)
from majl_cli.cli.training import (
    ConfigOption,
    DryRunOption,
    Given,
    SeedOption,
    SetOption,
    TensorboardOption,
    ThreadsOption,
    flags,
    run_stage,
)
from majl_cli.project import find_project


def train_stage2(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Run folder. Started again on it, training goes on.",
            show_default="stage2 in the project's runs",
        ),
    ] = None,
    project: ProjectOption = None,
    pseudo: Annotated[
        Path | None,
        typer.Option(
            "--pseudo", help="Folder that majl pseudolabel has written.", show_default="the project's pseudo-labels"
        ),
    ] = None,
    th: Annotated[
        str | None,
        typer.Option(
            "--th",
            metavar="TH|auto",
            help="Filter the pseudo-labels at this confidence, unless that is done already.",
            show_default="as filtered before; else the project's, or 0.7",
        ),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", help="Run folder or checkpoint to fine-tune.", show_default="from scratch")
    ] = None,
    data: DataOption = None,
    manifest: ManifestOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seed: SeedOption = None,
    tensorboard: TensorboardOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the joint model on fully labelled and pseudo-labelled tracks (Stage II), from scratch.

    In a project (majl init) no option is needed. Pseudo-labels that are not filtered yet, or at another threshold, are
    filtered first. With --config alone, the tracks are those of its manifests, as they are. A --manifest with
    pseudo-labelled tracks takes the place of the project's pseudo-labels.
    """
    found = find_project(project)
    kept = kept_pseudo_labels(
        pseudo=pseudo,
        th=th,
        project=project,
        config=config,
        manifests=manifest or [],
        console=Console(json=False, quiet=json or quiet),
    )
    if init == "stage1" and found is not None:
        init = str(found.stage1_run)
    run_stage(
        2,
        Given(
            out=out,
            project=found,
            config=config,
            manifests=[*kept, *(manifest or [])],
            folders=data or [],
            assignments=[
                *(set_ or []),
                *([_init(init)] if init else []),
                *flags(device=device, seed=seed, tensorboard=tensorboard),
            ],
            threads=threads,
            dry_run=dry_run,
            json=json,
            quiet=quiet,
        ),
    )


def _init(name: str) -> str:
    """The assignment for a checkpoint: a folder by its whole path, so that the run's config.toml means it anywhere."""
    import tomli_w

    folder = Path(name).expanduser()
    return tomli_w.dumps({"init": str(folder.absolute()) if folder.exists() else name}).strip()
