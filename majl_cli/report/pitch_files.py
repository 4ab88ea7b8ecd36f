"""Pitch tracks as CSV and NPZ, and the writing of small files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from majl_cli.inference.session import PitchTrack


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the name ``path`` when the block ends well, and vanishes when it does not."""
    aside = path.with_name(f".{path.name[:200]}.tmp-majl{os.getpid()}")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_csv(track: PitchTrack, path: Path, *, raw: bool = False) -> None:
    """Columns ``time,frequency,confidence,voiced``: s, Hz, [0, 1], 0 or 1; one row a frame, the first at t = 0.

    The frequency is 0 where unvoiced; with ``raw`` it is the guess there too.
    """
    frequency = track.frequency if raw else track.f0
    rows = zip(track.times, frequency, track.confidence, track.voiced, strict=True)
    lines = [f"{time:.6f},{hertz:.3f},{confidence:.4f},{int(voiced)}\n" for time, hertz, confidence, voiced in rows]
    with written_aside(path) as file:
        file.write(("time,frequency,confidence,voiced\n" + "".join(lines)).encode("ascii"))


def write_npz(track: PitchTrack, path: Path) -> None:
    """Arrays ``times``, ``f0`` (0 Hz where unvoiced), ``frequency`` (the guess everywhere), ``confidence``, ``voiced``.

    All have one value a frame; ``threshold`` is the confidence from which a frame counts as voiced.
    """
    with written_aside(path) as file:
        np.savez_compressed(
            file,
            times=track.times,
            f0=track.f0,
            frequency=track.frequency,
            confidence=track.confidence,
            voiced=track.voiced,
            threshold=np.float64(track.threshold),
        )
