"""The mixtures of a protocol as files, for tools that majl does not run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from majl_cli.data.manifest import Track
from majl_cli.evaluation.prepared import prepare_track
from majl_cli.evaluation.scoring import Scoring
from majl_cli.inference.track_log import safe_name


def write_mixtures(
    tracks: Sequence[Track], folder: Path, scoring: Scoring, *, listener: Callable[[Track], None] = lambda track: None
) -> dict[str, Path]:
    """``folder``/ID.wav of each track, in 32-bit float, by track id. Raises MajlError."""
    files = {}
    work = folder / ".work"
    for track in tracks:
        try:
            prepared = prepare_track(track, work, stems=(), target=scoring.target, snr_db=scoring.snr_db)
            files[track.id] = prepared.mixture.replace(folder / f"{safe_name(track.id)}.wav")
        finally:
            shutil.rmtree(work, ignore_errors=True)
        listener(track)
    return files
