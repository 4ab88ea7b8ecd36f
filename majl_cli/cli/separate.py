"""``majl separate``: audio files to stems."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from majl_cli import hub
from majl_cli.cli.batch import Files, ProgressCallback, TrackResult, run_batch
from majl_cli.cli.console import Console
from majl_cli.cli.filenames import check_template, fill_track
from majl_cli.cli.inputs import InputTrack, find_inputs
from majl_cli.cli.options import (
    DeviceOption,
    InputsArgument,
    JsonOption,
    ModelOption,
    PrecisionOption,
    QuietOption,
    SkipExistingOption,
    ThreadsOption,
)
from majl_cli.errors import AudioError, MajlError, UsageError
from majl_cli.models.stems import usual_names

Format = Literal["wav", "flac", "mp3", "ogg"]
Subtype = Literal["16", "24", "float"]
SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}


def separate(
    inputs: InputsArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the stems.")] = Path("stems"),
    stems: Annotated[
        str | None,
        typer.Option(
            "--stems",
            metavar="NAMES",
            help="Which stems to write, with commas between them; all: every one that the model estimates.",
            show_default="vocals,accompaniment, or all of a model that takes the accompaniment apart",
        ),
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option(
            "--two-stems",
            metavar="NAME",
            help="Write this stem and the rest, which add up to the input: drums and no_drums.",
            show_default="none",
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Kind of file to write.")] = "wav",
    subtype: Annotated[
        Subtype | None, typer.Option("--subtype", help="Bits per sample of wav and flac.", show_default="as the input")
    ] = None,
    filename: Annotated[
        str, typer.Option("--filename", metavar="TEMPLATE", help="Name of each stem's file below --out.")
    ] = "{track}/{stem}.{ext}",
    overlap: Annotated[
        float | None,
        typer.Option(
            "--overlap",
            min=0.0,
            max=0.95,
            help="Share of a chunk that the next one repeats.",
            show_default="the model's",
        ),
    ] = None,
    skip_existing: SkipExistingOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    model: ModelOption = "majl-base",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Separate songs into vocals and accompaniment, or into the stems that the model gives."""
    asked = _asked_stems(stems, two_stems)
    _check_subtype(format, subtype)
    console = Console(json=json, quiet=quiet)
    tracks, bad = find_inputs(inputs, out=out)
    check_template(filename, several=len(tracks) > 1)
    tracks = _without_own_stems(tracks, out, filename, model, console)
    input_paths = {track.path.resolve() for track in tracks}

    @cache
    def names() -> tuple[str, ...]:
        known = hub.model_stems(model)
        return known.select(asked) if two_stems is None else known.select_two(two_stems)

    def load() -> Any:
        import majl_cli

        return majl_cli.load_model(model, device=device, precision=precision, threads=threads)

    def files(track: InputTrack) -> Files:
        template = fill_track(filename, track.name)
        return {stem: out / template.format(stem=stem, ext=format) for stem in names()}

    def work(ready: Any, track: InputTrack, files: Files, advance: ProgressCallback | None) -> TrackResult:
        for path in files.values():
            if path.resolve() in input_paths:
                raise AudioError(f"{track.path}: its stem would overwrite the input {path}", "choose another --out")
        result = ready.separate(
            track.path,
            stems=names(),
            out=out,
            filename=fill_track(filename, track.name),
            format=format,
            subtype=None if subtype is None else SUBTYPES[subtype],
            overlap=overlap,
            progress=advance,
        )
        return _track_result(track, result, format)

    code = run_batch(
        "separate", tracks, bad, work, files=files, skip_existing=skip_existing, load=load, console=console
    )
    raise typer.Exit(code)


def _asked_stems(stems: str | None, two_stems: str | None) -> tuple[str, ...] | None:
    """The names in ``--stems``; None without it. Raises UsageError."""
    if stems is None:
        return None
    if two_stems is not None:
        raise UsageError(f"--stems {stems!r} and --two-stems {two_stems!r} exclude each other", "leave one of them out")
    names = tuple(name.strip() for name in stems.split(",") if name.strip())
    if not names:
        raise UsageError(f"--stems {stems!r}: no stem named", "for example --stems vocals,accompaniment")
    return names


def _check_subtype(format: str, subtype: str | None) -> None:
    if subtype is None or format == "wav" or (format == "flac" and subtype != "float"):
        return
    if format == "flac":
        raise UsageError("--subtype float: flac stores whole numbers only", "use --subtype 24, or --format wav")
    raise UsageError(f"--subtype {subtype}: {format} has no fixed bits per sample", "leave --subtype out")


def _without_own_stems(
    tracks: Sequence[InputTrack], out: Path, filename: str, model: str, console: Console
) -> list[InputTrack]:
    """Leave out what was found (not named) under a name that a stem of another track has, in whatever format.

    So a folder can be separated into itself again and again, into these stems or others, by this model or another.
    """
    stems = set(usual_names())
    with suppress(MajlError):  # of a model that cannot be read: said where it is needed
        stems.update(hub.model_stems(model).known)
    writer: dict[Path, InputTrack] = {}
    for track in tracks:
        template = fill_track(filename, track.name)
        for path in (out / template.format(stem=stem, ext=ext) for stem in stems for ext in get_args(Format)):
            writer[path.resolve()] = track
    kept = [track for track in tracks if track.named or writer.get(track.path.resolve(), track) is track]
    if len(kept) < len(tracks):
        console.note(f"{len(tracks) - len(kept)} of the files found left out: they are named as stems of the others")
    return kept


def _track_result(track: InputTrack, result: Any, format: str) -> TrackResult:
    keeps = "--subtype float" if format == "wav" else "--format wav --subtype float"
    notes = tuple(
        f"{track.path}: {count} sample{'s' * (count != 1)} of {stem} clipped; {keeps} keeps them"
        for stem, count in result.clipped.items()
        if count
    )
    return TrackResult(
        input=str(track.path),
        status="done",
        track=track.name,
        files={stem: Path(path) for stem, path in result.files.items()},
        seconds=result.seconds,
        elapsed=result.elapsed,
        details={
            "sample_rate": result.sample_rate,
            "clipped": dict(result.clipped),
            "real_time_factor": result.real_time_factor,
        },
        notes=notes,
    )
