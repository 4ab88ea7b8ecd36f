"""``majl models push``: publish a checkpoint on the Hugging Face Hub."""

from __future__ import annotations

import json as json_module
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.options import JsonOption, QuietOption
from majl_cli.errors import Cancelled, UsageError

if TYPE_CHECKING:
    from majl_cli.hub.push import PushPlan


def push(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Checkpoint or run folder.", show_default=False)],
    repository: Annotated[
        str,
        typer.Argument(metavar="OWNER/REPO[@BRANCH]", help="Where to; made if it is not there.", show_default=False),
    ],
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            metavar="TAG",
            help="Licence of the weights where the checkpoint states none: apache-2.0, cc-by-nc-4.0, or own words.",
            show_default="the checkpoint's",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository for yourself only.")] = False,
    message: Annotated[
        str, typer.Option("--message", metavar="TEXT", help="What the commit says.")
    ] = "Publish a checkpoint of majl",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the model card and publish nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Publish without asking.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Publish a checkpoint on the Hugging Face Hub, with a model card made from what it says of itself.

    The checkpoint is loaded first, to be sure of it. A README.md in its folder is used instead of a generated card.
    All files go into one commit.
    """
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("nobody to ask whether to publish", "look with --dry-run, then give --yes")
    from majl_cli.hub.push import plan_push, push_checkpoint

    console = Console(json=json, quiet=quiet)
    plan = plan_push(folder, repository, licence=licence)
    asks = not (dry_run or yes)
    for line in _lines(plan):
        if asks or not quiet:
            print(line, file=sys.stderr, flush=True)
    result = {
        "command": "models push",
        "repository": plan.repo,
        "branch": plan.branch,
        "licence": plan.licence,
        "files": {name: plan.bytes_of(name) for name in plan.files},
    }
    if dry_run:
        console.result(plan.card)
        if json:
            print(json_module.dumps({**result, "dry_run": True, "card": plan.card}))
        return
    if asks and not typer.confirm("Publish these files?", err=True):
        raise Cancelled("nothing was published")
    if not console.shows_progress:
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    pushed = push_checkpoint(plan, private=private, message=message)
    console.result(pushed.url)
    console.note(f"commit {pushed.commit}; to use it: majl separate song.wav --model {repository}")
    if json:
        print(json_module.dumps({**result, "url": pushed.url, "commit": pushed.commit}))


def _lines(plan: PushPlan) -> list[str]:
    """What would go where, under which licence."""
    files = [f"  {name}, {plan.bytes_of(name):,} bytes" for name in plan.files]
    return [f"to {plan.repo}, branch {plan.branch}; licence: {plan.licence}", *files]
