"""What is finished of a long work on many tracks: a line for each in a log that survives being killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import zlib
from pathlib import Path
from typing import Any

from majl_cli.errors import DataError
from majl_cli.files import write_errors_explained
from majl_cli.inference.outputs import written_aside


class ResultLog:
    """JSON Lines at ``path``: rows by track id (``id``); a line cut short when the process was killed is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.rows: dict[str, dict[str, Any]] = {}
        text = self.path.read_bytes() if self.path.exists() else b""
        whole = []
        for line in text.splitlines(keepends=True):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                if line.endswith(b"\n"):
                    self.rows[row["id"]] = row
                    whole.append(line)
        if b"".join(whole) != text:
            with written_aside(self.path) as file:
                file.write(b"".join(whole))

    def append(self, row: dict[str, Any]) -> None:
        """One line, on the disk before this returns; from any thread."""
        with self._lock, write_errors_explained(self.path), self.path.open("ab") as file:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
            self.rows[row["id"]] = row


def safe_name(id: str) -> str:
    """A track's id as the name of a folder, different for different ids."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", id)
    if name == id and len(id) <= 100 and not id.startswith("."):
        return id
    return f"{name.lstrip('.')[:80]}-{zlib.crc32(id.encode('utf-8', 'surrogateescape')):08x}"


def read_json(path: Path, hint: str = "run the command that wrote it again") -> dict[str, Any]:
    """Raises DataError if there is no such file or it is not one JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint) from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a JSON object", hint)
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """The whole file or nothing; its folder is made."""
    with written_aside(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
