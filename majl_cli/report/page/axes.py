"""Round places for ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence


def round_step(span: float, *, about: int, steps: Sequence[float] = (1, 2, 5, 10)) -> float:
    """The smallest of ``steps`` times a power of ten that cuts ``span`` into at most ``about`` pieces."""
    if not span > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    return next((step * power for step in steps if span / (step * power) <= about), 10.0 * power)


def round_ticks(low: float, high: float, *, about: int) -> list[float]:
    """Multiples of a round step from ``low`` to ``high``, both included if they are one."""
    step = round_step(high - low, about=about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) + 0.0 for number in range(first, last + 1)]
