"""``majl train-stage1``: train separation and pitch jointly on labelled tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from majl_cli.cli.options import DataOption, DeviceOption, JsonOption, ManifestOption, ProjectOption, QuietOption
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


def train_stage1(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Run folder. Started again on it, training goes on.",
            show_default="stage1 in the project's runs",
        ),
    ] = None,
    project: ProjectOption = None,
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
    """Train the joint model on fully labelled tracks (Stage I).

    In a project (majl init) no option is needed: corpora, settings and run folder are those of its majl.toml.
    Tracks have stems and pitch; with --set data.buckets={} partly labelled ones take part with what they have.
    The best weights on the validation tracks are kept in OUT/best, ready for majl separate --model OUT.
    """
    run_stage(
        1,
        Given(
            out=out,
            project=find_project(project),
            config=config,
            manifests=manifest or [],
            folders=data or [],
            assignments=[*(set_ or []), *flags(device=device, seed=seed, tensorboard=tensorboard)],
            threads=threads,
            dry_run=dry_run,
            json=json,
            quiet=quiet,
        ),
    )
