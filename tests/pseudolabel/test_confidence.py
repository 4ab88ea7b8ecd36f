"""Confidences of posteriorgrams made by hand, and levels of signals made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.convert import PitchGrid
from majl_cli.pseudolabel.confidence import (
    WindowEnergy,
    attenuation,
    mass_near,
    posteriorgram,
    quiet_enough,
    within_tolerance,
)

GRID = PitchGrid()


def salience_of(odds: dict[int, float]) -> np.ndarray:
    """One frame (1, K) whose bins have these odds and no others any."""
    salience = np.zeros((1, GRID.bins), np.float32)
    for column, value in odds.items():
        salience[0, column] = value / (1 + value)
    return salience


def test_odds_become_shares_beside_an_unvoiced_one() -> None:
    posterior, unvoiced = posteriorgram(salience_of({100: 4.0, 200: 3.0}), 1.0)
    assert posterior[0, 100] == pytest.approx(0.5, abs=1e-5)
    assert posterior[0, 200] == pytest.approx(0.375, abs=1e-5)
    assert unvoiced[0] == pytest.approx(0.125, abs=1e-5)


def test_temperature_divides_the_logits() -> None:
    posterior, unvoiced = posteriorgram(salience_of({100: 16.0}), 2.0)
    assert posterior[0, 100] == pytest.approx(0.8, abs=1e-5)  # odds 16 become 4
    assert unvoiced[0] == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_every_frame_sums_to_one_even_where_the_salience_is_saturated(temperature: float) -> None:
    salience = np.random.default_rng(0).uniform(size=(50, GRID.bins)).astype(np.float32)
    salience[0], salience[1], salience[2, 3] = 1.0, 0.0, 1.0
    posterior, unvoiced = posteriorgram(salience, temperature)
    assert np.allclose(posterior.sum(axis=1) + unvoiced, 1.0, atol=1e-5)
    assert (posterior >= 0).all() and np.isfinite(posterior).all()


def test_mass_counts_the_bins_within_50_cents_and_no_others() -> None:
    posterior = np.zeros((1, GRID.bins), np.float32)
    posterior[0, 97:104] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.005]
    at = GRID.frequencies[[100]]
    assert mass_near(posterior, GRID, at)[0] == pytest.approx(0.02 + 0.04 + 0.08 + 0.16 + 0.32)  # +-40 cents
    between = at * 2 ** (10 / 1200)  # bins at -50, -30, ..., +50 cents
    assert mass_near(posterior, GRID, between)[0] == pytest.approx(0.02 + 0.04 + 0.08 + 0.16 + 0.32 + 0.005)
    lower = at * 2 ** (-11 / 1200)  # 97 is 49 cents below, 102 51 above
    assert mass_near(posterior, GRID, lower)[0] == pytest.approx(0.01 + 0.02 + 0.04 + 0.08 + 0.16)


def test_mass_of_no_pitch_and_off_the_grid_is_nothing_and_at_its_edge_what_is_there() -> None:
    posterior = np.full((4, GRID.bins), 1 / GRID.bins, np.float32)
    frequency = np.array([0.0, GRID.frequencies[0] / 2, GRID.frequencies[-1] * 2, GRID.frequencies[0]])
    assert mass_near(posterior, GRID, frequency).tolist() == pytest.approx([0, 0, 0, 3 / GRID.bins])


def test_within_tolerance_is_50_cents_both_ways_and_needs_two_pitches() -> None:
    label = np.full(6, 220.0)
    label[5] = 0.0
    cents = np.array([0.0, 49.9, -49.9, 50.1, -50.1, 0.0])
    frequency = 220.0 * 2 ** (cents / 1200)
    assert within_tolerance(frequency, label).tolist() == [True, True, True, False, False, False]
    assert not within_tolerance(np.zeros(1), label[:1]).any()


@pytest.mark.parametrize("size", [1, 7, 441, 44100])
def test_window_energy_is_that_of_40_ms_however_the_blocks_are_cut(size: int) -> None:
    audio = np.random.default_rng(0).standard_normal((22050, 2)).astype(np.float32)
    energy = WindowEnergy(44100)
    for start in range(0, len(audio), size):
        energy.push(audio[start : start + size])
    times = np.array([0.0, 0.1, 0.25, 0.5])
    found, mean_square = energy.around(times)
    for time, value in zip(times, found, strict=True):
        window = audio[max(0, round((time - 0.02) * 44100)) : round((time + 0.02) * 44100)]
        assert value == pytest.approx(float(np.square(window).sum()), rel=0.08)  # to a millisecond
    assert mean_square[2] == pytest.approx(1.0, rel=0.1)


def energies(*signals: np.ndarray) -> list[WindowEnergy]:
    made = [WindowEnergy(1000) for _ in signals]
    for energy, signal in zip(made, signals, strict=True):
        energy.push(signal[:, None].astype(np.float32))
    return made


def test_attenuation_is_one_less_the_ratio_of_levels_and_one_in_silence() -> None:
    signal = np.where(np.arange(1000) < 500, 0.5, 0.0)
    times = np.array([0.2, 0.8])
    for gain, expected in ((0.25, 0.75), (0.0, 1.0), (1.0, 0.0), (1.5, 0.0)):
        vocals, mixture = energies(gain * signal, signal)
        found = attenuation(vocals=vocals, mixture=mixture, times=times)
        assert found.tolist() == pytest.approx([expected, 1.0])


def test_quiet_enough_is_10_db_below_the_mixture_or_silence() -> None:
    signal = np.where(np.arange(1000) < 500, 0.5, 0.0)
    times = np.array([0.2, 0.8])
    for gain, expected in ((10 ** (-9.9 / 20), False), (10 ** (-10.1 / 20), True)):
        error, mixture = energies(gain * signal, signal)
        assert quiet_enough(error=error, mixture=mixture, times=times).tolist() == [expected, True]
