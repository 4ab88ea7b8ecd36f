"""Every score of every track as compact data for the page's script: shown values, a column each key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from majl_cli.evaluation.results import Result
from majl_cli.metrics.names import metric_of, part_of
from majl_cli.report.page.header import ROLES
from majl_cli.report.page.scores import part_name

Shown = float | int | str | None


def track_data(results: Sequence[Result], keys: Sequence[str]) -> dict[str, Any]:
    """Tracks and groups by number; None for a score that is missing or nan, "inf" or "-inf" for an endless one."""
    tracks = {name: place for place, name in enumerate(dict.fromkeys(row.id for each in results for row in each.rows))}
    groups = {name: place for place, name in enumerate(dict.fromkeys(r.group for each in results for r in each.rows))}
    return {
        "tracks": list(tracks),
        "groups": list(groups),
        "parts": [{"key": part, "name": part_name(part)} for part in dict.fromkeys(map(part_of, keys))],
        "keys": [_key(key) for key in keys],
        "estimators": [
            {
                "name": result.name,
                "framing": result.kind in ROLES,
                "track": [tracks[row.id] for row in result.rows],
                "group": [groups[row.group] for row in result.rows],
                "seconds": [_rounded(row.seconds, 1) for row in result.rows],
                "scores": {key: _column(result, key) for key in keys if any(key in row.scores for row in result.rows)},
                "notes": {place: list(row.notes) for place, row in enumerate(result.rows) if row.notes},
                "errors": {place: row.error for place, row in enumerate(result.rows) if row.error},
            }
            for result in results
        ],
    }


def _key(key: str) -> dict[str, Any]:
    metric = metric_of(key)
    return {
        "key": key,
        "part": part_of(key),
        "name": metric.name,
        "unit": metric.unit,
        "digits": metric.digits,
        "kind": metric.kind,
    }


def _column(result: Result, key: str) -> list[Shown]:
    metric = metric_of(key)
    return [_rounded(row.scores.get(key, math.nan) * metric.scale, metric.digits) for row in result.rows]


def _rounded(value: float, digits: int) -> Shown:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    value = round(float(value), digits) + 0.0
    return int(value) if value.is_integer() else value
