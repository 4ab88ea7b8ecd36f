"""``majl filter``: keep the pseudo-labels that are confident enough."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.histogram import histogram_lines
from majl_cli.cli.options import JsonOption, ProjectOption, QuietOption, filter_settings, threshold_of
from majl_cli.errors import DependencyError

if TYPE_CHECKING:
    from majl_cli.pseudolabel.filter_report import Filtered


def filter(
    pseudo: Annotated[
        Path | None,
        typer.Argument(
            metavar="PSEUDO",
            help="Folder that majl pseudolabel has written; the project's if none.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
    th: Annotated[
        str | None,
        typer.Option(
            "--th",
            metavar="TH|auto",
            help="Least confidence, 0 to 1; auto: the smallest that reaches --precision.",
            show_default="the project's, or 0.7",
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision",
            help="For auto: share of held-out frames kept that must be right.",
            show_default="the project's, or 0.95",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for kept.jsonl and the reports.", show_default="PSEUDO")
    ] = None,
    png: Annotated[
        bool | None, typer.Option("--png/--no-png", help="Draw filter.png.", show_default="if matplotlib is there")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Keep the pseudo-labels that are confident enough.

    Frames below the threshold are masked, 3 s segments with less than half of their frames dropped.
    Writes OUT/kept.jsonl for Stage II, OUT/filter.json and OUT/filter.png.
    """
    from majl_cli.pseudolabel.filter_report import FILTER_FILE, KEPT_FILE, PLOT_FILE, filter_folder
    from majl_cli.report.plots import require_matplotlib

    console = Console(json=json, quiet=quiet)
    pseudo, settings = filter_settings(pseudo, project)
    given = threshold_of(str(settings.threshold) if th is None else th)
    precision = settings.precision if precision is None else precision
    if png:
        require_matplotlib()
    folder = out or pseudo
    filtered = filter_folder(pseudo, th=given, precision=precision, out=folder)
    files = {"manifest": folder / KEPT_FILE, "report": folder / FILTER_FILE}
    if png is not False:
        try:
            _draw(filtered, folder / PLOT_FILE)
            files["plot"] = folder / PLOT_FILE
        except DependencyError as error:
            console.note(f"no {PLOT_FILE}: {error.message} ({error.hint})")
    if filtered.result.everything_kept:
        console.note(f"everything is kept: no frame is below th {filtered.result.th:g}")
    for line in _lines(filtered):
        console.result(line)
    for path in files.values():
        console.result(str(path))
    if json:
        paths = {name: str(path) for name, path in files.items()}
        print(json_module.dumps({"command": "filter", "files": paths, **filtered.as_json()}))


def _draw(filtered: Filtered, path: Path) -> None:
    from majl_cli.report.filter_plot import write_filter_plot

    report: dict[str, Any] = filtered.as_json()
    write_filter_plot(
        path,
        th=filtered.result.th,
        histogram=filtered.result.histogram,
        curve=[(row["th"], row["precision"], row["share_kept"]) for row in report["curve"]],
        precision=filtered.target,
        hours=[(f"{g.corpus} ({g.bucket})", g.given.hours, g.kept.hours) for g in filtered.result.groups],
    )


def _lines(filtered: Filtered) -> list[str]:
    """The histogram of all frames, a line a group, and what the threshold is worth."""
    result = filtered.result
    counts = [sum(column) for column in zip(*result.histogram.values(), strict=True)]
    lines = histogram_lines(counts, th=result.th, encoding=sys.stdout.encoding or "ascii")
    for group in result.groups:
        given, kept = group.given, group.kept
        lines.append(
            f"{group.corpus}, {group.bucket}: kept {kept.tracks} of {given.tracks} tracks, {kept.segments} of "
            f"{given.segments} segments, {kept.hours:.3f} of {given.hours:.3f} h ({kept.hours / given.hours:.0%}); "
            f"mean confidence {group.mean_confidence:.3f}"
        )
    known = "not known" if filtered.precision is None else f"{filtered.precision:.3f}"
    wanted = "" if filtered.target is None else f" (wanted: {filtered.target:g})"
    lines.append(f"th {result.th:g}: precision on held-out tracks {known}{wanted}")
    return lines
