"""The picture of a pitch track."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from majl_cli.errors import DependencyError
from majl_cli.report import plots


def make_track(seconds, frequency=440.0):
    times = np.arange(round(seconds * 100) + 1) / 100
    confidence = 0.5 + 0.5 * np.sin(times) ** 2
    f0 = np.where(confidence > 0.6, frequency * 2 ** (times % 3 / 12), 0)
    return SimpleNamespace(times=times, f0=f0, confidence=confidence, threshold=0.6)


def png_size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


@pytest.mark.parametrize("seconds", [0.0, 2.0, 200.0])
def test_a_plot_of_any_length_is_a_png_wide_enough(seconds, tmp_path):
    plots.write_plot(make_track(seconds), tmp_path / "a.png", title="a $x_1$ 歌.wav")
    width, height = png_size(tmp_path / "a.png")
    assert height > 500
    assert width > (3000 if seconds > 100 else 1000)


def test_a_track_without_voice_can_be_plotted(tmp_path):
    track = make_track(2.0)
    track.f0[:] = 0
    plots.write_plot(track, tmp_path / "a.png")
    assert png_size(tmp_path / "a.png")[0] > 1000


def test_notes_have_their_names():
    assert [plots.note_name(midi) for midi in (21, 60, 69, 70)] == ["A0", "C4", "A4", "A♯4"]


def test_missing_matplotlib_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match="plots need matplotlib") as caught:
        plots.write_plot(make_track(1.0), tmp_path / "a.png")
    assert caught.value.hint == "pip install 'majl[plot]'"
