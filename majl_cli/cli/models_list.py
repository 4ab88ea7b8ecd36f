"""``majl models list`` and ``majl models info``."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.models_display import info_lines, print_models
from majl_cli.cli.options import JsonOption, QuietOption


def list_models(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the models that came with majl, those it can fetch, and those fetched.

    A score is a figure of its kind only: kinds differ by more than models do.
    """
    from majl_cli.hub.catalogue import list_cards

    cards = list_cards()
    console = Console(json=json, quiet=quiet)
    if json:
        print(json_module.dumps({"command": "models list", "models": [card.as_json() for card in cards]}))
    elif not quiet:
        print_models(cards)
        console.note("majl models info NAME says more; majl models pull NAME fetches one")


def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short name, owner/repo[@revision], or a folder.")],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show all that is known of a model: licence, training data, files, digests."""
    from majl_cli.hub.catalogue import find_card

    card = find_card(name)
    console = Console(json=json, quiet=quiet)
    for line in info_lines(card):
        console.result(line)
    if json:
        print(json_module.dumps({"command": "models info", **card.as_json()}))
