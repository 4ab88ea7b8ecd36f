"""The filter on a folder of pseudo-labels: choose the threshold, keep, and write what was kept and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from majl_cli.data.manifest import Track, read_manifest, write_manifest
from majl_cli.errors import DataError
from majl_cli.files import locked, write_errors_explained
from majl_cli.inference.track_log import read_json, write_json
from majl_cli.pseudolabel.filter import HISTOGRAM_BINS, LEAST_SHARE, SEGMENT_SECONDS, FilterResult, filter_tracks
from majl_cli.pseudolabel.folder import KIND_OF_LABELS, MANIFEST_FILE
from majl_cli.pseudolabel.held_out import NOT_CALIBRATED, REPORT_FILE, Calibration, describe_held_out, read_calibration
from majl_cli.pseudolabel.threshold import PRECISION, PrecisionCurve, precision_curve, smallest_threshold

KEPT_FILE, FILTER_FILE, PLOT_FILE = "kept.jsonl", "filter.json", "filter.png"
FILTER_LOCK = ".filter.lock"


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """``result`` of the filter; ``curve`` None if a kind has no held-out frames; ``target`` the precision that ``auto``
    was to reach, None for a threshold that was given; ``precision`` the one on held-out tracks at the threshold, None
    if it is not known."""

    result: FilterResult
    curve: PrecisionCurve | None
    calibration: Calibration
    target: float | None
    precision: float | None

    def as_json(self) -> dict[str, Any]:
        """Everything but the tracks; what is not known is None."""
        result, curve = self.result, self.curve
        rows = [] if curve is None else zip(curve.th, curve.precision, curve.share_kept, strict=True)
        return {
            "th": result.th,
            "everything_kept": result.everything_kept,
            "auto": self.target is not None,
            "precision_wanted": self.target,
            "precision_at_th": _rounded(self.precision),
            "segment_seconds": SEGMENT_SECONDS,
            "least_share": LEAST_SHARE,
            "given": asdict(result.given),
            "kept": asdict(result.kept),
            "groups": [asdict(group) for group in result.groups],
            "histogram": {"bins": HISTOGRAM_BINS, "counts": result.histogram},
            "curve": [
                {
                    "th": round(float(th), 2),
                    "precision": _rounded(float(precision)),
                    "share_kept": round(float(share), 5),
                }
                for th, precision, share in rows
            ],
            "temperature": self.calibration.temperature,
            "calibration": {kind: describe_held_out(part) for kind, part in self.calibration.held_out.items()},
        }


def filter_folder(
    folder: Path, *, th: float | None = None, precision: float = PRECISION, out: Path | None = None
) -> Filtered:
    """Filter the manifest of ``folder`` at ``th``, or at the smallest threshold that reaches ``precision`` (``th``
    None), and write kept.jsonl and filter.json to ``out`` (default: ``folder``). Raises MajlError."""
    filtered, out = _filter(folder, th, precision), out or folder
    with locked(out, "filtering", name=FILTER_LOCK, wait=True):
        _write(filtered, out)
    return filtered


def kept_manifest(folder: Path, *, th: float | None, precision: float = PRECISION) -> tuple[Path, Filtered | None]:
    """The kept.jsonl of ``folder`` at this threshold (None: auto), and the filtering if it had to be done: there was
    none, or one at another threshold, or of older pseudo-labels. Of several processes that ask at once, one filters
    and the others wait for it. Raises MajlError."""
    kept, labels = folder / KEPT_FILE, folder / MANIFEST_FILE
    if _is_done(folder, th, precision):
        return kept, None
    if not labels.exists():
        read_manifest(labels)  # raises, before a lock makes the folder
    with locked(folder, "filtering", name=FILTER_LOCK, wait=True):
        if _is_done(folder, th, precision):
            return kept, None
        filtered = _filter(folder, th, precision)
        _write(filtered, folder)
    return kept, filtered


def kept_before(folder: Path) -> Path | None:
    """The kept.jsonl of these pseudo-labels, at whatever threshold; None if they were not filtered yet."""
    return folder / KEPT_FILE if _report(folder) is not None else None


def _is_done(folder: Path, th: float | None, precision: float) -> bool:
    """Whether kept.jsonl is of these pseudo-labels and this threshold."""
    before = _report(folder)
    if before is None:
        return False
    return before["precision_wanted"] == precision if th is None else before["th"] == th and not before["auto"]


def _report(folder: Path) -> dict[str, Any] | None:
    """What filter.json, written last, says of a kept.jsonl of these pseudo-labels; None if there is no such."""
    try:
        before = read_json(folder / FILTER_FILE)
        current = (folder / KEPT_FILE).stat().st_mtime >= (folder / MANIFEST_FILE).stat().st_mtime
    except (DataError, OSError):
        return None
    return before if current and {"precision_wanted", "th", "auto"} <= before.keys() else None


def _filter(folder: Path, th: float | None, precision: float) -> Filtered:
    tracks = read_manifest(folder / MANIFEST_FILE)
    calibration = read_calibration(folder) if (folder / REPORT_FILE).exists() else NOT_CALIBRATED
    frames = frames_by_kind(tracks)
    curve, reached, target = _curve(calibration, frames, needed=th is None), math.nan, None
    if th is None:
        assert curve is not None
        th, target = smallest_threshold(curve, precision), precision
    if curve is not None:
        reached = float(precision_curve(calibration.held_out, frames, thresholds=np.array([th])).precision[0])
    return Filtered(
        result=filter_tracks(tracks, th),
        curve=curve,
        calibration=calibration,
        target=target,
        precision=None if math.isnan(reached) else reached,
    )


def _curve(calibration: Calibration, frames: dict[str, int], *, needed: bool) -> PrecisionCurve | None:
    """The curve; None, or DataError if it is ``needed``, where a kind was not held out."""
    try:
        return precision_curve(calibration.held_out, frames)
    except DataError:
        if needed:
            raise
        return None


def _write(filtered: Filtered, out: Path) -> None:
    """kept.jsonl, then filter.json: whenever this ends early, no filter.json vouches for another kept.jsonl."""
    with write_errors_explained(out / FILTER_FILE):
        (out / FILTER_FILE).unlink(missing_ok=True)
    write_manifest(out / KEPT_FILE, filtered.result.tracks)
    write_json(out / FILTER_FILE, filtered.as_json())


def frames_by_kind(tracks: Sequence[Track]) -> dict[str, int]:
    """How many frames of each kind have a confidence."""
    counts: dict[str, int] = {}
    for track in tracks:
        kind = KIND_OF_LABELS.get(track.bucket)
        if kind is None or track.confidence is None:
            raise DataError(f"track {track.id}: has no confidence", "filter what majl pseudolabel has written")
        try:
            lines = track.confidence.read_bytes().count(b"\n")
        except OSError as error:
            raise DataError(f"{track.confidence}: not readable: {error}", "run majl pseudolabel again") from error
        counts[kind] = counts.get(kind, 0) + max(lines - 1, 0)
    return counts


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 5)
