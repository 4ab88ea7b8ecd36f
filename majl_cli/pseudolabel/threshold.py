"""How precise what a threshold keeps would be, told by held-out tracks; and the smallest threshold that will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.confidence import Floats
from majl_cli.pseudolabel.held_out import HeldOut

GRID = np.arange(101) / 100
PRECISION = 0.95


@dataclass(frozen=True, kw_only=True)
class PrecisionCurve:
    """At each ``th`` the ``precision``, the share of held-out frames kept that are right (nan where none is kept), and
    the ``share_kept`` of held-out frames."""

    th: Floats
    precision: Floats
    share_kept: Floats


def precision_curve(
    held_out: Mapping[str, HeldOut], frames: Mapping[str, int], *, thresholds: Floats = GRID
) -> PrecisionCurve:
    """The curve for tracks that have so many ``frames`` of each kind ("pitch", "stems").

    Each kind's held-out frames weigh together as much as the frames of that kind there are to filter. Raises DataError
    if a kind that occurs was not held out.
    """
    kept, right, total = np.zeros(len(thresholds)), np.zeros(len(thresholds)), 0
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
        order = part.confidence.argsort()
        first = np.searchsorted(part.confidence[order], thresholds, side="left")  # of those kept, in this order
        kept += weight * (len(order) - first)
        right += weight * (part.right.sum() - np.concatenate(([0], part.right[order].cumsum()))[first])
        total += count
    precision = np.divide(right, kept, out=np.full(len(thresholds), np.nan), where=kept > 0)
    return PrecisionCurve(th=thresholds, precision=precision, share_kept=kept / max(total, 1))


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
