"""What was fetched first is what is used from then on: commits and digests recorded on first use.

The file is the user's, ``pins.json``: a source's label to commit (of a Hub's repository), digest, bytes and day.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from majl_cli.errors import HubError
from majl_cli.files import aside_path, locked
from majl_cli.hub.failures import storage_errors_explained
from majl_cli.hub.places import pins_file
from majl_cli.hub.registry import Source


@dataclass(frozen=True, kw_only=True)
class Pin:
    """``commit`` is empty for what does not lie in a repository; ``day`` as 2026-11-26."""

    sha256: str
    bytes: int
    commit: str = ""
    day: str = ""


def read_pins() -> dict[str, Pin]:
    """All pins by the label of their source. Raises HubError if the file is damaged."""
    path = pins_file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Pin])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, OSError) as error:
        raise HubError(f"{path}: not readable: {error}", "mend or remove it; majl models pull records anew") from error


def known_pin(source: Source, pins: dict[str, Pin]) -> Pin | None:
    """What its files must be: what the registry says of them, or what was recorded."""
    if source.is_pinned:
        return Pin(sha256=source.sha256, bytes=source.bytes, commit="" if source.url else source.revision)
    return pins.get(source.label)


def record_pins(new: dict[str, Pin]) -> None:
    """Add pins, or put them in the place of those of the same labels. Raises HubError."""
    path = pins_file()
    with storage_errors_explained(path.parent, "MAJL_HOME"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent, "recording digests", name=".pins.lock", wait=True):
            pins = {label: asdict(pin) for label, pin in sorted((read_pins() | new).items())}
            _write(path, json.dumps(pins, indent=2) + "\n")


def today() -> str:
    return datetime.date.today().isoformat()


def _write(path: Path, text: str) -> None:
    aside = aside_path(path)
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
