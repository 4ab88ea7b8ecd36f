"""What both training commands share: options, the run itself, and what is shown of it."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from majl_cli.cli.console import Console
from majl_cli.errors import Cancelled
from majl_cli.project import Project, StageNumber, stage_run

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="A TOML file, or a preset: tiny, paper-small.", show_default="none"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, such as loop.steps=500. May be repeated."),
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all chance.", show_default="0")]
TensorboardOption = Annotated[bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show counts, sizes, memory and time; train nothing.")]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user said of a training run; ``assignments`` are the ``section.key=value`` of all flags."""

    out: Path | None
    project: Project | None
    config: str | None
    manifests: list[Path]
    folders: list[str]
    assignments: list[str]
    threads: int | None
    dry_run: bool
    json: bool
    quiet: bool


def flags(*, device: str, seed: int | None, tensorboard: bool) -> list[str]:
    """The assignments that stand for these options."""
    said = [f"device={device}"] if device != "auto" else []
    said += [f"seed={seed}"] if seed is not None else []
    return said + (["tensorboard=true"] if tensorboard else [])


def run_stage(number: StageNumber, given: Given) -> None:
    """Build the stage's run, train it or only look at it, and say what came of it."""
    import torch

    from majl_cli.data.sources import load_tracks
    from majl_cli.training.presets import resolve_config
    from majl_cli.training.stage1 import Stage1, Stage1Config
    from majl_cli.training.stage2 import Stage2, Stage2Config

    out = stage_run(given.out, given.project, number)
    settings: Any = resolve_config(
        Stage1Config if number == 1 else Stage2Config,
        given.config,
        given.assignments,
        manifests=given.manifests,
        folders=given.folders,
        project=given.project,
        stage=number,
    )
    if given.threads:
        torch.set_num_threads(given.threads)
    tracks = load_tracks(manifests=settings.data.manifests, folders=settings.data.folders)
    stage = (Stage1 if number == 1 else Stage2)(settings, out, tracks)
    speaks = stage.accelerator.is_main_process  # of several processes, one
    json = given.json and speaks
    console = Console(json=given.json, quiet=given.quiet or not speaks)
    if given.project is not None:
        console.note(f"project {given.project.file}")
    if given.dry_run:
        report = stage.dry_run()
        if json:
            print(json_module.dumps(report))
        elif speaks:
            _print_report(report)
        return
    from majl_cli.cli.training_display import TrainingDisplay

    try:
        with TrainingDisplay(settings.loop.steps, console) as display:
            result = stage.train(display)
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted; {out} goes on from here", "start the same command again") from None
    console.result(f"best weights: {out / 'best'}")
    if json:
        print(json_module.dumps({"out": str(out), **result}))


def _print_report(report: dict[str, Any]) -> None:
    for corpus, row in report["data"].items():
        print(f"data         {corpus}: {row}")
    sizes = report["parameters"]
    print(f"validation   {report['validation_tracks']} tracks")
    print(f"model        {sizes['separation']:,} + {sizes['pitch']:,} parameters (separation + pitch)")
    print(
        f"first loss   separation {report['first_loss']['separation']:.3f}, pitch {report['first_loss']['pitch']:.3f}"
    )
    print(f"runs on      {report['device']}, {report['precision']}, peak memory {report['peak_memory_gib']:.2f} GiB")
    print(
        f"time         {report['seconds_per_step']:.2f} s a step ({report['audio_seconds_per_second']:.1f} s of audio "
        f"per second), {report['hours_in_all']:.1f} h in all without validation"
    )
