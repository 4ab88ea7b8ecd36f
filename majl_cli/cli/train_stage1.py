"""``majl train-stage1``: train separation and pitch jointly on labelled tracks."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.options import DeviceOption, JsonOption, QuietOption
from majl_cli.errors import Cancelled

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
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A TOML file, or a preset: tiny.", show_default="none")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, such as loop.steps=500. May be repeated."),
]


def train_stage1(
    out: Annotated[Path, typer.Option("--out", help="Run folder. Started again on it, training goes on.")],
    data: DataOption = None,
    manifest: ManifestOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    device: DeviceOption = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of all chance.", show_default="0")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show counts, sizes, memory and time; train nothing.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the joint model on labelled tracks (Stage I).

    Tracks have stems and pitch; partly labelled ones in the manifests take part with what they have.
    The best weights on the validation tracks are kept in OUT/best, ready for majl separate --model OUT.
    """
    import torch

    from majl_cli.training.presets import resolve_config
    from majl_cli.training.stage1 import Stage1, Stage1Config, load_tracks

    console = Console(json=json, quiet=quiet)
    flags = [f"device={device}"] if device != "auto" else []
    flags += [f"seed={seed}"] if seed is not None else []
    flags += ["tensorboard=true"] if tensorboard else []
    settings = resolve_config(
        Stage1Config, config, [*(set_ or []), *flags], manifests=manifest or [], folders=data or []
    )
    if threads:
        torch.set_num_threads(threads)
    stage = Stage1(settings, out, load_tracks(settings.data))
    speaks = stage.accelerator.is_main_process  # of several processes, one
    if not speaks:
        json, console = False, Console(json=False, quiet=True)
    if dry_run:
        report = stage.dry_run()
        if not speaks:
            return
        if json:
            print(json_module.dumps(report))
        else:
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
