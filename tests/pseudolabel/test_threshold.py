"""Precision against threshold, and the smallest that will do."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.calibrate import HeldOut
from majl_cli.pseudolabel.threshold import precision_curve, smallest_threshold


def held_out(confidence: list[float], right: list[int]) -> HeldOut:
    numbers = {"ece_before": 0.0, "ece_after": 0.0, "ece_cross_validated": 0.0}
    return HeldOut(confidence=np.array(confidence), right=np.array(right, bool), **numbers)


PITCH = held_out([0.1, 0.3, 0.5, 0.7, 0.9], [0, 1, 0, 1, 1])


def test_precision_is_the_share_right_of_what_is_kept() -> None:
    curve = precision_curve({"pitch": PITCH}, {"pitch": 1000})
    assert curve.at(0.0) == pytest.approx(3 / 5)
    assert curve.at(0.3) == pytest.approx(3 / 4)  # 0.3 itself is kept
    assert curve.at(0.31) == pytest.approx(2 / 3)
    assert curve.at(0.51) == 1.0
    assert np.isnan(curve.at(0.95))
    assert curve.share_kept[[0, 30, 31, 51, 95]].tolist() == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.0])


def test_auto_is_the_smallest_threshold_that_reaches_the_precision() -> None:
    curve = precision_curve({"pitch": PITCH}, {"pitch": 1})
    assert smallest_threshold(curve, 0.6) == 0.0
    assert smallest_threshold(curve, 0.75) == 0.11
    assert smallest_threshold(curve) == 0.51


def test_kinds_weigh_as_many_frames_as_there_are_to_filter() -> None:
    kinds = {"pitch": held_out([0.9] * 10, [1] * 10), "stems": held_out([0.9, 0.9], [0, 1])}
    assert precision_curve(kinds, {"pitch": 500}).at(0.5) == 1.0
    assert precision_curve(kinds, {"pitch": 0, "stems": 500}).at(0.5) == 0.5
    assert precision_curve(kinds, {"pitch": 300, "stems": 100}).at(0.5) == pytest.approx((300 + 50) / 400)


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
