"""Arms of an experiment compared: tables in Markdown, and every score as CSV or JSON.

Separation is in dB with two decimals, pitch and voicing in percent with one (differences in points). Intervals are
bootstrap intervals of 95 % over tracks, or over whole groups of tracks (a singer's, a song's) where an arm names them;
the seeds of an arm are averaged within a track first.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from majl_cli.errors import DataError, UsageError
from majl_cli.inference.outputs import written_aside
from majl_cli.metrics.statistics import Interval, bootstrap_interval, paired_difference

METRIC_NAMES = {
    "sdr": "SDR",
    "sdr_gain": "SDR gain",
    "rpa": "RPA",
    "rca": "RCA",
    "oa": "OA",
    "vr": "VR",
    "vfa": "VFA",
    "rpa_clean": "RPA clean",
    "oa_clean": "OA clean",
}
IN_DECIBELS = ("sdr", "sdr_gain")
NOTHING = "–"


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmScores:
    """What one arm of an experiment scored: ``arm`` is its name, ``label`` what tables and plots call it.

    ``scores`` holds arrays (seeds, tracks): ``sdr`` and ``sdr_gain`` in dB, ``rpa``, ``rca``, ``oa``, ``vr`` and
    ``vfa`` from the mixture and ``rpa_clean`` and ``oa_clean`` from the clean vocals, as shares in [0, 1]; nan where a
    track has no such score. ``groups`` names the singer or song of each track; empty: each track stands for itself.
    """

    arm: str
    label: str
    seeds: list[int]
    tracks: list[str]
    groups: list[str]
    scores: dict[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        shape = (len(self.seeds), len(self.tracks))
        for metric, values in self.scores.items():
            if np.shape(values) != shape:
                raise DataError(
                    f"arm {self.arm}: {metric} has the shape {np.shape(values)}",
                    f"give {shape[0]} seeds by {shape[1]} tracks",
                )
        if self.groups and len(self.groups) != len(self.tracks):
            raise DataError(
                f"arm {self.arm}: {len(self.groups)} groups for {len(self.tracks)} tracks", "give one group a track"
            )
        if len(set(self.tracks)) < len(self.tracks):
            raise DataError(f"arm {self.arm}: a track appears twice", "give each track an id of its own")


def scores_table(arms: Sequence[ArmScores], *, metrics: Sequence[str] | None = None) -> str:
    """Markdown: an arm a row, each metric as "mean [low, high]"; by default all metrics that an arm has."""
    metrics = _checked_metrics(arms, metrics)
    headings = ["arm", "seeds", "tracks", *(f"{METRIC_NAMES[metric]} ({unit(metric)})" for metric in metrics)]
    rows = []
    for arm in arms:
        cells = (_cell(arm_interval(arm, metric), metric, tracks=len(arm.tracks)) for metric in metrics)
        rows.append([_text(arm.label), str(len(arm.seeds)), str(len(arm.tracks)), *cells])
    return f"{_markdown(headings, rows)}\n\n{_caption('Mean', arms)} n: tracks that have the score, if not all.\n"


def differences_table(arms: Sequence[ArmScores], *, reference: str, metrics: Sequence[str] | None = None) -> str:
    """Markdown: each arm minus the arm named ``reference``, paired by track; bold where the interval excludes 0.

    Raises UsageError if there is no such arm, DataError if an arm was scored on other tracks.
    """
    metrics = _checked_metrics(arms, metrics)
    base = next((arm for arm in arms if arm.arm == reference), None)
    if base is None:
        raise UsageError(f"no arm {reference!r}", f"use one of {', '.join(arm.arm for arm in arms)}")
    units = {metric: "dB" if metric in IN_DECIBELS else "points" for metric in metrics}
    headings = ["arm", *(f"Δ {METRIC_NAMES[metric]} ({units[metric]})" for metric in metrics)]
    rows = []
    for arm in arms:
        if arm is base:
            continue
        cells = []
        for metric in metrics:
            difference = arm_difference(arm, base, metric)
            cell = _cell(difference, metric, tracks=len(base.tracks), signed=True)
            cells.append(f"**{cell}**" if difference is not None and difference.excludes_zero else cell)
        rows.append([_text(arm.label), *cells])
    caption = _caption(f"Mean difference to {_text(base.label)}, paired by track", [base])
    note = "Bold: the interval excludes 0 (no correction for many comparisons)."
    return f"{_markdown(headings, rows)}\n\n{caption} {note}\n"


def arm_interval(arm: ArmScores, metric: str) -> Interval | None:
    """The mean of a metric over tracks; None if the arm has no finite score."""
    values = arm.scores.get(metric)
    if values is None or not np.isfinite(values).all(axis=0).any():
        return None
    return bootstrap_interval(values, groups=arm.groups or None)


def arm_difference(arm: ArmScores, reference: ArmScores, metric: str) -> Interval | None:
    """The mean of ``arm`` - ``reference`` over the same tracks, in any order; None if no track has both scores."""
    if set(arm.tracks) != set(reference.tracks):
        strange = sorted(set(arm.tracks) ^ set(reference.tracks))
        raise DataError(
            f"arms {arm.arm} and {reference.arm} were scored on different tracks, such as {strange[0]}",
            "score all arms on the same tracks",
        )
    if metric not in arm.scores or metric not in reference.scores:
        return None
    places = {track: place for place, track in enumerate(arm.tracks)}
    values = np.asarray(arm.scores[metric])[:, [places[track] for track in reference.tracks]]
    base = np.asarray(reference.scores[metric])
    if not (np.isfinite(values).all(axis=0) & np.isfinite(base).all(axis=0)).any():
        return None
    return paired_difference(values, base, groups=reference.groups or None)


def unit(metric: str) -> str:
    """Of a metric as tables and plots show it."""
    return "dB" if metric in IN_DECIBELS else "%"


def scale(metric: str) -> float:
    """What a score is multiplied with to be in its unit."""
    return 1.0 if metric in IN_DECIBELS else 100.0


def write_scores_csv(arms: Sequence[ArmScores], target: Path | BinaryIO) -> None:
    """Columns ``arm,seed,track,group`` and the scores, one row an arm, seed and track.

    dB and shares, unrounded; empty where an arm lacks a metric, nan where a track lacks it.
    """
    metrics = list(dict.fromkeys(metric for arm in arms for metric in arm.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "seed", "track", "group", *metrics])
    for row in _rows(arms):
        scores = row.pop("scores")
        writer.writerow([*row.values(), *(scores.get(metric, "") for metric in metrics)])
    with written_aside(target) as file:
        file.write(text.getvalue().encode("utf-8"))


def write_scores_json(arms: Sequence[ArmScores], target: Path | BinaryIO) -> None:
    """The arms' labels and a list of rows as in the CSV; null where a score is not finite."""
    rows = _rows(arms)
    for row in rows:
        row["scores"] = {key: value if math.isfinite(value) else None for key, value in row["scores"].items()}
    document = {"labels": {arm.arm: arm.label for arm in arms}, "rows": rows}
    with written_aside(target) as file:
        file.write((json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8"))


def _rows(arms: Sequence[ArmScores]) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm.arm,
            "seed": seed,
            "track": track,
            "group": arm.groups[column] if arm.groups else "",
            "scores": {metric: float(values[row][column]) for metric, values in arm.scores.items()},
        }
        for arm in arms
        for row, seed in enumerate(arm.seeds)
        for column, track in enumerate(arm.tracks)
    ]


