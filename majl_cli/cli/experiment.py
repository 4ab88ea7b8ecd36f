"""``majl experiment``: the paper's comparisons, each as one command."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.options import DeviceOption, JsonOption, ProjectOption, QuietOption
from majl_cli.errors import Cancelled, UsageError
from majl_cli.project import FILE_NAME, find_project


def experiment(
    name: Annotated[Literal["baseline", "dwhs", "threshold"], typer.Argument(help="What to compare.")],
    project: ProjectOption = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Runs of every arm.", show_default="the project's")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Times the steps of a stage: 0.01 to try it out.", show_default="the project's"),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Arms at a time.")] = 1,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each.", show_default="all cores")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the report.", show_default="report-NAME beside the arms' folders"),
    ] = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run one of the paper's comparisons on a project's data, and report it.

    baseline: two modules trained apart, Stage I, Stage II. dwhs: four ways to weigh samples. threshold: six ways to
    filter pseudo-labels. What is finished is not run again, whichever experiment it was run for.
    """
    from majl_cli.experiments.plans import PLANS
    from majl_cli.experiments.runner import Effort, Runner
    from majl_cli.experiments.summary import REPORT, summarise

    console = Console(json=json, quiet=quiet)
    found = find_project(project)
    if found is None:
        raise UsageError(f"no {FILE_NAME} here or above", "start with majl init, or give --project FILE")
    budget = found.experiment.budget if budget is None else budget
    if not 0 < budget < math.inf:
        raise UsageError(f"--budget {budget:g}", "use a number above 0")
    effort = Effort(seeds=seeds or found.experiment.seeds, budget=budget, jobs=jobs, threads=threads, device=device)
    runner, plan = Runner(found, effort, tell=console.note), PLANS[name]
    try:
        runner.run(plan)
    except KeyboardInterrupt:
        raise Cancelled("interrupted; what is finished is kept", "start the same command again to go on") from None
    folder = out or runner.folder / f"report-{name}"
    written = summarise(runner, plan, folder)
    console.result((folder / REPORT).read_text(encoding="utf-8"))
    for path in written:
        console.note(f"wrote {path}")
    if json:
        print(json_module.dumps({"experiment": name, "files": [str(path) for path in written]}))
