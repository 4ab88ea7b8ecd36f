"""The picture of a filter."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from majl_cli.errors import DependencyError
from majl_cli.report import filter_plot, plots

HISTOGRAM = {"mss": [1, 2, 3, 4], "pe": [4, 3, 2, 1]}


def png_size(path: Path) -> tuple[int, ...]:
    return struct.unpack(">II", path.read_bytes()[16:24])


@pytest.mark.parametrize("curve", [[], [(0.0, 0.8, 1.0), (0.5, 0.9, 0.5), (1.0, None, 0.0)]])
@pytest.mark.parametrize("hours", [[], [("a $x_1$ 歌 (mss)", 2.0, 1.0), ("b (pe)", 0.1, 0.0)]])
def test_three_panels_whatever_is_known(tmp_path: Path, curve: list, hours: list) -> None:
    path = tmp_path / "new" / "filter.png"
    filter_plot.write_filter_plot(path, th=0.7, histogram=HISTOGRAM, curve=curve, precision=0.95, hours=hours)
    width, height = png_size(path)
    assert width > 1500 and height > 400
    assert [file.name for file in path.parent.iterdir()] == ["filter.png"]


def test_bars_stand_on_each_other_and_the_threshold_is_marked() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    filter_plot._draw_histogram(axes, HISTOGRAM, 0.7)
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches[4:]]
    assert tops == [5, 5, 5, 5]
    assert [line.get_xdata()[0] for line in axes.lines] == [0.7]


def test_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match="plots need matplotlib"):
        filter_plot.write_filter_plot(tmp_path / "a.png", th=0.5, histogram=HISTOGRAM)
    assert not list(tmp_path.iterdir())
