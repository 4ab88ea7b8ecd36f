"""What is known from held-out tracks: their frames' confidences, whether each was right, and the temperature.

Kept in ``calibration.json`` (for people) and ``calibration.npz`` (the frames, for the filter).

Letters: N frames.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from majl_cli.errors import DataError
from majl_cli.inference.track_log import read_json, write_json
from majl_cli.pseudolabel.confidence import Bools, Floats
from majl_cli.pseudolabel.folder import write_arrays

KINDS = ("pitch", "stems")
REPORT_FILE, FRAMES_FILE = "calibration.json", "calibration.npz"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Frames of one kind: ``confidence`` (N,) in [0, 1] at the chosen temperature and ``right`` (N,).

    Expected calibration errors at temperature 1, at the chosen one, and at the one chosen on the other half of the
    tracks (nan with fewer than two tracks, or without frames).
    """

    confidence: Floats
    right: Bools
    ece_before: float
    ece_after: float
    ece_cross_validated: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The ``temperature`` and, for "pitch" and "stems", the held-out frames; none of them if nothing was held out."""

    temperature: float
    held_out: dict[str, HeldOut]
    tracks: tuple[str, ...] = ()


NOT_CALIBRATED = Calibration(temperature=1.0, held_out={})


def read_calibration(folder: Path) -> Calibration:
    """What ``calibrate`` wrote. Raises DataError if it is not there or damaged."""
    report = read_json(folder / REPORT_FILE)
    try:
        held_out = {}
        with np.load(folder / FRAMES_FILE) as arrays:
            for kind in KINDS:
                numbers = {name: report[kind][name] for name in ("ece_before", "ece_after", "ece_cross_validated")}
                held_out[kind] = HeldOut(
                    confidence=arrays[f"{kind}_confidence"].astype(np.float64),
                    right=arrays[f"{kind}_right"],
                    **{name: float("nan") if value is None else float(value) for name, value in numbers.items()},
                )
        tracks = tuple(report["tracks"])
        return Calibration(temperature=float(report["temperature"]), held_out=held_out, tracks=tracks)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        hint = f"remove {REPORT_FILE} there and run majl pseudolabel again"
        raise DataError(f"{folder}: calibration not readable: {error}", hint) from error


def write_calibration(out: Path, calibration: Calibration, owner: Mapping[str, str]) -> None:
    """What ``read_calibration`` reads; ``owner`` says of which model it is."""
    arrays: dict[str, Floats | Bools] = {}
    for kind, part in calibration.held_out.items():
        arrays |= {f"{kind}_confidence": part.confidence, f"{kind}_right": part.right}
    write_arrays(out / FRAMES_FILE, **arrays)
    write_json(
        out / REPORT_FILE,
        {"temperature": calibration.temperature, "tracks": list(calibration.tracks), **owner}
        | {kind: describe_held_out(part) for kind, part in calibration.held_out.items()},
    )


def describe_held_out(part: HeldOut) -> dict[str, float | int | None]:
    """Frames, share right, mean confidence and calibration errors, for people to read; None for what is unknown."""

    def number(value: float) -> float | None:
        return round(float(value), 5) if np.isfinite(value) else None

    some = len(part.right) > 0
    return {
        "frames": len(part.right),
        "share_right": number(part.right.mean()) if some else None,
        "mean_confidence": number(part.confidence.mean()) if some else None,
        "ece_before": number(part.ece_before),
        "ece_after": number(part.ece_after),
        "ece_cross_validated": number(part.ece_cross_validated),
    }
