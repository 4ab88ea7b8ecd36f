"""Pictures of an experiment, as PNG: arms with intervals, weights and cases over a run, thresholds, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError
from majl_cli.metrics.statistics import Interval
from majl_cli.report.experiment import METRIC_NAMES, ArmScores, arm_interval, scale, unit
from majl_cli.report.plots import DARK, GRID, LINE, SHADE, new_figure, save_png

ACCENT, GREY = "#b04a3a", "#777777"
CURVES = (LINE, ACCENT, "#5b8c3e", "#8a5fa8", GREY)
WEIGHT_NAMES = {"omega_mss": "ω_mss (separation)", "omega_pe": "ω_pe (pitch)"}
CASES = {
    "case1": ("1: both right", SHADE),
    "case2": ("2: only the estimate wrong", LINE),
    "case3": ("3: only the true vocals wrong", ACCENT),
    "case4": ("4: both wrong", "#a8a8a8"),
}


def plot_arms(
    arms: Sequence[ArmScores],
    target: Path | BinaryIO,
    *,
    metrics: Sequence[str] = ("sdr", "rpa"),
    title: str = "",
) -> None:
    """A panel a metric, an arm a row: mean over tracks, its 95 % interval, and below it the mean of each seed."""
    figure = new_figure(width=2 + 3.6 * len(metrics), height=1.6 + 0.45 * len(arms))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for row, arm in enumerate(arms):
            _draw_arm(axes, arm, metric, row)
        axes.set_xlabel(f"{METRIC_NAMES[metric]} in {unit(metric)}")
        _style(axes, grid="x")
        axes.margins(x=0.12)
    panels[0].set_yticks(range(len(arms)), [arm.label for arm in arms], parse_math=False)
    panels[0].set_ylim(len(arms) - 0.5, -0.5)
    _title(figure, title or "Mean over tracks with 95 % interval; small dots: single seeds")
    save_png(figure, target)


def plot_weights(records: Sequence[Mapping[str, Any]], target: Path | BinaryIO, *, title: str = "") -> None:
    """From the step records of a log: ω over steps, its mean and ± one standard deviation within the batch (in the
    same unit), and the shares of voiced frames in the four cases. What was not logged has no panel.

    Raises DataError if nothing of these was.
    """
    weights = {key: _over_steps(records, (key,)) for key in WEIGHT_NAMES}
    weights = {key: series for key, series in weights.items() if len(series)}
    cases = _over_steps(records, tuple(CASES))
    heights = [2.0] * len(weights) + [2.6] * bool(len(cases))
    if not heights:
        raise DataError("no step record holds a weight or the share of a case", "plot the log.jsonl of a training run")
    figure = new_figure(width=9, height=1 + sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (key, series) in zip(panels[: len(weights)], weights.items(), strict=True):
        _draw_weight(axes, series, _over_steps(records, (key, f"{key}_spread")), name=WEIGHT_NAMES[key])
    if len(cases):
        _draw_cases(panels[-1], cases)
    if weights:
        panels[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    for axes in panels:
        axes.margins(x=0)
    panels[-1].set_xlabel("step")
    _title(figure, title or "Weights and cases over the run")
    save_png(figure, target)


def plot_threshold(
    points: Mapping[float, Interval],
    target: Path | BinaryIO,
    *,
    metric: str,
    auto: tuple[float, Interval] | None = None,
    title: str = "",
) -> None:
    """A score against the threshold th of the pseudo-labels' confidence, with intervals; ``auto`` is the th that was
    chosen by precision, and its score."""
    thresholds = np.array(sorted(points))
    intervals = [points[threshold] for threshold in thresholds]
    means = scale(metric) * np.array([interval.mean for interval in intervals])
    figure = new_figure(width=6.4, height=4.2)
    axes = figure.subplots()
    whiskers = np.abs([_bounds(interval, metric) for interval in intervals] - means[:, None]).T
    axes.errorbar(thresholds, means, whiskers, color=LINE, marker="o", capsize=3, linewidth=1.5, elinewidth=1)
    if auto is not None:
        th, interval = auto
        mean = scale(metric) * interval.mean
        whisker = np.abs(_bounds(interval, metric) - mean)[:, None]
        axes.errorbar([th], [mean], whisker, color=ACCENT, marker="s", capsize=3, elinewidth=1)
        axes.axvline(th, color=ACCENT, linestyle="--", linewidth=1)
        axes.annotate(
            f"auto: {th:.2f}", (th, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=9, color=ACCENT,
        )  # fmt: skip
    axes.set_xlabel("threshold th on the confidence of pseudo-labels")
    axes.set_ylabel(f"{METRIC_NAMES[metric]} in {unit(metric)}")
    _style(axes, grid="both")
    _title(figure, title or f"{METRIC_NAMES[metric]} by threshold, with 95 % intervals")
    save_png(figure, target)


def plot_calibration(curves: Mapping[str, ArrayLike], target: Path | BinaryIO, *, title: str = "") -> None:
    """A reliability diagram. Each curve, by its name in the legend, is (bins, 2): the mean confidence of a bin's frames
    and the share of them that are right, both in [0, 1]."""
    figure = new_figure(width=5.2, height=5.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    for number, (name, pairs) in enumerate(curves.items()):
        bins = np.asarray(pairs, dtype=np.float64)
        if bins.ndim != 2 or bins.shape[1] != 2:
            raise DataError(f"curve {name}: shape {bins.shape}", "give (bins, 2): mean confidence and precision")
        bins = bins[np.argsort(bins[:, 0])]
        axes.plot(bins[:, 0], bins[:, 1], color=CURVES[number % len(CURVES)], marker="o", linewidth=1.5, label=name)
    axes.set(
        xlim=(0, 1), ylim=(0, 1.02), aspect="equal", xlabel="confidence", ylabel="precision: share of right frames"
    )
    _style(axes, grid="both")
    axes.legend(frameon=False, loc="upper left")
    _title(figure, title or "Calibration of the confidence")
    save_png(figure, target)


def _draw_arm(axes: Any, arm: ArmScores, metric: str, row: int) -> None:
    interval = arm_interval(arm, metric)
    if interval is None:
        return
    if len(arm.seeds) > 1:
        # Below the interval, which would hide them.
        seeds = _seed_means(arm, metric)
        axes.plot(seeds, np.full(len(seeds), row + 0.22), linestyle="", marker="o", markersize=4, color=GREY, alpha=0.6)
    axes.plot(_bounds(interval, metric), [row, row], color=LINE, linewidth=2, solid_capstyle="butt")
    axes.plot(scale(metric) * interval.mean, row, marker="o", markersize=7, color=DARK)


def _seed_means(arm: ArmScores, metric: str) -> NDArray[np.float64]:
    """(seeds,) means over the tracks that the interval counts, in the metric's unit."""
    values = np.asarray(arm.scores[metric])
    return scale(metric) * values[:, np.isfinite(values).all(axis=0)].mean(axis=1)


