"""``majl pseudolabel``: let a trained model label what is labelled in part."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majl_cli.cli.console import Console
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
from majl_cli.cli.pseudolabel_display import as_json, calibration_lines, print_failure, print_summary
from majl_cli.cli.track_progress import TrackProgress
from majl_cli.errors import Cancelled, DataError, UsageError
from majl_cli.files import locked
from majl_cli.project import FILE_NAME, PseudolabelSettings, find_project

if TYPE_CHECKING:
    from majl_cli.pseudolabel.generate import Outcome


def pseudolabel(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for labels. Started again on it, the work goes on.",
            show_default="pseudolabels in the project's runs",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Stage-I run folder or checkpoint.", show_default="the project's Stage I"),
    ] = None,
    project: ProjectOption = None,
    data: DataOption = None,
    manifest: ManifestOption = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, help="Tracks read and worked on side by side.", show_default="the project's, or 1"
        ),
    ] = None,
    npz: Annotated[bool, typer.Option("--npz", help="Write pitch.npz beside the CSV files.")] = False,
    uncalibrated: Annotated[
        bool, typer.Option("--uncalibrated", help="Do without held-out tracks; confidences are then not tested.")
    ] = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let a trained model label tracks that have only stems (mss) or only pitch (pe).

    The partly labelled tracks of split train are labelled, the fully labelled ones of split validation calibrate.
    Writes OUT/manifest.jsonl with stems, pitch and confidence of each track, ready for majl filter.
    """
    found = find_project(project)
    if found is None and (model is None or out is None):
        missing = "--model" if model is None else "--out"
        raise UsageError(
            f"no {missing} given, and no {FILE_NAME} here or above",
            "give a Stage-I checkpoint and a folder: --model runs/first --out pseudo; or start with majl init",
        )
    import majl_cli
    from majl_cli.data.sources import load_tracks
    from majl_cli.pseudolabel.calibrate import calibrate, can_be_held_out
    from majl_cli.pseudolabel.folder import KIND_OF_LABELS, MANIFEST_FILE
    from majl_cli.pseudolabel.generate import pseudolabel as label_tracks
    from majl_cli.pseudolabel.held_out import NOT_CALIBRATED

    console = Console(json=json, quiet=quiet)
    manifests, folders = [*(manifest or [])], [*(data or [])]
    settings = PseudolabelSettings()
    if found is not None:
        console.note(f"project {found.file}")
        settings = found.pseudolabel
        out, model = out or found.pseudolabels, model or str(found.stage1_run)
        manifests, folders = [*found.data.manifests, *manifests], [*found.data.folders, *folders]
    assert out is not None and model is not None
    jobs, npz = jobs or settings.jobs, npz or settings.npz
    tracks = load_tracks(manifests=manifests, folders=folders)
    partly = [track for track in tracks if track.split == "train" and track.labels in KIND_OF_LABELS]
    if not partly:
        raise DataError("no track to label", "give tracks of split train with labels mss or pe (--data, --manifest)")
    ready = majl_cli.load_model(model, device=device, precision=precision, threads=threads)
    target = ready.joint.target
    held_out = [track for track in tracks if track.split == "validation" and can_be_held_out(track, target)]
    if not held_out and not uncalibrated:
        raise DataError(
            "no track to calibrate on", "give fully labelled tracks of split validation too, or --uncalibrated"
        )
    outcomes: list[Outcome] = []
    try:
        with locked(out, "labelling"):
            calibration = NOT_CALIBRATED
            if not uncalibrated:
                with TrackProgress("calibrating", held_out, console) as bar:
                    calibration = calibrate(ready, held_out, out, jobs=jobs, listener=bar.done)
            for line in calibration_lines(calibration):
                console.result(line)
            with TrackProgress("labelling", partly, console) as bar:

                def listen(outcome: Outcome) -> None:
                    outcomes.append(outcome)
                    print_failure(outcome)
                    bar.done(outcome.track, before=outcome.before)

                label_tracks(ready, partly, out, calibration=calibration, jobs=jobs, npz=npz, listener=listen)
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted; {out} goes on from here", "start the same command again") from None
    print_summary(outcomes, out / MANIFEST_FILE, console)
    if json:
        print(json_module.dumps(as_json(outcomes, calibration, out / MANIFEST_FILE)))
    raise typer.Exit(1 if any(outcome.error is not None for outcome in outcomes) else 0)
