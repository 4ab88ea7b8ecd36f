"""A picture of a filter: how confident the frames are, how precise a threshold would be, and what is kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from majl_cli.inference.outputs import written_aside
from majl_cli.report.plots import DARK, GRID, LINE, SHADE, require_matplotlib

MARK = "#b04a3a"


def write_filter_plot(
    target: Path | BinaryIO,
    *,
    th: float,
    histogram: Mapping[str, Sequence[int]],
    curve: Sequence[tuple[float, float | None, float]] = (),
    precision: float | None = None,
    hours: Sequence[tuple[str, float, float]] = (),
) -> None:
    """A PNG of three panels.

    ``histogram``: frames per equally wide bin of confidence, by bucket; ``curve``: (th, precision, share kept) on
    held-out tracks, precision None where nothing is kept; ``precision`` the one wanted; ``hours``: (name, given, kept).
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _draw_histogram(left, histogram, th)
    _draw_curve(middle, curve, th, precision)
    _draw_hours(right, hours)
    with written_aside(target) as file, warnings.catch_warnings():
        # The name of a corpus may hold letters that the font lacks: they become boxes, no more.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png", dpi=130)


def _draw_histogram(axes: Any, histogram: Mapping[str, Sequence[int]], th: float) -> None:
    below: ArrayLike = 0
    for (bucket, counts), color in zip(histogram.items(), (LINE, SHADE, DARK), strict=False):
        edges = np.arange(len(counts)) / len(counts)
        axes.bar(edges, counts, width=1 / len(counts), align="edge", bottom=below, color=color, label=bucket)
        below = np.asarray(below) + np.asarray(counts)
    _mark_threshold(axes, th)
    axes.set(xlim=(0, 1), xlabel="confidence", ylabel="frames", title="confidence of frames")
    axes.legend(frameon=False, loc="upper center")


def _draw_curve(
    axes: Any, curve: Sequence[tuple[float, float | None, float]], th: float, precision: float | None
) -> None:
    axes.set(xlim=(0, 1), xlabel="threshold", title="held-out tracks")
    if not curve:
        axes.text(0.5, 0.5, "no held-out tracks", transform=axes.transAxes, ha="center", color="#777777")
        axes.set_yticks([])
        return
    thresholds = [row[0] for row in curve]
    values = [np.nan if row[1] is None else row[1] for row in curve]
    axes.plot(thresholds, values, color=DARK, linewidth=2, label="precision")
    axes.plot(thresholds, [row[2] for row in curve], color=LINE, linewidth=1.5, linestyle=":", label="share kept")
    if precision is not None:
        axes.axhline(precision, color=MARK, linewidth=0.8, linestyle="--", label=f"wanted: {precision:g}")
    _mark_threshold(axes, th)
    axes.set_ylim(0, 1.02)
    axes.grid(color=GRID, linewidth=0.6)
    axes.legend(frameon=False, loc="lower left")


def _draw_hours(axes: Any, hours: Sequence[tuple[str, float, float]]) -> None:
    rows = np.arange(len(hours))[::-1]
    axes.barh(rows, [given for _, given, _ in hours], color=SHADE, label="given")
    axes.barh(rows, [kept for _, _, kept in hours], color=LINE, height=0.5, label="kept")
    axes.set_yticks(rows, [name for name, _, _ in hours], parse_math=False)
    axes.set(xlabel="hours", title="hours of audio", ylim=(-0.6, max(len(hours), 1)))
    axes.locator_params(axis="x", nbins=5)
    axes.legend(frameon=False, loc="upper right", ncols=2)


def _mark_threshold(axes: Any, th: float) -> None:
    axes.axvline(th, color=MARK, linewidth=1.2)
    axes.annotate(
        f"th {th:g}", (th, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -10), textcoords="offset points",
        fontsize=8, color=MARK,
    )  # fmt: skip
