"""``majl data``: a table of contents."""

from __future__ import annotations

import typer

from majl_cli.cli.data_synth import synth
from majl_cli.cli.data_voice_bank import voice_bank

data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make training material.")

data.command(
    short_help="Accompaniments, and voices whose f0 is known exactly.",
    epilog="Example: majl data synth --recordings recordings --out runs/v1 --soundfont FluidR3Mono_GM.sf3 "
    "--accompaniments 600 --voices 200  (then: majl train-stage1 --manifest runs/v1/train.jsonl --out runs/first "
    "--set 'data.buckets={}')",
)(synth)
data.command(
    "voice-bank",
    short_help="Words said by espeak-ng and flite, for synth to sing.",
    epilog="Example: majl data voice-bank voices  (then: majl data synth ... --voice-bank voices --sung 300)",
)(voice_bank)
