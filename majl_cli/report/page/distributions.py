"""How a score spreads over tracks: a row each estimator with a dot each track, the median and the middle half.

Dots are stacked up and down where they are dense (after the "sina" plot of Sidiropoulos et al., 2018), by a fixed
sequence instead of chance. An axis leaves out stray values: their dots lie on its edge, and the figure counts them.
Rows are SVG stretched to the width of the page; dots are strokes of no length, which stretching leaves round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majl_cli.evaluation.results import Result, TrackRow
from majl_cli.metrics.names import Metric, metric_of, part_of
from majl_cli.report.page.axes import round_ticks
from majl_cli.report.page.header import ROLES
from majl_cli.report.page.numerals import numeral, shown, whole, with_unit
from majl_cli.report.page.scores import part_name

WIDTH, HEIGHT = 1000.0, 34.0
CHOSEN = ("sdr", "v4_sdr", "v3_nsdr", "rpa", "oa", "conp_f1")
DOTS_WITH_TITLES = 1000  # in a figure; of more, the page's script names the one under the pointer
_REACH = 4.0  # an axis ends this many interquartile ranges outside the quartiles, or at the last dot


@dataclass(frozen=True, kw_only=True)
class Strip:
    """``box`` (left, width) of the middle half and ``median`` are places, None without a finite score.

    ``dots`` is SVG; ``estimator`` the number of the estimator in the page's data.
    """

    name: str
    estimator: int
    role: str
    summary: str
    label: str
    box: tuple[float, float] | None
    median: float | None
    dots: Markup


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``ticks`` are (place, label); ``caption`` says what is not in the picture; ``many`` dots are drawn smaller."""

    key: str
    part: str
    metric: Metric
    many: bool
    ticks: tuple[tuple[float, str], ...]
    strips: tuple[Strip, ...]
    caption: str


def figures(results: Sequence[Result], keys: Sequence[str]) -> tuple[list[Figure], list[Figure]]:
    """A figure each key that a track has a finite score for: the telling ones, and the others."""
    made = {key: _figure(key, results) for key in keys}
    drawn = {key: figure for key, figure in made.items() if figure is not None}
    parts = list(dict.fromkeys(map(part_of, drawn)))
    shown_parts = {*parts[:1], "melody", "notes"}
    chosen = [key for key in drawn if metric_of(key).key in CHOSEN and part_of(key) in shown_parts] or list(drawn)[:1]
    return [drawn[key] for key in chosen], [figure for key, figure in drawn.items() if key not in chosen]


def _figure(key: str, results: Sequence[Result]) -> Figure | None:
    metric = metric_of(key)
    scored = {
        place: [row for row in result.rows if not math.isnan(row.scores.get(key, math.nan))]
        for place, result in enumerate(results)
    }
    values = {place: _values(rows, key) for place, rows in scored.items() if rows}
    finite = [each[np.isfinite(each)] for each in values.values()]
    finite = [each for each in finite if len(each)]
    if not finite:
        return None
    low, high = _axis(finite, metric)
    titled = sum(map(len, finite)) <= DOTS_WITH_TITLES
    return Figure(
        key=key,
        part=part_name(part_of(key)),
        metric=metric,
        many=not titled,
        ticks=_ticks(low, high),
        strips=tuple(
            _strip(results[place], place, scored[place], each, metric, (low, high), titled)
            for place, each in values.items()
        ),
        caption=_caption(np.concatenate(list(values.values())), low, high),
    )


def _values(rows: Sequence[TrackRow], key: str) -> NDArray[np.float64]:
    """In the unit of the metric."""
    return np.array([row.scores[key] for row in rows], dtype=np.float64) * metric_of(key).scale


