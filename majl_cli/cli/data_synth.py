"""``majl data synth``: a folder of recordings, accompaniments and voices, and its manifests."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.count_progress import CountProgress
from majl_cli.cli.options import JsonOption, QuietOption
from majl_cli.errors import Cancelled
from majl_cli.files import locked


def synth(
    recordings: Annotated[Path, typer.Option("--recordings", help="Folder of recordings with an index.csv.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for everything. What is there already is kept.")],
    soundfont: Annotated[
        Path | None,
        typer.Option("--soundfont", help="SF2 or SF3 file, such as that of Debian's fluidr3mono-gm-soundfont."),
    ] = None,
    voice_bank: Annotated[
        Path | None, typer.Option("--voice-bank", help="Folder that majl data voice-bank has written.")
    ] = None,
    accompaniments: Annotated[
        int, typer.Option("--accompaniments", min=0, help="Pieces for band, 30 to 60 s, from MIDI songs.")
    ] = 0,
    voices: Annotated[
        int,
        typer.Option("--voices", min=0, help="Recorded voices sung again, some 45 s; as many for each manifest."),
    ] = 0,
    sung: Annotated[int, typer.Option("--sung", min=0, help="Melodies sung by a voice bank, 20 to 40 s.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Piece k of a seed is always the same.")] = 0,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Files at a time.", show_default="all cores")
    ] = None,
    open_only: Annotated[
        bool, typer.Option("--open-only", help="Clearly free material alone; no train.jsonl.")
    ] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="Recordings as WAV too, which training reads faster.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make training material whose f0 is known exactly, and accompaniments to lay it over.

    Writes OUT/train.jsonl (the recordings and all pieces) and OUT/open.jsonl (what is under clearly free licences, and
    what was made from it). Cut off, the same command goes on. Voices need pyworld (pip install 'majl[synth]'),
    accompaniments tinysoundfont (pip install --no-deps tinysoundfont).
    """
    import os

    from majl_cli.data.manifest import summary
    from majl_cli.data.synth.engine import Order, plan, run, write_manifests

    console = Console(json=json, quiet=quiet)
    order = Order(
        recordings=recordings,
        out=out,
        soundfont=soundfont,
        voice_bank=voice_bank,
        accompaniments=accompaniments,
        voices=voices,
        sung=sung,
        seed=seed,
        open_only=open_only,
        decode=decode,
    )
    try:
        console.note("reading the recordings, songs and sounds")
        planned = plan(order)
        made, files = len(planned.todo), len(planned.decoded) + len(planned.pieces)
        with locked(out, "making pieces"), CountProgress("files", made, console) as progress:
            run(planned, jobs=jobs or os.cpu_count() or 1, listener=lambda job: progress.advance())
        manifests = write_manifests(planned)
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted; what is in {out} is kept", "start the same command again to go on") from None
    console.result(f"{made} files made, {files - made} were there")
    for path, tracks in manifests.items():
        console.result(f"{path}: {len(tracks)} tracks")
        for key, value in summary(tracks).items():
            console.result(f"  {key}: {value}")
    if json:
        listed = {str(path): summary(tracks) for path, tracks in manifests.items()}
        print(json_module.dumps({"command": "data synth", "made": made, "kept": files - made, "manifests": listed}))
