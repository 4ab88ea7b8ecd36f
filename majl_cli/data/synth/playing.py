"""How a part is played: with rests, swing, loose timing and uneven strength."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from majl_cli.data.synth.songs import BEATS_PER_BAR, Note
from majl_cli.data.synth.soundfont import Part


def with_rests(part: Part, bars: int, generator: np.random.Generator) -> Part:
    """The part, resting for some phrases of four bars: arrangements build up and thin out."""
    phrases = -(-bars // 4)
    plays = generator.random(phrases) < 0.82
    if not plays.any():
        plays[:] = True
    return replace(part, notes=[n for n in part.notes if plays[min(int(n.start) // (4 * BEATS_PER_BAR), phrases - 1)]])


@dataclass(frozen=True, kw_only=True)
class Feel:
    """``swing``: how much of a beat (or half a beat) later its second half begins; ``loose`` in beats."""

    swing: float
    grid: float
    loose: float
    velocity: float


def draw_feel(generator: np.random.Generator) -> Feel:
    swings = generator.random() < 0.25
    return Feel(
        swing=generator.uniform(0.05, 0.17) if swings else 0.0,
        grid=float(generator.choice([1.0, 0.5])),
        loose=generator.uniform(0.0, 0.02),
        velocity=generator.uniform(2.0, 12.0),
    )


def played(note: Note, feel: Feel, generator: np.random.Generator) -> Note:
    """The note as someone plays it: swung, a little early or late, softer or louder."""
    place = note.start / feel.grid % 1.0
    late = feel.swing * feel.grid * (1.0 - abs(2.0 * place - 1.0))  # most at the grid's middle, none on its lines
    start = max(0.0, note.start + late + generator.normal(0.0, feel.loose))
    return replace(note, start=start, velocity=int(np.clip(generator.normal(note.velocity, feel.velocity), 10, 127)))
