"""Decoding: exact on clean salience, deterministic, inside the range, smooth when asked."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.convert import PitchGrid, frequency_to_cents
from majl_cli.errors import UsageError
from majl_cli.models.pitch.decode import DECODERS, decode_salience, viterbi_path

GRID = PitchGrid()


def bumps(frequency: np.ndarray, height: float = 1.0) -> np.ndarray:
    """Salience (N, 360) with a Gaussian of 25 cents around each frequency."""
    cents = frequency_to_cents(frequency)[:, None]
    return height * np.exp(-((GRID.cents - cents) ** 2) / (2 * 25.0**2))


@pytest.mark.parametrize("method", DECODERS)
def test_frequencies_between_bins_are_found_within_a_cent(method: str) -> None:
    frequency = 220.0 * 2.0 ** (np.arange(60) * 0.013)
    found, confidence = decode_salience(bumps(frequency, 0.8), GRID, method=method)
    assert np.abs(frequency_to_cents(found) - frequency_to_cents(frequency)).max() < 1.0
    assert (confidence > 0.7).all() and (confidence <= 0.8).all()


@pytest.mark.parametrize("method", DECODERS)
def test_the_same_salience_gives_the_same_bits(method: str) -> None:
    salience = np.random.default_rng(0).random((50, 360)).astype(np.float32)
    first, second = (decode_salience(salience, GRID, method=method) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


@pytest.mark.parametrize("method", DECODERS)
def test_nothing_outside_the_frequency_range_is_chosen(method: str) -> None:
    salience = bumps(np.full(10, 110.0)) + bumps(np.full(10, 440.0), 0.3)
    found, confidence = decode_salience(salience, GRID, method=method, frequency_range=(200.0, 1000.0))
    assert np.allclose(found, 440.0, rtol=1e-3)
    assert np.allclose(confidence, 0.3, atol=0.03)


def test_viterbi_bridges_an_octave_error_of_one_frame() -> None:
    salience = bumps(np.full(11, 220.0))
    salience[5] = bumps(np.array([440.0]), 0.5)[0] + bumps(np.array([220.0]), 0.45)[0]
    jumping, _ = decode_salience(salience, GRID, method="argmax")
    smooth, _ = decode_salience(salience, GRID, method="viterbi")
    assert jumping[5] == pytest.approx(440.0, rel=1e-3)
    assert np.allclose(smooth, 220.0, rtol=1e-3)


def test_viterbi_follows_a_change_of_note() -> None:
    found, _ = decode_salience(bumps(np.repeat([220.0, 330.0], 10)), GRID, method="viterbi")
    assert np.allclose(found, np.repeat([220.0, 330.0], 10), rtol=1e-3)


def test_viterbi_path_is_the_best_of_all_paths() -> None:
    """Against every one of the 4^5 paths of a small problem."""
    salience = np.random.default_rng(3).random((5, 4))
    width, floor = 3, 1e-3

    def score(path: tuple[int, ...]) -> float:
        total = np.log(salience[0, path[0]] + floor)
        for n in range(1, len(path)):
            distance = abs(path[n] - path[n - 1])
            move = np.log((width - distance) / width**2) if distance < width else -np.inf
            total += max(move, np.log(floor / 4)) + np.log(salience[n, path[n]] + floor)
        return float(total)

    best = max(np.ndindex(*[4] * 5), key=score)
    assert score(tuple(viterbi_path(salience, width=width, floor=floor))) == pytest.approx(score(best))


@pytest.mark.parametrize("method", DECODERS)
def test_no_frames_and_silent_frames(method: str) -> None:
    empty, confidence = decode_salience(np.zeros((0, 360)), GRID, method=method)
    assert len(empty) == len(confidence) == 0
    frequency, confidence = decode_salience(np.zeros((3, 360)), GRID, method=method)
    assert np.isfinite(frequency).all() and not confidence.any()


def test_an_unknown_decoder_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no decoder 'weighted'"):
        decode_salience(np.zeros((1, 360)), GRID, method="weighted")
