"""Pairs of estimators on the same tracks: the difference, its interval as a small drawing, and who wins how often."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from majl_cli.evaluation.results import Difference
from majl_cli.metrics.names import Metric, metric_of, part_of
from majl_cli.report.page.numerals import bounds, probability, shown
from majl_cli.report.page.scores import part_name

_HALF_WIDTH = 56.0  # of the drawing, left and right of zero, in its own units


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """Places in the drawing, 0 in the middle; ``low`` and ``high`` are equal to ``mean`` where there is no interval."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """``verdict`` "better", "worse" or "unclear" (the interval holds 0), of the first of the two."""

    part: str
    metric: Metric
    unit: str
    mean: str
    bounds: str
    whisker: Whisker | None
    p: str
    verdict: str
    better: int
    equal: int
    worse: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    a: str
    b: str
    rows: tuple[ComparisonRow, ...]


def comparisons(differences: Sequence[Difference]) -> list[Comparison]:
    """A table each pair, in the given order; drawings of one unit share their scale over all pairs."""
    reach = _reach(differences)
    pairs: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        pairs.setdefault((difference.a, difference.b), []).append(difference)
    return [Comparison(a=a, b=b, rows=tuple(_row(each, reach) for each in own)) for (a, b), own in pairs.items()]


def _reach(differences: Sequence[Difference]) -> dict[str, float]:
    """The largest finite distance from zero by unit, in stored values."""
    reach: dict[str, float] = {}
    for difference in differences:
        unit = metric_of(difference.key).unit
        for value in (difference.mean.mean, difference.mean.low, difference.mean.high):
            if math.isfinite(value):
                reach[unit] = max(reach.get(unit, 0.0), abs(value))
    return reach


def _row(difference: Difference, reach: Mapping[str, float]) -> ComparisonRow:
    metric, mean = metric_of(difference.key), difference.mean
    verdict = "unclear"
    if mean.excludes_zero:
        verdict = "better" if (mean.mean > 0) == (metric.better == "higher") else "worse"
    return ComparisonRow(
        part=part_name(part_of(difference.key)),
        metric=metric,
        unit="points" if metric.unit == "%" else metric.unit,
        mean=shown(mean.mean, metric, signed=True),
        bounds=bounds(mean, metric, signed=True),
        whisker=_whisker(difference, reach.get(metric.unit, 0.0)),
        p=probability(difference.p),
        verdict=verdict,
        better=difference.better,
        equal=difference.equal,
        worse=difference.worse,
    )


def _whisker(difference: Difference, reach: float) -> Whisker | None:
    mean = difference.mean
    if not math.isfinite(mean.mean) or reach == 0:
        return None
    low, high = (value if math.isfinite(value) else mean.mean for value in (mean.low, mean.high))
    low, middle, high = (round(value / reach * _HALF_WIDTH, 1) + 0.0 for value in (low, mean.mean, high))
    return Whisker(low=low, mean=middle, high=high)
