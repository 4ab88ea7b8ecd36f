"""A picture of a pitch track: f0 over time on a scale of notes, and the confidence below it."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from majl_cli.convert import frequency_to_midi, midi_to_frequency
from majl_cli.errors import DependencyError
from majl_cli.inference.outputs import written_aside

if TYPE_CHECKING:
    from majl_cli.inference.pitch import PitchTrack

NOTE_NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
SHADE, LINE, DARK, GRID = "#b9cfe4", "#2f6fae", "#0c2c52", "#d8d8d8"
STEPS_BY_RANGE = ((14, range(12)), (26, (0, 2, 4, 5, 7, 9, 11)), (50, (0, 4, 7, 9)), (1000, (0, 7)))
TIME_STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)


def require_matplotlib() -> None:
    """Raise DependencyError if there is nothing to plot with."""
    if find_spec("matplotlib") is None:
        raise DependencyError("plots need matplotlib, which is not installed", "pip install 'majl[plot]'")


def new_figure(*, width: float, height: float) -> Any:
    """An empty figure, in inches. Raises DependencyError."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Any, target: Path | BinaryIO) -> None:
    """Write a figure at 130 dots an inch."""
    with written_aside(target) as file, warnings.catch_warnings():
        # A name may hold letters that the font lacks: they become boxes in the title, no more.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png", dpi=130)


def write_plot(track: PitchTrack, target: Path | BinaryIO, *, title: str = "") -> None:
    """A PNG: voiced f0 as a line, darker where the confidence is higher; wider for longer tracks."""
    times = np.asarray(track.times)
    seconds = max(float(times[-1]), 0.1) if len(times) else 0.1
    figure = new_figure(width=float(np.clip(7 + seconds / 10, 9, 36)), height=5.2)
    melody, confidence = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    _draw_f0(melody, track)
    _draw_confidence(confidence, track)
    _draw_time_axis(confidence, seconds, width=figure.get_figwidth())
    melody.set_title(title, loc="left", fontsize=11, parse_math=False)
    save_png(figure, target)


def note_name(midi: int) -> str:
    """69 to A4."""
    return f"{NOTE_NAMES[midi % 12]}{midi // 12 - 1}"


def _draw_f0(axes: Any, track: PitchTrack) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    times, f0 = np.asarray(track.times), np.asarray(track.f0)
    confidence = np.asarray(track.confidence)
    axes.set_ylabel("f0")
    if not np.any(f0 > 0):
        axes.text(0.5, 0.5, "no voiced frame", transform=axes.transAxes, ha="center", color="#777777")
        axes.set_yticks([])
        return
    pitch = np.full(len(f0), np.nan)
    pitch[f0 > 0] = frequency_to_midi(f0[f0 > 0])
    # A leap is drawn as a gap, not as a vertical line.
    joined = np.flatnonzero(np.abs(np.diff(pitch)) < 1.5)
    points = np.stack([times, pitch], axis=1)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    shades = LinearSegmentedColormap.from_list("confidence", [SHADE, LINE, DARK])
    shares = (confidence[joined] + confidence[joined + 1]) / 2
    line = LineCollection(list(segments[joined]), cmap=shades, linewidths=2.0, capstyle="round")
    line.set_array(shares)
    line.set_clim(0.0, 1.0)
    axes.add_collection(line)
    _draw_note_axis(axes, float(np.nanmin(pitch)), float(np.nanmax(pitch)))


def _draw_note_axis(axes: Any, lowest: float, highest: float) -> None:
    """Note names on the left, the same ticks in Hz on the right."""
    bottom, top = int(np.floor(lowest)) - 1, int(np.ceil(highest)) + 1
    # As many of the twelve steps as leave room for their names.
    steps = next(steps for limit, steps in STEPS_BY_RANGE if top - bottom <= limit)
    ticks = [midi for midi in range(bottom, top + 1) if midi % 12 in steps]
    axes.set_ylim(bottom, top)
    axes.set_yticks(ticks, [note_name(midi) for midi in ticks])
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    hertz = axes.secondary_yaxis("right")
    hertz.set_yticks(ticks, [f"{frequency:.0f}" for frequency in midi_to_frequency(ticks)])
    hertz.set_ylabel("Hz")


def _draw_confidence(axes: Any, track: PitchTrack) -> None:
    axes.fill_between(np.asarray(track.times), np.asarray(track.confidence), color=SHADE, linewidth=0)
    axes.axhline(float(track.threshold), color="#b04a3a", linewidth=1, linestyle="--")
    axes.annotate(
        "voiced above", (1.0, float(track.threshold)), xycoords=("axes fraction", "data"), xytext=(4, 0),
        textcoords="offset points", va="center", fontsize=8, color="#b04a3a",
    )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_ylabel("confidence", fontsize=9)


def _draw_time_axis(axes: Any, seconds: float, *, width: float) -> None:
    """Ticks about an inch apart, in s, or in min:s for tracks of some minutes."""
    from matplotlib.ticker import MultipleLocator

    axes.set_xlim(0, seconds)
    minutes = seconds >= 90
    step = next((step for step in TIME_STEPS if seconds / step <= width), 3600.0)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.set_xlabel("time in min:s" if minutes else "time in s")
    if minutes:
        axes.xaxis.set_major_formatter(lambda value, _: f"{round(value) // 60}:{round(value) % 60:02d}")
