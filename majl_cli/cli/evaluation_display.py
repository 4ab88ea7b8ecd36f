"""What ``majl evaluate`` says: tables for people on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majl_cli.evaluation.results import Difference, MetricSummary, Result

# What a table on a terminal shows; the files have everything.
SHOWN = (
    "sdr",
    "sdr_gain",
    "v3_nsdr",
    "v4_sdr",
    "v4_sir",
    "v4_sar",
    "leakage_db",
    "rpa",
    "rca",
    "oa",
    "vfa",
    "con_f1",
    "conpoff_f1",
)


def print_results(results: Sequence[Result], summaries: Mapping[str, Mapping[str, MetricSummary]]) -> None:
    """A table a part: estimators by rows, metrics by columns, means with intervals and what the literature quotes."""
    from majl_cli.evaluation.summary import score_keys
    from majl_cli.metrics.names import metric_of, part_of
    from majl_cli.report.evaluation import cell

    keys = [key for key in score_keys(results) if metric_of(key).key in SHOWN]
    for part in dict.fromkeys(part_of(key) for key in keys):
        ours = [key for key in keys if part_of(key) == part]
        headings = [part]
        for key in ours:
            metric = metric_of(key)
            headings.append(f"{metric.name}\n{metric.unit}")
            headings += [f"{metric.weighted}\n{metric.unit}"] if metric.weighted else []
            headings += [f"{metric.name}\nmedian"] if metric.median else []
        rows = []
        for result in results:
            row = [result.name + ("*" if result.warnings else "")]
            for key in ours:
                metric, item = metric_of(key), summaries[result.name].get(key)
                row.append(cell(item).replace(" [", "\n["))
                number = f"{{:.{metric.digits}f}}"
                if metric.weighted:
                    row.append("–" if item is None else number.format(item.weighted * metric.scale))
                if metric.median:
                    row.append("–" if item is None else number.format(item.median * metric.scale))
            rows.append(row)
        _print_table(headings, rows)


def print_differences(differences: Sequence[Difference]) -> None:
    """Paired differences on what the tables show."""
    from majl_cli.metrics.names import metric_of, part_of

    rows = []
    for item in differences:
        metric = metric_of(item.key)
        if metric.key not in SHOWN:
            continue
        mean, low, high = (
            f"{value * metric.scale + 0.0:+.{metric.digits}f}"
            for value in (item.mean.mean, item.mean.low, item.mean.high)
        )
        unit = "points" if metric.unit == "%" else metric.unit
        counts = f"{item.better} / {item.equal} / {item.worse}"
        name = f"{part_of(item.key)} {metric.name}"
        rows.append([name, f"{item.a} - {item.b}", f"{mean} [{low}, {high}] {unit}", f"{item.p:.2g}", counts])
    if rows:
        _print_table(["score", "", "difference", "p", "better / equal / worse"], rows)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
