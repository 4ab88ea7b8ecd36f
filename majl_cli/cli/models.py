"""``majl models``: a table of contents."""

from __future__ import annotations

import typer

from majl_cli.cli.models_check import check
from majl_cli.cli.models_list import info, list_models
from majl_cli.cli.models_pull import pull
from majl_cli.cli.models_push import push

models = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, fetch, check and publish models.")

models.command("list", epilog="Example: majl models list")(list_models)
models.command(epilog="Example: majl models info htdemucs  (licence, training data, files, digests)")(info)
models.command(
    epilog="Example: majl models pull htdemucs  (then: majl separate song.wav --model htdemucs). "
    "HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE are heeded; MAJL_HOME moves what does not come from that Hub, "
    "MAJL_MIRROR is a copy of where it comes from."
)(pull)
models.command(epilog="Example: majl models check  (all that is here)")(check)
models.command(epilog="Example: majl models push runs/first me/first --licence cc-by-nc-4.0 --dry-run")(push)
