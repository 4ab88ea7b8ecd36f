"""Rows summed up: means with intervals, medians, length-weighted means; and two estimators compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from majl_cli.errors import DataError
from majl_cli.evaluation.results import Difference, MetricSummary, Result, TrackRow
from majl_cli.metrics.names import METRICS, metric_of, part_of
from majl_cli.metrics.statistics import bootstrap_interval, paired_difference, paired_test

# With fewer singers or artists an interval over them says little: then it is over tracks.
FEWEST_GROUPS = 10
_PARTS = ("vocals", "accompaniment", "melody", "melody_clean", "notes", "notes_clean")


def score_keys(results: Sequence[Result]) -> list[str]:
    """All keys that a result has, by part and in the order of the table of metrics."""
    found = {key for result in results for row in result.rows for key in row.scores}
    order = list(METRICS)
    parts = [*_PARTS, *sorted({part_of(key) for key in found} - set(_PARTS))]
    return sorted(found, key=lambda key: (parts.index(part_of(key)), order.index(metric_of(key).key)))


def groups_of(rows: Sequence[TrackRow]) -> list[str] | None:
    """The group of each row where there are enough of them for an interval over groups, else None."""
    groups = [row.group for row in rows]
    return groups if all(groups) and len(set(groups)) >= FEWEST_GROUPS else None


def summarise(result: Result) -> dict[str, MetricSummary]:
    """Each key that has a finite score somewhere."""
    rows = [row for row in result.rows if not row.error]
    groups, seconds = groups_of(rows), np.array([row.seconds for row in rows])
    summaries = {}
    for key in score_keys([result]):
        values = np.array([row.scores.get(key, math.nan) for row in rows])
        finite = np.isfinite(values)
        if not finite.any():
            continue
        summaries[key] = MetricSummary(
            key=key,
            mean=bootstrap_interval(values, groups=groups),
            median=float(np.median(values[finite])),
            weighted=float(np.average(values[finite], weights=seconds[finite])),
            missing=len(result.rows) - int(finite.sum()),
        )
    return summaries


def differences(a: Result, b: Result) -> list[Difference]:
    """``a`` less ``b`` on each score both have, over the tracks both have. Raises DataError if there are none."""
    others = {row.id: row for row in b.rows if not row.error}
    rows = [row for row in a.rows if row.id in others and not row.error]
    if not rows:
        raise DataError(f"{a.name} and {b.name} share no track", "score both on the same tracks")
    found = []
    for key in score_keys([a]):
        ours = _values(rows, key)
        theirs = _values([others[row.id] for row in rows], key)
        if (np.isfinite(ours) & np.isfinite(theirs)).any():
            found.append(_difference(key, a.name, b.name, ours, theirs, groups_of(rows)))
    return found


def _difference(
    key: str, a: str, b: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], groups: list[str] | None
) -> Difference:
    metric = metric_of(key)
    both = np.isfinite(ours) & np.isfinite(theirs)
    steps = np.round((ours[both] - theirs[both]) * metric.scale, metric.digits) * (
        1 if metric.better == "higher" else -1
    )
    return Difference(
        key=key,
        a=a,
        b=b,
        mean=paired_difference(ours, theirs, groups=groups),
        p=paired_test(ours, theirs, groups=groups),
        better=int((steps > 0).sum()),
        equal=int((steps == 0).sum()),
        worse=int((steps < 0).sum()),
    )


def _values(rows: Sequence[TrackRow], key: str) -> NDArray[np.float64]:
    return np.array([row.scores.get(key, math.nan) for row in rows])
