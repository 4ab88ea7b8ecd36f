"""What ``majl pseudolabel`` says: lines for people, one object for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majl_cli.cli.batch import explain_os_error
from majl_cli.cli.console import Console, print_error
from majl_cli.errors import MajlError

if TYPE_CHECKING:
    from majl_cli.pseudolabel.generate import Outcome
    from majl_cli.pseudolabel.held_out import Calibration, HeldOut


def calibration_lines(calibration: Calibration) -> list[str]:
    """The temperature, and for each kind of label what it does to the calibration error."""
    if not calibration.held_out:
        return ["not calibrated: the confidences are not tested"]
    first = f"calibrated on {_tracks(len(calibration.tracks))}: temperature {calibration.temperature:.3f}"
    return [first, *(f"  {kind}: {_errors(part)}" for kind, part in calibration.held_out.items())]


def print_failure(outcome: Outcome) -> None:
    """The track, what is wrong with it and what to do, on stderr."""
    error = explained(outcome)
    if error is not None:
        named = error.message if outcome.track.id in error.message else f"track {outcome.track.id}: {error.message}"
        print_error(MajlError(named, error.hint))


def explained(outcome: Outcome) -> MajlError | None:
    return explain_os_error(outcome.error, outcome.track.id) if isinstance(outcome.error, OSError) else outcome.error


def print_summary(outcomes: Sequence[Outcome], manifest: Path, console: Console) -> None:
    """Counts and mean confidence by bucket, and where the manifest is."""
    for outcome in outcomes:
        if outcome.clipped and not outcome.before:
            console.note(f"track {outcome.track.id}: {outcome.clipped} samples of the stem beyond full scale, clamped")
    for bucket in sorted({outcome.track.bucket for outcome in outcomes}):
        ours = [outcome for outcome in outcomes if outcome.track.bucket == bucket]
        done = [outcome for outcome in ours if outcome.error is None]
        before = sum(outcome.before for outcome in done)
        line = f"{bucket}: {len(done)} of {_tracks(len(ours))} labelled"
        line += f" ({before} of them by an earlier start)" if before else ""
        if done:
            hours = sum(outcome.track.duration for outcome in done) / 3600
            mean = sum(outcome.confidence for outcome in done) / len(done)
            line += f", {hours:.3f} h, mean confidence {mean:.3f}"
        console.result(line)
    console.result(str(manifest))


def as_json(outcomes: Sequence[Outcome], calibration: Calibration, manifest: Path) -> dict[str, Any]:
    """The whole run."""
    from majl_cli.pseudolabel.held_out import describe_held_out

    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {"id": outcome.track.id, "bucket": outcome.track.bucket}
        error = explained(outcome)
        if error is not None:
            row |= {"status": "failed", "error": error.message, "hint": error.hint}
        else:
            status = "skipped" if outcome.before else "done"
            row |= {"status": status, "confidence": outcome.confidence, "clipped": outcome.clipped}
        rows.append(row)
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "skipped", "failed")}
    return {
        "command": "pseudolabel",
        "manifest": str(manifest),
        "temperature": calibration.temperature,
        "calibration": {kind: describe_held_out(part) for kind, part in calibration.held_out.items()},
        "tracks": rows,
        "summary": counts,
    }


def _errors(part: HeldOut) -> str:
    if not len(part.right):
        return "no labelled frame"
    crossed = part.ece_cross_validated
    honest = "" if crossed != crossed else f" ({crossed:.1%} on the half that did not choose it)"
    return f"calibration error {part.ece_before:.1%} before, {part.ece_after:.1%} after{honest}, {_right(part)}"


def _right(part: HeldOut) -> str:
    return f"{part.right.mean():.1%} of {len(part.right)} frames right"


def _tracks(count: int) -> str:
    return f"{count} track{'s' * (count != 1)}"
