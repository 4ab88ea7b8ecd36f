"""How precise what a threshold keeps would be, told by held-out tracks; and the smallest threshold that will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.calibrate import HeldOut
from majl_cli.pseudolabel.confidence import Floats

GRID = np.arange(101) / 100
PRECISION = 0.95


@dataclass(frozen=True, kw_only=True)
class PrecisionCurve:
    """At each ``th`` the ``precision``, the share of held-out frames kept that are right (nan where none is kept), and
    the ``share_kept`` of held-out frames."""

    th: Floats
    precision: Floats
    share_kept: Floats

    def at(self, th: float) -> float:
        """The precision at the grid's nearest threshold."""
        return float(self.precision[np.abs(self.th - th).argmin()])


def precision_curve(held_out: Mapping[str, HeldOut], frames: Mapping[str, int]) -> PrecisionCurve:
    """The curve for tracks that have so many ``frames`` of each kind ("pitch", "stems").

    Each kind's held-out frames weigh together as much as the frames of that kind there are to filter. Raises DataError
    if a kind that occurs was not held out.
    """
    kept, right, total = np.zeros(len(GRID)), np.zeros(len(GRID)), 0
    for kind, count in frames.items():
        if not count:
            continue
        part = held_out.get(kind)
        if part is None or not len(part.right):
            raise DataError(
                f"no held-out frames for the kind {kind!r}: no precision is known",
                "give --th a number, or calibrate majl pseudolabel on fully labelled tracks",
            )
        weight = count / len(part.right)
        reached = np.floor(part.confidence * 100 + 1e-6).astype(np.int64).clip(0, 100)  # the highest th that keeps it
        kept += weight * _at_least(reached, np.ones(len(reached)))
        right += weight * _at_least(reached, part.right)
        total += count
    precision = np.divide(right, kept, out=np.full(len(GRID), np.nan), where=kept > 0)
    return PrecisionCurve(th=GRID, precision=precision, share_kept=kept / max(total, 1))


def smallest_threshold(curve: PrecisionCurve, precision: float = PRECISION) -> float:
    """The first threshold of the curve whose precision is reached. Raises DataError telling the best if none is."""
    if not 0 <= precision <= 1:
        raise UsageError(f"precision {precision}: not a share", "use a value from 0 to 1")
    good = np.flatnonzero(curve.precision >= precision)
    if len(good):
        return float(curve.th[good[0]])
    if np.isnan(curve.precision).all():
        raise DataError("no held-out frames: no precision is known", "give --th a number")
    best = int(np.nanargmax(curve.precision))
    reached, th = curve.precision[best], curve.th[best]
    raise DataError(
        f"no threshold reaches a precision of {precision:g}: the best is {reached:.3f}, at th {th:.2f}",
        f"use --precision {np.floor(reached * 100) / 100:.2f} or less, or --th {th:.2f}",
    )


def _at_least(reached: np.ndarray, weights: np.ndarray) -> Floats:
    """For each threshold of the grid the sum of the weights of frames that it keeps; (101,)."""
    sums = np.bincount(reached, weights=weights, minlength=len(GRID))
    return np.asarray(sums[::-1].cumsum()[::-1], dtype=np.float64)
