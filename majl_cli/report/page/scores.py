"""The summary: a table a part, estimators as rows, metrics as columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from majl_cli.evaluation.results import MetricSummary, Result
from majl_cli.metrics.names import METRICS, Metric, metric_of, part_of
from majl_cli.report.page.header import ROLES
from majl_cli.report.page.numerals import NOTHING, bounds, shown, tracks_with_a_score

PART_NAMES = {
    "": "Scores",
    "vocals": "Vocals",
    "accompaniment": "Accompaniment",
    "melody": "Melody, from the mixture",
    "melody_clean": "Melody, from the clean vocals",
    "notes": "Notes",
    "notes_clean": "Notes, from the clean vocals",
}
_LAST_PARTS = ("melody", "melody_clean", "notes", "notes_clean")

Summaries = Mapping[str, Mapping[str, MetricSummary]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """``others`` are further summaries under their own names: the median, GNSDR; ``scored`` "48 of 50" where fewer or
    more tracks have this score than the row says."""

    mean: str
    bounds: str = ""
    others: tuple[tuple[str, str], ...] = ()
    scored: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """``marks`` are numbers of warnings about this estimator; ``tracks`` how many most of its scores are over."""

    name: str
    role: str
    marks: tuple[int, ...]
    tracks: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class PartTable:
    """``legend`` says what the columns are: (their names, what they measure), one each kind."""

    part: str
    name: str
    metrics: tuple[Metric, ...]
    rows: tuple[ScoreRow, ...]
    legend: tuple[tuple[str, str], ...]


def part_name(part: str) -> str:
    """As a heading."""
    return PART_NAMES.get(part, part.replace("_", " ").capitalize())


def ordered_keys(results: Sequence[Result], summaries: Summaries) -> list[str]:
    """Every key that a track or a summary has, stems before melody and notes, metrics in the order of ``METRICS``."""
    keys = {key for result in results for row in result.rows for key in row.scores}
    keys |= {key for by_key in summaries.values() for key in by_key}
    parts = {name: place for place, name in enumerate(PART_NAMES)}
    metrics = {name: place for place, name in enumerate(METRICS)}

    def place(key: str) -> tuple[bool, int, str, int]:
        part = part_of(key)
        return part in _LAST_PARTS, parts.get(part, len(parts)), part, metrics[metric_of(key).key]

    return sorted(keys, key=place)


def part_tables(
    results: Sequence[Result], summaries: Summaries, *, marks: Mapping[str, tuple[int, ...]], keys: Sequence[str]
) -> list[PartTable]:
    """A table each part that has a summary."""
    summed = {key for by_key in summaries.values() for key in by_key}
    parts = list(dict.fromkeys(part_of(key) for key in keys if key in summed))
    return [
        _part_table(part, [key for key in keys if part_of(key) == part and key in summed], results, summaries, marks)
        for part in parts
    ]


def _part_table(
    part: str,
    keys: Sequence[str],
    results: Sequence[Result],
    summaries: Summaries,
    marks: Mapping[str, tuple[int, ...]],
) -> PartTable:
    best = {key: _best(key, results, summaries) for key in keys}
    rows = []
    for result in results:
        own = summaries.get(result.name, {})
        if not any(key in own for key in keys):
            continue
        ((tracks, _),) = Counter(tracks_with_a_score(own[key]) for key in keys if key in own).most_common(1)
        rows.append(
            ScoreRow(
                name=result.name,
                role=ROLES.get(result.kind, ""),
                marks=marks.get(result.name, ()),
                tracks=tracks,
                cells=tuple(
                    _cell(own.get(key), metric_of(key), "" if result.kind in ROLES else best[key], tracks)
                    for key in keys
                ),
            )
        )
    metrics = tuple(map(metric_of, keys))
    return PartTable(part=part, name=part_name(part), metrics=metrics, rows=tuple(rows), legend=_legend(metrics))


def _legend(metrics: Sequence[Metric]) -> tuple[tuple[str, str], ...]:
    kinds: dict[str, list[Metric]] = {}
    for metric in metrics:
        kinds.setdefault(metric.kind, []).append(metric)
    lines = []
    for kind, own in kinds.items():
        weighted = ", ".join(metric.weighted for metric in own if metric.weighted)
        text = kind + ("; also the median over tracks" if any(metric.median for metric in own) else "")
        text += f"; {weighted}: means weighted by the tracks’ lengths" if weighted else ""
        lines.append((", ".join(metric.name for metric in own), text))
    return tuple(lines)


def _best(key: str, results: Sequence[Result], summaries: Summaries) -> str:
    """The best mean as it is shown, among all but baselines and oracles; "" if there is none."""
    metric = metric_of(key)
    means = [
        summaries[result.name][key].mean.mean
        for result in results
        if result.kind not in ROLES and key in summaries.get(result.name, {})
    ]
    means = [mean for mean in means if not math.isnan(mean)]
    if not means:
        return ""
    return shown(max(means) if metric.better == "higher" else min(means), metric)


def _cell(summary: MetricSummary | None, metric: Metric, best: str, tracks: str) -> Cell:
    if summary is None:
        return Cell(mean=NOTHING)
    mean = shown(summary.mean.mean, metric)
    scored = tracks_with_a_score(summary)
    others = [("median", shown(summary.median, metric))] if metric.median else []
    others += [(metric.weighted, shown(summary.weighted, metric))] if metric.weighted else []
    return Cell(
        mean=mean,
        bounds=bounds(summary.mean, metric),
        others=tuple(others),
        scored="" if scored == tracks else scored,
        best=mean == best,
    )
