"""Precision against threshold, and the smallest that will do."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.held_out import HeldOut
from majl_cli.pseudolabel.threshold import precision_curve, smallest_threshold


def held_out(confidence: list[float], right: list[int]) -> HeldOut:
    numbers = {"ece_before": 0.0, "ece_after": 0.0, "ece_cross_validated": 0.0}
    return HeldOut(confidence=np.array(confidence), right=np.array(right, bool), **numbers)


PITCH = held_out([0.1, 0.3, 0.5, 0.7, 0.9], [0, 1, 0, 1, 1])


def at(th: float, held_out: dict[str, HeldOut], frames: dict[str, int]) -> float:
    return float(precision_curve(held_out, frames, thresholds=np.array([th])).precision[0])


def test_precision_is_the_share_right_of_what_is_kept() -> None:
    curve = precision_curve({"pitch": PITCH}, {"pitch": 1000})
    assert curve.precision[[0, 30, 31, 51]].tolist() == pytest.approx([3 / 5, 3 / 4, 2 / 3, 1.0])  # 0.3 itself is kept
    assert np.isnan(curve.precision[95])
    assert at(0.305, {"pitch": PITCH}, {"pitch": 1000}) == pytest.approx(2 / 3)
    assert curve.share_kept[[0, 30, 31, 51, 95]].tolist() == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.0])


def test_auto_is_the_smallest_threshold_that_reaches_the_precision() -> None:
    curve = precision_curve({"pitch": PITCH}, {"pitch": 1})
    assert smallest_threshold(curve, 0.6) == 0.0
    assert smallest_threshold(curve, 0.75) == 0.11
    assert smallest_threshold(curve) == 0.51


def test_kinds_weigh_as_many_frames_as_there_are_to_filter() -> None:
    kinds = {"pitch": held_out([0.9] * 10, [1] * 10), "stems": held_out([0.9, 0.9], [0, 1])}
    assert at(0.5, kinds, {"pitch": 500}) == 1.0
    assert at(0.5, kinds, {"pitch": 0, "stems": 500}) == 0.5
    assert at(0.5, kinds, {"pitch": 300, "stems": 100}) == pytest.approx((300 + 50) / 400)


def test_a_precision_nothing_reaches_tells_the_best_and_where() -> None:
    curve = precision_curve({"pitch": held_out([0.2, 0.4, 0.6], [0, 1, 0])}, {"pitch": 1})
    with pytest.raises(DataError) as caught:
        smallest_threshold(curve, 0.8)
    assert caught.value.message == "no threshold reaches a precision of 0.8: the best is 0.500, at th 0.21"
    assert "--precision 0.50" in caught.value.hint


def test_without_held_out_frames_no_precision_is_known() -> None:
    with pytest.raises(DataError, match="no held-out frames for the kind 'stems'"):
        precision_curve({"pitch": PITCH}, {"pitch": 1, "stems": 1})
    with pytest.raises(DataError, match="no precision is known"):
        precision_curve({"pitch": held_out([], [])}, {"pitch": 1})
    with pytest.raises(UsageError, match="precision 1.5"):
        smallest_threshold(precision_curve({"pitch": PITCH}, {"pitch": 1}), 1.5)
