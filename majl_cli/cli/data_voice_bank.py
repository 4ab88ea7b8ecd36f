"""``majl data voice-bank``: words said by free speech synthesisers, to be sung."""

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


def voice_bank(
    folder: Annotated[Path, typer.Argument(help="Folder for the recordings and units.csv.", show_default=False)],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have espeak-ng and flite say short words, for majl data synth to sing.

    Both come with Debian: apt-get install espeak-ng flite. A folder that is complete is left as it is.
    """
    from majl_cli.data.synth.sung import read_bank
    from majl_cli.data.synth.voice_bank import SPEAKERS, UNITS, make_voice_bank

    console = Console(json=json, quiet=quiet)
    made = not (folder / UNITS).exists()
    if made:
        total = sum(len(voices) for voices in SPEAKERS.values())
        try:
            with locked(folder, "making a voice bank"), CountProgress("speakers", total, console) as progress:
                make_voice_bank(folder, listener=lambda speaker: progress.advance())
        except KeyboardInterrupt:
            raise Cancelled(f"interrupted; {folder} is not complete", "start the same command again") from None
    bank = read_bank(folder)
    words = sum(len(units) for units in bank.values())
    console.result(f"{folder}: {words} words of {len(bank)} speakers{'' if made else ', there already'}")
    if json:
        print(json_module.dumps({"command": "data voice-bank", "made": made, "speakers": len(bank), "words": words}))
