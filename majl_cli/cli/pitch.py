"""``majl pitch``: audio files to the melody's f0."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import typer

from majl_cli.cli.batch import Files, ProgressCallback, TrackResult, run_batch
from majl_cli.cli.console import Console
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
from majl_cli.errors import UsageError

Input = Literal["auto", "mixture", "vocals"]
Decoder = Literal["argmax", "viterbi"]
ENDINGS = {"csv": ".f0.csv", "npz": ".f0.npz", "midi": ".mid", "plot": ".f0.png"}


def pitch(
    inputs: InputsArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")] = Path(),
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Write TRACK.f0.csv: time, frequency, confidence, voiced (this one if none is named)."
        ),
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Write TRACK.f0.npz: the same as NumPy arrays.")] = False,
    midi: Annotated[bool, typer.Option("--midi", help="Write TRACK.mid: the melody as notes.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Write TRACK.f0.png: a picture.")] = False,
    input: Annotated[
        Input, typer.Option("--input", help="What the files hold; auto listens to an excerpt of each and says so.")
    ] = "auto",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0.0,
            max=1.0,
            help="Confidence above which a frame is voiced.",
            show_default="the model's",
        ),
    ] = None,
    decoder: Annotated[
        Decoder, typer.Option("--decoder", help="argmax: each frame by itself; viterbi: the smoothest path.")
    ] = "argmax",
    raw: Annotated[bool, typer.Option("--raw", help="CSV: give the guess, not 0 Hz, where unvoiced.")] = False,
    pitch_bends: Annotated[
        bool, typer.Option("--pitch-bends", help="MIDI: follow the voice within notes (vibrato, glides).")
    ] = False,
    skip_existing: SkipExistingOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    model: ModelOption = "majl-base",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Estimate the melody's pitch (f0) of songs or of solo voices."""
    kinds = [kind for kind, wanted in {"csv": csv, "npz": npz, "midi": midi, "plot": plot}.items() if wanted] or ["csv"]
    if raw and "csv" not in kinds:
        raise UsageError("--raw: only concerns the CSV", "add --csv (the NPZ holds both anyway)")
    if pitch_bends and "midi" not in kinds:
        raise UsageError("--pitch-bends: only concerns the MIDI file", "add --midi")
    if plot:
        from majl_cli.report.plots import require_matplotlib

        require_matplotlib()
    tracks, bad = find_inputs(inputs)

    def load() -> Any:
        import majl_cli

        return majl_cli.load_model(model, device=device, precision=precision, threads=threads)

    def files(track: InputTrack) -> Files:
        return {kind: out / f"{track.name}{ENDINGS[kind]}" for kind in kinds}

    def work(ready: Any, track: InputTrack, files: Files, advance: ProgressCallback | None) -> TrackResult:
        from majl_cli.inference.outputs import binary_files

        start = time.perf_counter()
        # Opened before the work: a folder that cannot be written to is found at once.
        with binary_files(files) as opened:
            result = ready.estimate_pitch(
                track.path, input=input, decoder=decoder, threshold=threshold, progress=advance
            )
            for kind, file in opened.items():
                _write_file(result, kind, file, files[kind], title=track.path.name, raw=raw, bends=pitch_bends)
        elapsed = time.perf_counter() - start
        return _track_result(track, result, files, elapsed=elapsed, say_input=input == "auto")

    console = Console(json=json, quiet=quiet)
    code = run_batch("pitch", tracks, bad, work, files=files, skip_existing=skip_existing, load=load, console=console)
    raise typer.Exit(code)


def _write_file(result: Any, kind: str, file: BinaryIO, path: Path, *, title: str, raw: bool, bends: bool) -> None:
    """Fill one of the files that are open; ``path`` is what it will be called."""
    from majl_cli.files import write_errors_explained
    from majl_cli.inference.notes import f0_to_notes
    from majl_cli.report.midi import write_midi
    from majl_cli.report.pitch_files import write_csv, write_npz
    from majl_cli.report.plots import write_plot

    # A file name need not be valid text; a title has to be.
    title = title.encode("utf-8", "replace").decode()
    with write_errors_explained(path):
        if kind == "csv":
            write_csv(result, file, raw=raw)
        elif kind == "npz":
            write_npz(result, file)
        elif kind == "midi":
            write_midi(f0_to_notes(result.times, result.f0), file, title=title, bends=result if bends else None)
        else:
            write_plot(result, file, title=title)


def _track_result(track: InputTrack, result: Any, files: Files, *, elapsed: float, say_input: bool) -> TrackResult:
    notes: tuple[str, ...] = ()
    if say_input:
        decided = "a mixture" if result.input == "mixture" else "a solo voice"
        notes = (f"{track.path}: taken as {decided} (--input mixture or --input vocals to say otherwise)",)
    return TrackResult(
        input=str(track.path),
        status="done",
        track=track.name,
        files=files,
        seconds=result.seconds,
        elapsed=elapsed,
        details={
            "taken_as": result.input,
            "threshold": float(result.threshold),
            "real_time_factor": elapsed / result.seconds,
            "voiced_share": float(result.voiced.mean()) if len(result.voiced) else 0.0,
        },
        notes=notes,
    )
