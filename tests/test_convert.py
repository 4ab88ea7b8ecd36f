"""Conversions: known values and round trips."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.convert import (
    PitchGrid,
    cents_to_frequency,
    frames_to_seconds,
    frequency_to_cents,
    frequency_to_midi,
    midi_to_frequency,
)


def test_known_values() -> None:
    assert frequency_to_cents(20.0) == pytest.approx(1200.0)
    assert cents_to_frequency(0.0) == pytest.approx(10.0)
    assert frequency_to_midi([440.0, 261.6255653]) == pytest.approx([69.0, 60.0])
    assert midi_to_frequency(57) == pytest.approx(220.0)
    assert frames_to_seconds([0, 1, 100], 160, 16000) == pytest.approx([0.0, 0.01, 1.0])


def test_there_and_back() -> None:
    frequency = np.geomspace(30.0, 2000.0, 50)
    assert cents_to_frequency(frequency_to_cents(frequency)) == pytest.approx(frequency)
    assert midi_to_frequency(frequency_to_midi(frequency)) == pytest.approx(frequency)


def test_grid_is_crepes() -> None:
    """CREPE's bins: 360 of 20 cents from C1 (32.70 Hz) to B7."""
    grid = PitchGrid()
    assert grid.frequencies[[0, -1]] == pytest.approx([31.70, 2005.5], rel=2e-3)
    assert np.allclose(np.diff(grid.cents), 20.0)
    assert grid.frequency_to_bin(grid.frequencies) == pytest.approx(np.arange(360), abs=1e-9)


def test_grid_agrees_with_torchcrepe(monkeypatch: pytest.MonkeyPatch) -> None:
    torchcrepe = pytest.importorskip("torchcrepe", reason="torchcrepe is not installed; the dev extra brings it")
    import torch

    monkeypatch.setattr(torchcrepe.convert, "dither", lambda cents: cents)  # it adds random noise to its grid
    expected = torchcrepe.convert.bins_to_cents(torch.arange(360))
    assert PitchGrid().cents == pytest.approx(expected.numpy(), abs=1e-3)
