"""Where tracks come from: manifests and corpus folders, as given on the command line or in a project file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import Track, read_manifest
from majl_cli.errors import DataError

STREAM = "synth"


def load_tracks(*, manifests: Iterable[str | Path] = (), folders: Iterable[str] = ()) -> list[Track]:
    """All tracks of the manifests (JSON Lines) and folders (``corpus=folder``, or ``synth=FILE`` for pieces made while
    training). Raises DataError."""
    tracks = [track for path in manifests for track in read_manifest(Path(path))]
    for item in folders:
        name, sign, folder = item.partition("=")
        if name == STREAM and sign:
            from majl_cli.data.synth.stream import stream_tracks

            tracks += stream_tracks(Path(folder))
            continue
        if not sign or name not in corpora:
            raise DataError(
                f"--data {item}: no such corpus", f"write CORPUS=FOLDER with one of {', '.join(corpora)}, or synth=FILE"
            )
        tracks += corpora[name](Path(folder))
    return tracks
