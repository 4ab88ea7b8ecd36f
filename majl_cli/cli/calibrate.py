"""``majl calibrate``: choose a checkpoint's voicing threshold, and say what its confidence is worth."""

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
    QuietOption,
    ThreadsOption,
)
from majl_cli.errors import DependencyError

if TYPE_CHECKING:
    from majl_cli.evaluation.calibration.choose import VoicingCalibration

LEVELS = (-5.0, 0.0, 5.0)


def calibrate(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help="Checkpoint or run folder, or a model's name.", show_default=False),
    ],
    data: DataOption = None,
    manifest: ManifestOption = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the tracks, or all.")] = "validation",
    snr_db: Annotated[
        list[float] | None,
        typer.Option("--snr-db", metavar="DB", help="Mix at so many dB. May be repeated.", show_default="-5, 0 and 5"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only so many sung tracks, spread evenly.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the threshold and the figures in the checkpoint's config.json.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.")] = Path("calibration"),
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Tracks worked on side by side.")] = 1,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Choose the voicing threshold of a checkpoint on labelled tracks, and judge its confidence.

    Tracks with the vocals alone and their pitch are heard as clean vocals and, where they have an accompaniment, mixed
    at several levels; accompaniments, silence and faint noise show whether voices are found where there are none.
    Writes OUT/calibration.json, calibration.md (tables for a model card) and reliability.png.
    """
    import majl_cli
    from majl_cli.cli.track_progress import TrackProgress
    from majl_cli.data.sources import load_tracks
    from majl_cli.evaluation.calibration.choose import choose
    from majl_cli.evaluation.calibration.measure import measure
    from majl_cli.evaluation.calibration.tracks import select
    from majl_cli.files import write_text
    from majl_cli.hub.find import own_checkpoint
    from majl_cli.inference.track_log import write_json
    from majl_cli.models.checkpoint import set_voicing_threshold
    from majl_cli.report.calibration import calibration_document, calibration_page, calibration_summary

    console = Console(json=json, quiet=quiet)
    folder = own_checkpoint(checkpoint) if write else None
    given = load_tracks(manifests=manifest or (), folders=data or ())
    model = majl_cli.load_model(checkpoint, device=device, precision=precision, threads=threads)
    tracks = select(given, target=model.joint.target, split=split, snr_db=snr_db or LEVELS, limit=limit)
    with TrackProgress("calibrating", tracks.tracks, console) as bar:
        measured = measure(model, tracks, jobs=jobs, listener=bar.done)
    found = choose(measured, model.joint.pitch.voicing_threshold)
    document, page = calibration_document(found, model, tracks), calibration_page(found, model, tracks)
    write_json(out / "calibration.json", document)
    write_text(out / "calibration.md", page)
    _plot(found, out / "reliability.png", console)
    console.result(page)
    if folder is not None:
        set_voicing_threshold(folder, found.chosen, calibration=calibration_summary(found, tracks))
        console.note(f"{folder}: voicing threshold {found.before:g} -> {found.chosen:g}")
    if json:
        written = None if folder is None else str(folder)
        print(json_module.dumps({"command": "calibrate", "out": str(out), "written": written, **document}))


def _plot(found: VoicingCalibration, target: Path, console: Console) -> None:
    from majl_cli.report.experiment_plots import plot_calibration

    curves = {part.input: [(bin.confidence, bin.right) for bin in part.reliability] for part in found.overall}
    try:
        plot_calibration(curves, target, title="Confidence of the frames")
    except DependencyError as error:
        console.note(f"{target.name} was left out: {error.message}; {error.hint}")
