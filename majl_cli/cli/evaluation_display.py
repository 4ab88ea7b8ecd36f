"""What ``majl evaluate`` says: tables for people on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majl_cli.evaluation.results import Difference, MetricSummary, Result

# What a table on a terminal shows; the files have everything.
SHOWN = (
    "sdr", "sdr_gain", "v3_nsdr", "v3_sir", "v3_sar", "v4_sdr", "v4_isr", "v4_sir", "v4_sar", "leakage_db",
    "rpa", "rca", "oa", "vr", "vfa", "con_f1", "conp_f1", "conpoff_f1",
)  # fmt: skip
WIDTH_OF_FILES = 1000


def print_results(results: Sequence[Result], summaries: Mapping[str, Mapping[str, MetricSummary]]) -> None:
    """A score a row, an estimator a column: the mean over tracks with its interval, and below it what the literature
    quotes instead, the median or the length-weighted mean."""
    from majl_cli.evaluation.summary import groups_of, score_keys
    from majl_cli.metrics.names import metric_of, part_of
    from majl_cli.report.evaluation import cell

    keys = [key for key in score_keys(results) if metric_of(key).key in SHOWN]
    rows: list[list[str] | None] = []
    for part in dict.fromkeys(part_of(key) for key in keys):
        if rows:
            rows.append(None)
        for key in (key for key in keys if part_of(key) == part):
            metric = metric_of(key)
            found = [summaries[result.name].get(key) for result in results]
            counts = [len(result.rows) for result in results]
            cells = [cell(item, of=count) for item, count in zip(found, counts, strict=True)]
            rows.append([f"{part} {metric.name}, {metric.unit}", *cells])
            number = f"{{:.{metric.digits}f}}"
            for name, values in (
                (metric.weighted, [item.weighted if item else None for item in found]),
                ("median over tracks" if metric.median else "", [item.median if item else None for item in found]),
            ):
                if name:
                    shown = ("–" if value is None else number.format(value * metric.scale + 0.0) for value in values)
                    rows.append([f"  {name}", *shown])
    headings = ["", *(result.name + "*" * bool(result.warnings) for result in results)]
    if sys.stdout.isatty() and _width([headings, *filter(None, rows)]) > shutil.get_terminal_size().columns:
        rows = [
            row and [text.partition(" [")[0] if number else text for number, text in enumerate(row)] for row in rows
        ]
    _print_table(headings, rows)
    groups = groups_of([row for row in results[0].rows if not row.error])
    over = f"{len(set(groups))} groups of tracks" if groups else "tracks"
    print(f"mean over tracks [95 % interval over {over}]" + _left_out(results))


def print_differences(differences: Sequence[Difference]) -> None:
    """Paired differences on what the tables show."""
    from majl_cli.metrics.names import metric_of, part_of

    rows: list[list[str] | None] = []
    for item in differences:
        metric = metric_of(item.key)
        if metric.key not in SHOWN:
            continue
        mean, low, high = (
            f"{round(value * metric.scale, metric.digits) + 0.0:+.{metric.digits}f}"
            for value in (item.mean.mean, item.mean.low, item.mean.high)
        )
        unit = "points" if metric.unit == "%" else metric.unit
        counts = f"{item.better} / {item.equal} / {item.worse}"
        p = "< 0.001" if item.p < 0.001 else f"{item.p:.3f}"
        rows.append([f"{part_of(item.key)} {metric.name}", f"{mean} [{low}, {high}] {unit}", p, counts])
    if rows:
        heading = f"{differences[0].a} less {differences[0].b}"
        _print_table([heading, "difference", "p", "better / equal / worse"], rows)


def _left_out(results: Sequence[Result]) -> str:
    parts = []
    for result in results:
        skipped = sum(row.counts.get("windows_skipped", 0) for row in result.rows)
        failed = sum(bool(row.error) for row in result.rows)
        if skipped:
            windows = sum(row.counts.get("windows", 0) for row in result.rows)
            parts.append(f"{result.name}: {skipped} of {windows} windows skipped")
        if failed:
            parts.append(f"{result.name}: {failed} of {len(result.rows)} tracks failed")
    if any(result.warnings for result in results):
        parts.append("* see the warnings")
    return "".join(f"; {part}" for part in parts)


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Columns that a table takes on the terminal."""
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True))


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str] | None]) -> None:
    """None is a line between rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(markup=False, highlight=False, width=width).print(table)
