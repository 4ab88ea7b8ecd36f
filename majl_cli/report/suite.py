"""A suite as one JSON object and as the Markdown tables of a model card: estimators are rows, scores columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from majl_cli.evaluation.results import MetricSummary, Result
from majl_cli.evaluation.suites.benchmark_set import BenchmarkSet, Column
from majl_cli.evaluation.summary import summarise
from majl_cli.metrics.names import metric_of, part_of
from majl_cli.report.evaluation import summary_document

NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """The ``results`` of a set by estimator, on some of its ``complete`` tracks; without results, ``missing`` says
    what was not there."""

    set: BenchmarkSet
    results: tuple[Result, ...] = ()
    complete: int = 0
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """All sets of the suite ``name``, scored by ``command`` with that ``version`` of majl on that ``date``."""

    name: str
    command: str
    version: str
    date: str
    sets: tuple[SetResult, ...]


def suite_document(report: SuiteReport) -> dict[str, Any]:
    """Every mean with its interval, count, name, unit and kind, and below ``table`` the figures that tables show (dB,
    shares and cents)."""
    head = {"suite": report.name, "command": report.command, "majl": report.version, "date": report.date}
    return head | {"sets": [_set_document(item) for item in report.sets]}


def suite_markdown(report: SuiteReport) -> str:
    """Tables with a line of text above each, and what the figures are below."""
    made = f"Suite {report.name}, by `{report.command}` (majl {report.version}, {report.date}). Means over tracks."
    parts = [made, *(_set_markdown(item) for item in report.sets)]
    keys = [column.key for item in report.sets for column in _columns(item)]
    parts.append("\n".join(_explained(keys)))
    return "\n\n".join(parts) + "\n"


def _set_document(item: SetResult) -> dict[str, Any]:
    head: dict[str, Any] = {"name": item.set.name, "description": item.set.protocol.description}
    if not item.results:
        return head | {"missing": item.missing}
    summaries = {result.name: summarise(result) for result in item.results}
    table = [
        {
            "score": column.key,
            "name": column.name,
            "statistic": column.statistic,
            "unit": "share" if metric_of(column.key).unit == "%" else metric_of(column.key).unit,
            "values": {r.name: column.value(r, summaries[r.name].get(column.key)) for r in item.results},
        }
        for column in item.set.columns
    ]
    estimators = summary_document(item.results, summaries, [])["estimators"]
    return head | {"tracks": len(item.results[0].rows), "complete": item.complete, "table": table} | {
        "estimators": estimators
    }  # fmt: skip


def _set_markdown(item: SetResult) -> str:
    title = f"**{item.set.protocol.description}**"
    if not item.results:
        return f"{title}: not scored, {item.missing}."
    rows = item.results[0].rows
    count = f"{len(rows)} of {item.complete} tracks" if len(rows) < item.complete else f"{item.complete} tracks"
    minutes = sum(row.seconds for row in rows) / 60
    tables = [_table(lines) for columns in _groups(item) if len(lines := _lines(item, columns)) > 1]
    remarks = dict.fromkeys(f"\\* {remark}." for result in item.results for remark in _remarks(result))
    heading = f"{title} ({'1 track' if count == '1 tracks' else count}, {minutes:.1f} min)"
    return "\n\n".join([heading, *tables, *(["\n".join(remarks)] if remarks else [])])


def _groups(item: SetResult) -> list[list[Column]]:
    """The columns of one table each: of all stems, of a melody, of notes."""
    groups: dict[str, list[Column]] = {}
    for column in _columns(item):
        part = part_of(column.key)
        groups.setdefault(part if part.startswith(("melody", "notes")) else "", []).append(column)
    return list(groups.values())


def _lines(item: SetResult, columns: Sequence[Column]) -> list[list[str]]:
    """The heading and a line for each estimator that has one of the scores."""
    lines = [["", *(f"{column.name}, {metric_of(column.key).unit}" for column in columns)]]
    for result in item.results:
        summary = summarise(result)
        if any(column.key in row.scores for column in columns for row in result.rows):
            cells = [_cell(column, result, summary.get(column.key)) for column in columns]
            lines.append([result.name + "*" * bool(_remarks(result)), *cells])
    return lines


def _columns(item: SetResult) -> list[Column]:
    """Those that some estimator has a score for."""
    scored = {key for result in item.results for row in result.rows for key in row.scores}
    return [column for column in item.set.columns if column.key in scored]


def _cell(column: Column, result: Result, summary: MetricSummary | None) -> str:
    metric, value = metric_of(column.key), column.value(result, summary)
    if summary is None or value is None:
        return NOTHING
    shown = f"{round(value * metric.scale, metric.digits) + 0.0:.{metric.digits}f}"
    return shown + (f" (n={summary.mean.count})" if summary.mean.count < len(result.rows) else "")


def _remarks(result: Result) -> list[str]:
    """What has to be known of an estimator's figures: leaks, and tracks that failed."""
    failed = [row.id for row in result.rows if row.error]
    lost = [f"{result.name}: {len(failed)} of {len(result.rows)} tracks failed, {failed[0]} first"] if failed else []
    return [*result.warnings, *lost]


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to one width, so that it reads on a terminal too; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
        for first, *cells in lines
    ]
    rule = [f"{'-' * (width - 1)}:" if number else "-" * max(3, width) for number, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (padded[0], rule, *padded[1:]))


def _explained(keys: Sequence[str]) -> list[str]:
    """What the names in the tables mean, a line each."""
    metrics = {metric.key: metric for metric in map(metric_of, keys)}
    lines = []
    for metric in metrics.values():
        weighted = f" ({metric.weighted}: its mean weighted by length)" if metric.weighted else ""
        lines.append(f"- {metric.name}{weighted}: {metric.kind}")
    return [*lines, f"- {NOTHING}: not defined, or without bound"]