def _draw_weight(axes: Any, series: NDArray[np.float64], spread: NDArray[np.float64], *, name: str) -> None:
    axes.plot(series[:, 0], series[:, 1], color=DARK, linewidth=1.2, label="mean in the batch")
    if len(spread):
        steps, mean, deviation = spread.T
        axes.fill_between(
            steps, np.maximum(mean - deviation, 0), mean + deviation, color=SHADE, linewidth=0, label="± spread"
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(name)
    _style(axes, grid="y")


def _draw_cases(axes: Any, cases: NDArray[np.float64]) -> None:
    names, colors = zip(*CASES.values(), strict=True)
    areas = axes.stackplot(cases[:, 0], 100 * cases[:, 1:].T, labels=names, colors=colors, linewidth=0)
    axes.set_ylim(0, 100)
    axes.set_ylabel("voiced frames in %")
    axes.spines[["top", "right"]].set_visible(False)
    # Listed as they are stacked.
    axes.legend(
        areas[::-1], names[::-1], title="pitch found in estimate and vocals", frameon=False, loc="upper left",
        bbox_to_anchor=(1.0, 1.0), fontsize=9, title_fontsize=9, alignment="left",
    )  # fmt: skip


def _over_steps(records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> NDArray[np.float64]:
    """(records, 1 + keys): the step and the values of the step records that hold them all; empty if none does."""
    rows = [
        [record["step"], *(record[key] for key in keys)]
        for record in records
        if record.get("event") == "step" and all(isinstance(record.get(key), int | float) for key in keys)
    ]
    return np.array(rows, dtype=np.float64)


def _bounds(interval: Interval, metric: str) -> NDArray[np.float64]:
    """Low and high in the metric's unit; both the mean where there is no interval."""
    bounds = np.array([interval.low, interval.high])
    return scale(metric) * np.where(np.isfinite(bounds), bounds, interval.mean)


def _style(axes: Any, *, grid: str) -> None:
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _title(figure: Any, title: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
