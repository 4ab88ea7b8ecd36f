"""Pitch tracks as files: CSV and NPZ here, and the choice of the writer by a name's ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from majl_cli.errors import UsageError
from majl_cli.inference.notes import f0_to_notes
from majl_cli.inference.outputs import written_aside
from majl_cli.report.midi import write_midi
from majl_cli.report.plots import write_plot

if TYPE_CHECKING:
    from majl_cli.inference.pitch import PitchTrack


def write_pitch(track: PitchTrack, path: Path) -> None:
    """A file of the kind that the name's ending says: .csv, .npz, .mid or .png. Raises UsageError, AudioError."""
    ending = path.suffix.lower()
    if ending == ".csv":
        write_csv(track, path)
    elif ending == ".npz":
        write_npz(track, path)
    elif ending in (".mid", ".midi"):
        write_midi(f0_to_notes(track.times, track.f0), path)
    elif ending == ".png":
        write_plot(track, path)
    else:
        raise UsageError(f"{path}: no kind of pitch file ends like that", "use .csv, .npz, .mid or .png")


def write_csv(track: PitchTrack, target: Path | BinaryIO, *, raw: bool = False) -> None:
    """Columns ``time,frequency,confidence,voiced``: s, Hz, [0, 1], 0 or 1; one row a frame, the first at t = 0.

    The frequency is 0 where unvoiced; with ``raw`` it is the guess there too.
    """
    frequency = track.frequency if raw else track.f0
    rows = zip(track.times, frequency, track.confidence, track.voiced, strict=True)
    lines = [f"{time:.6f},{hertz:.3f},{confidence:.4f},{int(voiced)}\n" for time, hertz, confidence, voiced in rows]
    with written_aside(target) as file:
        file.write(("time,frequency,confidence,voiced\n" + "".join(lines)).encode("ascii"))


def write_npz(track: PitchTrack, target: Path | BinaryIO) -> None:
    """Arrays ``times``, ``f0`` (0 Hz where unvoiced), ``frequency`` (the guess everywhere), ``confidence``, ``voiced``.

    All have one value a frame; ``threshold`` is the confidence from which a frame counts as voiced.
    """
    with written_aside(target) as file:
        np.savez_compressed(
            file,
            times=track.times,
            f0=track.f0,
            frequency=track.frequency,
            confidence=track.confidence,
            voiced=track.voiced,
            threshold=np.float64(track.threshold),
        )
