"""An evaluation as files: every score as CSV, the summary as JSON, and both as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from majl_cli.evaluation.results import Difference, MetricSummary, Result
from majl_cli.evaluation.summary import groups_of, score_keys
from majl_cli.inference.outputs import written_aside
from majl_cli.metrics.names import metric_of
from majl_cli.metrics.statistics import Interval

Summaries = Mapping[str, Mapping[str, MetricSummary]]  # by estimator, by key


def write_scores_csv(results: Sequence[Result], target: Path) -> None:
    """Columns ``estimator,track,group,seconds``, the scores, ``windows,windows_skipped,notes,error``: dB, shares and
    cents, unrounded; empty where a track lacks a score."""
    keys = score_keys(results)
    counts = sorted({name for result in results for row in result.rows for name in row.counts})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["estimator", "track", "group", "seconds", *keys, *counts, "notes", "error"])
    for result in results:
        for row in result.rows:
            scores = [_csv_number(row.scores.get(key, math.nan)) for key in keys]
            named = [row.counts.get(name, "") for name in counts]
            start = [result.name, row.id, row.group, row.seconds]
            writer.writerow([*start, *scores, *named, "; ".join(row.notes), row.error])
    with written_aside(target) as file:
        file.write(text.getvalue().encode("utf-8"))


def summary_document(
    results: Sequence[Result], summaries: Summaries, differences: Sequence[Difference]
) -> dict[str, Any]:
    """All that tables show, as one JSON object: scores in dB, shares and cents."""
    return {
        "estimators": [_estimator(result, summaries[result.name]) for result in results],
        "differences": [
            {"score": d.key, "a": d.a, "b": d.b, **_interval(d.mean), "p": _number(d.p)}
            | {"better": d.better, "equal": d.equal, "worse": d.worse}
            for d in differences
        ],
    }


def _estimator(result: Result, summary: Mapping[str, MetricSummary]) -> dict[str, Any]:
    failed = [row.id for row in result.rows if row.error]
    done = [row for row in result.rows if not row.error]
    groups = groups_of(done)
    return {
        "name": result.name,
        "kind": result.kind,
        "description": result.description,
        "protocol": result.protocol,
        "warnings": list(result.warnings),
        "tracks": len(result.rows),
        "failed": failed,
        "hours": sum(row.seconds for row in result.rows) / 3600,
        "windows": sum(row.counts.get("windows", 0) for row in result.rows),
        "windows_skipped": sum(row.counts.get("windows_skipped", 0) for row in result.rows),
        "interval_over": f"{len(set(groups))} groups of tracks" if groups else "tracks",
        "settings": result.settings,
        "scores": {key: _summary(item) for key, item in summary.items()},
    }


def _summary(item: MetricSummary) -> dict[str, Any]:
    metric = metric_of(item.key)
    row: dict[str, Any] = {
        "name": metric.name,
        "kind": metric.kind,
        "unit": "share" if metric.unit == "%" else metric.unit,
    }
    row |= _interval(item.mean) | {"median": item.median, "missing": item.missing}
    return row | ({metric.weighted: item.weighted} if metric.weighted else {})


def _interval(interval: Interval) -> dict[str, Any]:
    bounds = {"low": _number(interval.low), "high": _number(interval.high)}
    return {"mean": interval.mean, **bounds, "count": interval.count}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _csv_number(value: float) -> float | str:
    return "" if math.isnan(value) else value


def cell(item: MetricSummary | None, *, of: int | None = None) -> str:
    """``8.74 [8.50, 9.00]`` in the metric's unit, and how many tracks it is over where these are fewer than ``of``."""
    if item is None:
        return "–"
    metric, interval = metric_of(item.key), item.mean
    values = (interval.mean, interval.low, interval.high)
    mean, low, high = (f"{round(value * metric.scale, metric.digits) + 0.0:.{metric.digits}f}" for value in values)
    bounds = f" [{low}, {high}]" if math.isfinite(interval.low) else ""
    return mean + bounds + (f" n={interval.count}" if of is not None and interval.count < of else "")
