"""``majl models check``: are the models here what they should be?"""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majl_cli.cli.console import Console, print_error
from majl_cli.cli.options import JsonOption, QuietOption

if TYPE_CHECKING:
    from majl_cli.hub.check import Checked


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Which models.", show_default="all that are here"),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the digests of models that are here with what they should be, and load each.

    The exit code is 1 if any is not as it should be.
    """
    from majl_cli.hub.check import check_model, models_here

    console = Console(json=json, quiet=quiet)
    results = []
    for name in names or models_here():
        result = check_model(name)
        results.append(result)
        if result.error is None:
            console.result(f"{name}: ok")
        else:
            console.result(f"{name}: NOT ok")
            print_error(result.error)
    if json:
        print(json_module.dumps({"command": "models check", "models": [_as_json(result) for result in results]}))
    raise typer.Exit(1 if any(result.error is not None for result in results) else 0)


def _as_json(result: Checked) -> dict[str, Any]:
    row: dict[str, Any] = {"name": result.name, "ok": result.error is None, "files": [str(p) for p in result.files]}
    if result.error is not None:
        row |= {"error": result.error.message, "hint": result.error.hint}
    return row