def _axis(finite: Sequence[NDArray[np.float64]], metric: Metric) -> tuple[float, float]:
    lows, highs = [], []
    for values in finite:
        first, third = np.quantile(values, [0.25, 0.75])
        # A row of equal values with a stray one has no interquartile range: a tenth of its extent stands in.
        reach = _REACH * max(third - first, float(np.ptp(values)) / 10)
        lows.append(max(float(values.min()), first - reach))
        highs.append(min(float(values.max()), third + reach))
    low, high = min(lows), max(highs)
    least = 10.0**-metric.digits * 10
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    return low, high


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    places = round_ticks(low, high, about=6)
    step = places[1] - places[0] if len(places) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return tuple((round(float(_place(value, low, high)), 1), numeral(value, digits)) for value in places)


def _place(value: float | NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """A value's place from left to right, with room for the dots at both ends."""
    share = (np.clip(value, low, high) - low) / (high - low)
    return np.asarray((0.02 + 0.96 * share) * WIDTH)


def _strip(
    result: Result,
    place: int,
    rows: Sequence[TrackRow],
    values: NDArray[np.float64],
    metric: Metric,
    axis: tuple[float, float],
    titled: bool,
) -> Strip:
    kept = [(row.id, value) for row, value in zip(rows, values, strict=True) if math.isfinite(value)]
    finite = np.array([value for _, value in kept])
    box = median = None
    summary, label = "no finite score", f"{result.name}: no finite score"
    if len(finite):
        quartiles = np.quantile(finite, [0.25, 0.5, 0.75])
        first, middle, third = (float(each) for each in np.round(_place(quartiles, *axis), 1))
        box, median = (first, round(third - first, 1)), middle
        texts = [with_unit(float(each) / metric.scale, metric) for each in quartiles]
        summary = f"median {texts[1]}"
        label = f"{result.name}: median {texts[1]}, middle half {texts[0]} to {texts[2]}, {whole(len(finite))} tracks"
    names = [f"{name}: {shown(value / metric.scale, metric)} {metric.unit}" for name, value in kept] if titled else None
    return Strip(
        name=result.name,
        estimator=place,
        role=ROLES.get(result.kind, ""),
        summary=summary,
        label=label,
        box=box,
        median=median,
        dots=_dots(_place(finite, *axis), names),
    )


def _dots(across: NDArray[np.float64], titles: Sequence[str] | None) -> Markup:
    """A path each dot with its title, or one path of all."""
    down = HEIGHT / 2 + _stacked(across) * (HEIGHT / 2 - 4)
    moves = [f"M{x:.1f} {y:.1f}h0" for x, y in zip(across, down, strict=True)]
    if titles is None:
        return Markup(f'<path d="{"".join(moves)}"/>')
    paths = [
        Markup('<path d="{}"><title>{}</title></path>').format(move, title)
        for move, title in zip(moves, titles, strict=True)
    ]
    return Markup("").join(paths)


def _stacked(across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets in [-1, 1] of dots at ``across``, wider where more of them are near."""
    if not len(across):
        return across
    counts = np.histogram(across, bins=50, range=(0, WIDTH))[0].astype(np.float64)
    density = np.interp(across, (np.arange(50) + 0.5) * WIDTH / 50, np.convolve(counts, [0.25, 0.5, 0.25], "same"))
    # As wide as a row lets it be from some ten dots a bin on; the golden ratio spreads what follows one another.
    spread = np.minimum(1.0, density / max(4.0, float(density.max())))
    offsets = np.empty(len(across))
    offsets[np.argsort(across, kind="stable")] = 2 * ((np.arange(len(across)) * 0.618033988749895 + 0.5) % 1) - 1
    return offsets * spread


def _caption(values: NDArray[np.float64], low: float, high: float) -> str:
    finite = values[np.isfinite(values)]
    beyond = int(np.count_nonzero((finite < low) | (finite > high)))
    endless = int(np.count_nonzero(np.isinf(values)))
    parts = [f"{whole(beyond)} beyond the axis, drawn on its edge"] if beyond else []
    parts += [f"{whole(endless)} infinite, not drawn"] if endless else []
    return "; ".join(parts)
