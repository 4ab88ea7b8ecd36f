"""``majl evaluate``: models, baselines and other tools' estimates scored on a corpus."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from majl_cli.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ManifestOption,
    PrecisionOption,
    ProjectOption,
    QuietOption,
    ThreadsOption,
)


def evaluate(
    context: typer.Context,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="NAME", help="Score on all sets of a suite: dev. Writes the table of a card."),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option("--recordings", metavar="DIR", help="Of a suite: the folder of recordings with its index.csv."),
    ] = None,
    project: ProjectOption = None,
    data: DataOption = None,
    manifest: ManifestOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Embedded model, run or checkpoint folder. May be repeated.",
            show_default="the project's last stage, or majl-base",
        ),
    ] = None,
    estimates: Annotated[
        list[str] | None,
        typer.Option(
            "--estimates", metavar="[NAME=]DIR", help="Stems or f0 files that any tool wrote. May be repeated."
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="mixture, irm, icm, nn-filter, pyin, torchcrepe-tiny, torchcrepe-full, pesto, swift-f0 or fcpe. "
            "May be repeated.",
        ),
    ] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option(
            "--trained-on", metavar="CORPUS[/SPLIT]", help="What the estimates' tool was trained on. May be repeated."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="mir-1k-175-825, mir-1k-singer-disjoint, musdb18-test, mir-st500-test or folder.",
            show_default="the corpus's",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="NAME", help="Another split than the protocol's, or all.", show_default="the protocol's"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only so many tracks, spread evenly.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="Some of energy,v3,v4,pitch,notes, with commas.",
            show_default="the protocol's",
        ),
    ] = None,
    stems: Annotated[
        str | None,
        typer.Option(
            "--stems", metavar="NAMES", help="Stems to compare, with commas.", show_default="vocals,accompaniment"
        ),
    ] = None,
    snr_db: Annotated[
        float | None,
        typer.Option(
            "--snr-db", metavar="DB", help="Mix vocals and accompaniment at so many dB.", show_default="the protocol's"
        ),
    ] = None,
    inputs: Annotated[
        str,
        typer.Option(
            "--inputs",
            metavar="NAMES",
            help="Where the melody is looked for: mixture, vocals (the clean stem), or both.",
        ),
    ] = "mixture,vocals",
    f0_threshold: Annotated[
        float | None,
        typer.Option(
            "--f0-threshold",
            metavar="X",
            min=0.0,
            max=1.0,
            help="Confidence from which a frame is voiced, for f0 files that do not say.",
            show_default="wherever there is a frequency",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for results. Started again on it, the work goes on.",
            show_default="evaluation/PROTOCOL or evaluation/SUITE",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Paired differences between two estimators: their names here, or folders of results.",
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option("--worst", metavar="N", min=0, help="How many of the worst tracks the report shows.")
    ] = 5,
    with_audio: Annotated[bool, typer.Option("--with-audio", help="Put audio players into the report.")] = False,
    keep_estimates: Annotated[bool, typer.Option("--keep-estimates", help="Keep the stems that were scored.")] = False,
    write_mixtures: Annotated[
        Path | None,
        typer.Option(
            "--write-mixtures",
            metavar="DIR",
            help="Only write the mixtures as WAV files, for other tools to work on.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Tracks scored side by side.")] = 1,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score models, baselines and other tools' output on a corpus, with a report, or on the sets of a suite.

    Writes OUT/report.html, summary.json and scores.csv, and a folder of rows and f0 for each estimator; of a suite
    OUT/table.md and suite.json, and a folder for each set.
    """
    from majl_cli.cli.console import Console
    from majl_cli.cli.evaluation_run import Request, run_request
    from majl_cli.cli.suite_run import run_suite

    request = Request(
        command=shlex.join(["majl", *context.obj]),
        suite=suite,
        recordings=recordings,
        project=project,
        manifests=tuple(manifest or ()),
        folders=tuple(data or ()),
        models=tuple(model or ()),
        estimates=tuple(estimates or ()),
        baselines=tuple(baseline or ()),
        trained_on=tuple(trained_on or ()),
        protocol=protocol,
        split=split,
        limit=limit,
        metrics=metrics,
        stems=stems,
        snr_db=snr_db,
        inputs=inputs,
        f0_threshold=f0_threshold,
        out=out,
        compare=compare,
        worst=worst,
        with_audio=with_audio,
        keep_estimates=keep_estimates,
        write_mixtures=write_mixtures,
        jobs=jobs,
        device=device,
        precision=precision,
        threads=threads,
    )
    run = run_request if suite is None and recordings is None else run_suite
    raise typer.Exit(run(request, Console(json=json, quiet=quiet), json=json))
