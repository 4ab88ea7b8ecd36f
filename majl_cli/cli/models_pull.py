"""``majl models pull``: fetch models, once someone has agreed to their terms."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majl_cli.cli.console import Console, print_error
from majl_cli.cli.options import JsonOption, QuietOption
from majl_cli.errors import Cancelled, HubError, MajlError, UsageError

if TYPE_CHECKING:
    from majl_cli.hub.pull import Plan, Pulled, PullProgress


def pull(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Short names, or owner/repo[@revision].", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the terms shown: do not ask.")] = False,
    repin: Annotated[
        bool, typer.Option("--repin", help="Take what is there now in the place of what was recorded on first use.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch models, after showing size, licence and training data.

    Files are verified by digest; where nobody has published one, it is recorded on first use. What breaks off is gone
    on with by the same command.
    """
    console = Console(json=json, quiet=quiet)
    results, stopped = [], None
    try:
        for name in names:
            results.append(_pull(name, console, yes=yes, repin=repin))
    except (MajlError, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, MajlError) else Cancelled("interrupted")
    if json:
        failure = {} if stopped is None else {"error": stopped.message, "hint": stopped.hint}
        print(json_module.dumps({"command": "models pull", "models": results} | failure))
    if stopped is not None:
        print_error(stopped)
        raise typer.Exit(stopped.exit_code)


def _pull(name: str, console: Console, *, yes: bool, repin: bool) -> dict[str, Any]:
    """One model; what there is to say of it, for JSON."""
    from majl_cli.hub.pull import plan_pull, pull

    plan = plan_pull(name, repin=repin, note=console.note)
    if plan.files:
        _agree(plan, yes=yes)
    with _progress(plan, console) as progress:
        pulled = pull(plan, progress, console.note)
    for label, pin in pulled.pinned.items():
        console.note(f"pinned {label}: SHA-256 {pin.sha256}{f', commit {pin.commit}' if pin.commit else ''}")
    console.result(f"{name} is here{'' if plan.files else ' already'}: use it with --model {name}")
    return _as_json(name, plan, pulled)


def _agree(plan: Plan, *, yes: bool) -> None:
    """Show the terms, however quiet, and ask unless ``yes``. Raises UsageError without a terminal, HubError if the
    answer is no."""
    for line in _terms(plan):
        print(line, file=sys.stderr, flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{plan.terms.name}: nobody here to agree to its terms", "read them, and give --yes")
    try:
        agreed = typer.confirm("Fetch it on these terms?", default=False, err=True)
    except typer.Abort:
        raise Cancelled("interrupted") from None
    if not agreed:
        raise HubError(f"{plan.terms.name}: nothing fetched, as you did not agree", "majl models list shows others")


def _terms(plan: Plan) -> Iterator[str]:
    from majl_cli.hub.find import size_words

    terms = plan.terms
    yield f"{terms.name}: {terms.title}"
    yield f"  licence: {terms.licence}"
    if terms.non_commercial:
        yield "  NOT FOR COMMERCIAL USE, says its licence"
    yield f"  trained on: {terms.data}"
    if terms.note:
        yield f"  note: {terms.note}"
    for file in plan.files:
        yield f"  from {file.remote.source.label}, {size_words(file.bytes)}"
    yield f"  to fetch: {size_words(plan.bytes)}"


@contextmanager
def _progress(plan: Plan, console: Console) -> Iterator[PullProgress | None]:
    """A bar for all files together."""
    if not (console.shows_progress and plan.files):
        yield None
        return
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    terminal = RichConsole(stderr=True)
    counts: dict[str, int] = {}
    with Progress(*columns, console=terminal, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(plan.terms.name, total=plan.bytes or None)

        def advance(source: Any, count: int) -> None:
            counts[source.label] = count
            bar.update(task, completed=sum(counts.values()))

        yield advance


def _as_json(name: str, plan: Plan, pulled: Pulled) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": name,
        "licence": plan.terms.licence,
        "data": plan.terms.data,
        "fetched_bytes": plan.bytes,
        "files": [str(path) for path in pulled.files],
        "pinned": {label: asdict(pin) for label, pin in pulled.pinned.items()},
    }
