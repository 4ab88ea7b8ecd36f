"""The template of ``--filename``: names of stems' files below the output folder."""

from __future__ import annotations

from pathlib import Path
from string import Formatter

from majl_cli.errors import UsageError


def check_template(filename: str, *, several: bool) -> None:
    """Raise UsageError for a ``--filename`` that does not give each stem (of ``several`` tracks) a file of its own."""
    example = "for example '{track}/{stem}.{ext}'"
    try:
        parts = list(Formatter().parse(filename))
    except ValueError as error:
        raise UsageError(f"--filename {filename!r}: {error}", example) from None
    fields = [field for _, field, _, _ in parts if field is not None]
    for field in fields:
        if field not in {"track", "stem", "ext"}:
            raise UsageError(f"--filename {filename!r}: no field {{{field}}}", "use {track}, {stem} and {ext}")
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise UsageError(f"--filename {filename!r}: fields take no format", "use plain {track}, {stem} and {ext}")
    if "stem" not in fields:
        raise UsageError(f"--filename {filename!r}: without {{stem}} all stems have one name", example)
    if several and "track" not in fields:
        raise UsageError(f"--filename {filename!r}: without {{track}} all tracks have one name", example)
    path = Path(filename)
    if path.is_absolute() or ".." in path.parts or filename.endswith(("/", "\\")):
        raise UsageError(f"--filename {filename!r}: must stay below --out", example)
    if "ext" not in fields:
        raise UsageError(f"--filename {filename!r}: without {{ext}} the names do not say the format", example)


def fill_track(template: str, track: str) -> str:
    """The template with ``{track}`` filled in and the other fields left for later."""
    filled = ""
    for literal, field, _, _ in Formatter().parse(template):
        filled += literal.replace("{", "{{").replace("}", "}}")
        if field == "track":
            filled += track.replace("{", "{{").replace("}", "}}")
        elif field is not None:
            filled += f"{{{field}}}"
    return filled