def _checked_metrics(arms: Sequence[ArmScores], metrics: Sequence[str] | None) -> list[str]:
    if metrics is None:
        return [metric for metric in METRIC_NAMES if any(metric in arm.scores for arm in arms)]
    for metric in metrics:
        if metric not in METRIC_NAMES:
            raise UsageError(f"no metric {metric!r}", f"use some of {', '.join(METRIC_NAMES)}")
    return list(metrics)


def _cell(interval: Interval | None, metric: str, *, tracks: int, signed: bool = False) -> str:
    if interval is None:
        return NOTHING
    digits = 2 if metric in IN_DECIBELS else 1
    # Adding 0 turns the -0.0 that rounding can leave into 0.0.
    mean, low, high = (
        f"{round(value * scale(metric), digits) + 0.0:{'+' if signed else ''}.{digits}f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    bounds = f"[{low}, {high}]" if math.isfinite(interval.low) else f"[{NOTHING}]"
    return f"{mean} {bounds}" + (f" (n = {interval.count})" if interval.count < tracks else "")


def _caption(what: str, arms: Sequence[ArmScores]) -> str:
    grouped = {bool(arm.groups) for arm in arms}
    over = "groups of tracks" if grouped == {True} else "tracks" if grouped == {False} else "tracks or groups of them"
    return f"{what} [95 % bootstrap interval over {over}]; seeds are averaged within a track first."


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(label: str) -> str:
    return label.replace("|", "\\|").replace("\n", " ")
