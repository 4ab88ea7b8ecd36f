"""The ``majl`` command: a table of contents, and the one place where errors become exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from majl_cli import __version__
from majl_cli.cli.batch import explain_os_error
from majl_cli.cli.calibrate import calibrate
from majl_cli.cli.console import print_error
from majl_cli.cli.data import data
from majl_cli.cli.evaluate import evaluate
from majl_cli.cli.experiment import experiment
from majl_cli.cli.filter import filter
from majl_cli.cli.init import init
from majl_cli.cli.models import models
from majl_cli.cli.pitch import pitch
from majl_cli.cli.pseudolabel import pseudolabel
from majl_cli.cli.separate import separate
from majl_cli.cli.train_stage1 import train_stage1
from majl_cli.cli.train_stage2 import train_stage2
from majl_cli.errors import Cancelled, MajlError


class _Commands(TyperGroup):
    """Commands in the order they are listed; Ctrl-C reaches ``main`` as ``Cancelled``, whatever Typer makes of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Cancelled("interrupted") from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Example: majl separate song.wav --out stems",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"majl {__version__}")
        raise typer.Exit


@app.callback()
def majl(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Separate music into stems, estimate the melody's pitch, and train both jointly."""


app.command(
    epilog="Example: majl separate song.mp3 --out stems  (writes stems/song/vocals.wav and "
    "stems/song/accompaniment.wav)"
)(separate)
app.command(epilog="Example: majl pitch song.wav --csv --midi --out melody  (writes melody/song.f0.csv and song.mid)")(
    pitch
)
app.add_typer(models, name="models", epilog="Example: majl models list")
app.add_typer(
    data,
    name="data",
    epilog="Examples: majl data voice-bank voices; majl data synth --recordings recordings --out runs/v1 "
    "--voice-bank voices --sung 300",
)
app.command(epilog="Example: majl init --data mir-1k=MIR-1K  (writes majl.toml; then: majl train-stage1)")(init)
app.command(
    epilog="Example: majl train-stage1 --data mir-1k=MIR-1K --out runs/first  (then: majl separate song.wav --model "
    "runs/first)"
)(train_stage1)
app.command(
    epilog="Example: majl pseudolabel --model runs/first --data mir-1k=MIR-1K --manifest partly.jsonl --out pseudo  "
    "(then: majl filter pseudo)"
)(pseudolabel)
app.command(epilog="Example: majl filter pseudo --th auto --precision 0.95  (writes pseudo/kept.jsonl)")(filter)
app.command(epilog="Example: majl train-stage2 --pseudo pseudo --th 0.7 --data mir-1k=MIR-1K --out runs/second")(
    train_stage2
)
app.command(
    epilog="Example: majl evaluate --data mir-1k=MIR-1K --split validation --model majl-base --baseline mixture "
    "--baseline irm --jobs 2  (writes evaluation/mir-1k-singer-disjoint/report.html); or: majl evaluate --suite dev "
    "--recordings RECORDINGS --model majl-base --baseline pesto  (writes evaluation/dev/table.md)"
)(evaluate)
app.command(
    epilog="Example: majl calibrate runs/second --data mir-1k=MIR-1K --write  (chooses the voicing threshold on split "
    "validation)"
)(calibrate)
app.command(
    epilog="Example: majl experiment baseline --budget 0.01  (in a project; writes a report with tables and plots)"
)(experiment)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a ``MajlError``, 2 wrong usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # OpenMP's threads wait for each other by spinning; beside another busy process that makes everything many times
    # slower. A short spin costs next to nothing on an idle machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _let_any_file_name_be_printed()
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"warning: {message}\n"
    try:
        with _terminated_as_interrupted():
            app(args=given, prog_name="majl", obj=given)  # a command finds them in its context.obj
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(explain_os_error(error), as_json="--json" in given)
    except MajlError as error:
        _fail(error, as_json="--json" in given)
    except KeyboardInterrupt:
        _fail(Cancelled("interrupted"), as_json="--json" in given)
    sys.exit(0)


def _fail(error: MajlError, *, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"error": error.message, "hint": error.hint}))
    print_error(error)
    sys.exit(error.exit_code)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C does, so that temporary files are removed."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = None
    with suppress(ValueError):  # not in the main thread: leave signals alone
        previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _let_any_file_name_be_printed() -> None:
    """File names need not be valid text: pass their bytes through where the terminal speaks UTF-8."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        utf_8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        reconfigure(errors="surrogateescape" if utf_8 else "backslashreplace")
