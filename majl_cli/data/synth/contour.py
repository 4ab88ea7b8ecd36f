"""f0 contours as singers make them: glides, overshoot, vibrato, drift, jitter. N frames of FRAME_SECONDS, in cents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.synth.world import FRAME_SECONDS, HIGHEST_HZ, LOWEST_HZ

Floats = NDArray[np.float64]
JUMP_CENTS = 70.0  # two neighbouring frames of one note are no further apart
SMOOTH_SECONDS = 0.15


@dataclass(frozen=True, kw_only=True)
class Manner:
    """A way of singing: ``vibrato_hz``, ``vibrato_cents``, ``vibrato_delay`` in s, ``glide`` in s, ``drift_cents``,
    ``jitter_cents``, ``scoop_cents`` from below at a phrase's first note."""

    vibrato_hz: float
    vibrato_cents: float
    vibrato_delay: float
    glide: float
    drift_cents: float
    jitter_cents: float
    scoop_cents: float


def draw_manner(generator: np.random.Generator) -> Manner:
    """Any manner between a straight tone and an operatic one."""
    return Manner(
        vibrato_hz=generator.uniform(4.5, 7.0),
        vibrato_cents=generator.choice([0.0, 1.0, 1.0]) * generator.uniform(10.0, 90.0),
        vibrato_delay=generator.uniform(0.05, 0.5),
        glide=float(np.exp(generator.uniform(np.log(0.03), np.log(0.2)))),
        drift_cents=generator.uniform(3.0, 25.0),
        jitter_cents=generator.uniform(0.5, 5.0),
        scoop_cents=generator.choice([0.0, 1.0]) * generator.uniform(30.0, 300.0),
    )


def sung_notes(
    notes: Sequence[tuple[float, float, float]], frames: int, manner: Manner, generator: np.random.Generator
) -> Floats:
    """Cents of notes (start and end in s, cents) over all frames; rests hold what is around them."""
    times: Floats = np.arange(frames, dtype=np.float64) * FRAME_SECONDS
    targets = np.full(frames, notes[0][2], dtype=np.float64)
    extra = np.zeros(frames)
    previous_end = -1.0
    for start, end, cents in notes:
        targets[times >= start] = cents
        inside = (times >= start) & (times < end)
        extra[inside] += vibrato(times[inside] - start, end - start, manner, generator)
        if start - previous_end > 0.1:
            extra[inside] -= manner.scoop_cents * np.exp(-(times[inside] - start) / 0.06)
        previous_end = end
    return smoothed(targets, manner.glide) + extra + unsteady(frames, manner, generator)


def vibrato(times: Floats, length: float, manner: Manner, generator: np.random.Generator) -> Floats:
    """Cents at ``times`` from a note's beginning: grows after the delay, and fades towards the end."""
    rate = manner.vibrato_hz * generator.uniform(0.92, 1.08)
    depth = manner.vibrato_cents * generator.uniform(0.6, 1.2)
    gate = np.clip((times - manner.vibrato_delay) / 0.25, 0.0, 1.0) * np.clip((length - times) / 0.08, 0.0, 1.0)
    return depth * gate * np.sin(2 * np.pi * rate * times + generator.uniform(0.0, 2 * np.pi))


def unsteady(frames: int, manner: Manner, generator: np.random.Generator) -> Floats:
    """Slow drift and fast jitter in cents."""
    drift = np.interp(
        np.arange(frames) * FRAME_SECONDS,
        np.arange(int(frames * FRAME_SECONDS / 0.3) + 2) * 0.3,
        generator.normal(0.0, manner.drift_cents, int(frames * FRAME_SECONDS / 0.3) + 2),
    )
    return smoothed(drift, 0.1) + manner.jitter_cents * smoothed(generator.standard_normal(frames), 0.02) * 2.0


def recontoured(f0: Floats, generator: np.random.Generator) -> Floats:
    """A voice's f0 (0 = unvoiced) with another melody, vibrato and key; voiced where it was, within the usual range.

    The contour's smooth part is kept, what moves faster is scaled, each note is moved by steps of its own.
    """
    voiced = f0 > 0
    if not voiced.any():
        return f0.copy()
    places = np.flatnonzero(voiced)
    cents = np.interp(np.arange(len(f0)), places, 1200.0 * np.log2(f0[places] / 440.0))
    smooth = smoothed(cents, SMOOTH_SECONDS)
    manner = draw_manner(generator)
    steps = np.zeros(len(f0))
    added = np.zeros(len(f0))
    moves = generator.random() < 0.7
    for start, end in note_runs(f0):
        if moves:
            steps[start:] = 100.0 * generator.integers(-5, 6)
        times: Floats = np.arange(end - start, dtype=np.float64) * FRAME_SECONDS
        if generator.random() < 0.6:
            added[start:end] = vibrato(times, times[-1] + FRAME_SECONDS, manner, generator)
    contour = smooth + generator.uniform(0.0, 1.5) * (cents - smooth) + smoothed(steps, manner.glide) + added
    contour += unsteady(len(f0), manner, generator)
    contour += _key(contour[voiced], generator)
    return np.where(voiced, np.clip(440.0 * 2.0 ** (contour / 1200.0), LOWEST_HZ, HIGHEST_HZ), 0.0)


def note_runs(f0: Floats) -> list[tuple[int, int]]:
    """Runs of frames (start, end) that are voiced without a jump: about a note each."""
    cents = 1200.0 * np.log2(np.maximum(f0, 1.0))
    breaks = np.flatnonzero(np.abs(np.diff(cents)) > JUMP_CENTS) + 1
    edges = [0, *breaks.tolist(), len(f0)]
    runs = [(start, end) for start, end in zip(edges, edges[1:], strict=False) if f0[start] > 0]
    return [run for start, end in runs for run in _halves(cents, start, end)]


def smoothed(values: Floats, seconds: float) -> Floats:
    """A moving average over about ``seconds``, with soft edges."""
    width = max(3, round(seconds / FRAME_SECONDS) | 1)
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _halves(cents: Floats, start: int, end: int) -> list[tuple[int, int]]:
    """A run cut where its slow contour moves on by more than a semitone and a half within 60 ms."""
    step = round(0.06 / FRAME_SECONDS)
    if end - start < 6 * step:
        return [(start, end)]
    slow = smoothed(cents[start:end], SMOOTH_SECONDS)
    moving = np.abs(slow[step:] - slow[:-step]) > 60.0
    ups = np.flatnonzero(np.diff(moving.astype(int)) == 1) + step // 2
    edges = [start, *(start + ups).tolist(), end]
    return [(first, last) for first, last in zip(edges, edges[1:], strict=False) if last > first]


def _key(cents: Floats, generator: np.random.Generator) -> float:
    """A transposition of up to an octave that keeps the middle of the voice between 90 and 700 Hz."""
    middle = float(np.median(cents))
    lowest, highest = 1200.0 * np.log2(90.0 / 440.0), 1200.0 * np.log2(700.0 / 440.0)
    shift = generator.normal(0.0, 500.0)
    return float(np.clip(middle + shift, lowest, highest) - middle) if abs(shift) < 1500.0 else 0.0
