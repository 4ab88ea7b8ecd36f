"""Is it a song or a solo voice? A short excerpt is separated, and how much goes away decides."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from majl_cli.device import Runtime
from majl_cli.inference.chunks import Block
from majl_cli.inference.separation import separate_blocks
from majl_cli.models.joint import JointModel

# A solo voice keeps most of its energy when "the accompaniment" is taken away from it, a song does not.
ACCOMPANIMENT_LIMIT_DB = -15.0
RUMBLE_HZ = 100.0  # what lies below says nothing about who sings, and may be most of a solo recording's energy
EXCERPT_PIECES, PIECE_SECONDS, SEARCH_SECONDS = 4, 5, 120


def detect_input(
    model: JointModel, blocks: Iterable[Block], sample_rate: int, channels: int, *, runtime: Runtime
) -> tuple[str, float]:
    """Whether it is "vocals" or a "mixture", and the accompaniment's level relative to the input in dB that decided.

    The loudest 20 s of the first two minutes are separated; if mixture - vocals lies below -15 dB of the mixture, both
    taken above 100 Hz, or all is silent (-inf), the input is a solo voice.
    """
    excerpt = loudest_excerpt(blocks, sample_rate)
    energy = _energy(excerpt, sample_rate)
    if energy == 0:
        return "vocals", -math.inf
    separated = separate_blocks(
        model.separation, [excerpt], sample_rate, channels, runtime=runtime, stems=(model.target,), target=model.target
    )
    estimate = np.concatenate([block[model.target] for block in separated])
    rest = _energy(excerpt - estimate, sample_rate)
    level = 10.0 * math.log10(rest / energy) if rest else -math.inf
    return ("vocals" if level < ACCOMPANIMENT_LIMIT_DB else "mixture"), level


def _energy(audio: Block, sample_rate: int) -> float:
    """Of (samples, C), above ``RUMBLE_HZ``."""
    spectrum = np.fft.rfft(audio, axis=0)
    return float(np.square(np.abs(spectrum[math.ceil(RUMBLE_HZ * len(audio) / sample_rate) :])).sum())


def loudest_excerpt(blocks: Iterable[Block], sample_rate: int) -> Block:
    """The loudest 20 s (or all, if shorter) of the first two minutes, on a grid of 5 s; (samples, C)."""
    recent: deque[Block] = deque(maxlen=EXCERPT_PIECES)
    best, best_energy = np.zeros((0, 1), np.float32), -1.0
    for piece in islice(_pieces(blocks, PIECE_SECONDS * sample_rate), SEARCH_SECONDS // PIECE_SECONDS):
        recent.append(piece)
        energy = sum(float(np.square(part, dtype=np.float64).sum()) for part in recent)
        if energy > best_energy:
            best, best_energy = np.concatenate(recent), energy
    return best


def _pieces(blocks: Iterable[Block], length: int) -> Iterator[Block]:
    """The same samples in blocks of ``length``, the last one shorter."""
    held: list[Block] = []
    count = 0
    for block in blocks:
        while count + len(block) >= length:
            rest = length - count
            yield np.concatenate((*held, block[:rest]))
            held, count, block = [], 0, block[rest:]
        held.append(block)
        count += len(block)
    if count:
        yield np.concatenate(held)
