"""Numbers as the page writes them: rounded, with a true minus sign, "–" for nan and "∞" for inf."""

from __future__ import annotations

import math

from majl_cli.evaluation.results import MetricSummary
from majl_cli.metrics.names import Metric
from majl_cli.metrics.statistics import Interval

NOTHING = "–"
MINUS = "−"


def numeral(value: float, digits: int, *, signed: bool = False) -> str:
    """1.25 and two digits to "1.25"; ``signed`` writes "+1.25"."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return f"{MINUS if value < 0 else '+' if signed else ''}∞"
    # Adding 0 turns the -0.0 that rounding can leave into 0.0.
    value = round(value, digits) + 0.0
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):.{digits}f}"


def shown(value: float, metric: Metric, *, signed: bool = False) -> str:
    """A stored value in the unit of its metric, without the unit."""
    return numeral(value * metric.scale, metric.digits, signed=signed)


def with_unit(value: float, metric: Metric) -> str:
    """A stored value and its unit, "4.32 dB"."""
    text = shown(value, metric)
    return text if text == NOTHING else f"{text} {metric.unit}"


def bounds(interval: Interval, metric: Metric, *, signed: bool = False) -> str:
    """The interval alone, "[1.02, 1.48]", or "[–]" where there is none."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return f"[{NOTHING}]"
    low, high = (shown(value, metric, signed=signed) for value in (interval.low, interval.high))
    return f"[{low}, {high}]"


def probability(p: float) -> str:
    """ "0.012", "< 0.001"."""
    return "< 0.001" if p < 0.001 else numeral(p, 3)


def tracks_with_a_score(summary: MetricSummary) -> str:
    """ "48 of 50", or just "50" if all have one."""
    count = summary.mean.count
    return f"{whole(count)} of {whole(count + summary.missing)}" if summary.missing else whole(count)


def whole(number: int) -> str:
    """1234 to "1,234"."""
    return f"{number:,}"
