"""Frames counted by their confidence, from which the scores at every voicing threshold follow.

A frame is voiced from the threshold on, as ``majl pitch`` has it. Confidences fall into 1000 cells: a threshold in
between counts as the next thousandth, and memory does not grow with the number of frames. Decoded frequencies are
compared with labels at 50 cents; a frame is *right* if its label is voiced and the frequency within them.

Letters: N frames.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import frequency_to_cents
from majl_cli.metrics.melody import TOLERANCE_CENTS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CELLS = 1000
EDGES = np.arange(CELLS + 1) / CELLS
THRESHOLDS = np.arange(1, 100) / 100  # those to choose from


@dataclass(frozen=True, kw_only=True)
class OctaveErrors:
    """Of ``frames`` voiced in label and estimate: how many are whole octaves too high (``up``) or too low (``down``),
    and how many otherwise wrong (``other``)."""

    frames: int
    up: int
    down: int
    other: int


@dataclass(frozen=True, kw_only=True)
class VoicingScores:
    """At ``threshold``: ``f1`` of the voiced frames, overall accuracy ``oa``, voicing recall ``vr`` and false alarm
    ``vfa``, shares in [0, 1]; nan where there is no frame to have a share of."""

    threshold: float
    f1: float
    oa: float
    vr: float
    vfa: float


@dataclass(frozen=True, kw_only=True)
class VoicingTally:
    """By cell of confidence, each (1000,): the sum of the ``confidence`` and the frames whose label is ``unvoiced``, or
    voiced with the decoded frequency ``right``, whole octaves ``up`` or ``down`` from the label, or ``other``."""

    confidence: Floats
    unvoiced: Floats
    right: Floats
    up: Floats
    down: Floats
    other: Floats

    def __add__(self, more: VoicingTally) -> VoicingTally:
        names = [field.name for field in dataclasses.fields(self)]
        return VoicingTally(**{name: getattr(self, name) + getattr(more, name) for name in names})

    @property
    def voiced(self) -> Floats:
        """Frames with a voiced label, by cell."""
        return self.right + self.up + self.down + self.other

    @property
    def frames(self) -> Floats:
        """All frames, by cell."""
        return self.voiced + self.unvoiced

    @property
    def rpa(self) -> float:
        """Raw pitch accuracy: the share of frames with a voiced label that is right, at whatever confidence."""
        return _share(self.right.sum(), self.voiced.sum())

    def groups(self) -> tuple[Floats, Floats, Floats]:
        """Mean confidence, right frames and all frames of each cell that has some, for ``metrics.reliability``."""
        some = self.frames > 0
        return self.confidence[some] / self.frames[some], self.right[some], self.frames[some]

    def share_voiced(self, threshold: float) -> float:
        """The share of all frames that are voiced at the threshold."""
        return _share(self.frames[_first_cell(threshold) :].sum(), self.frames.sum())

    def octave_errors(self, threshold: float) -> OctaveErrors:
        """Octave errors of the frames that are voiced at the threshold and in the label."""
        first = _first_cell(threshold)
        up, down, other = (int(part[first:].sum()) for part in (self.up, self.down, self.other))
        return OctaveErrors(frames=int(self.voiced[first:].sum()), up=up, down=down, other=other)

    def scores(self, threshold: float) -> VoicingScores:
        """Scores at the threshold."""
        first = _first_cell(threshold)
        voiced, unvoiced = self.voiced.sum(), self.unvoiced.sum()
        hits, alarms = self.voiced[first:].sum(), self.unvoiced[first:].sum()
        return VoicingScores(
            threshold=threshold,
            f1=_share(2 * hits, voiced + hits + alarms) if voiced else math.nan,
            oa=_share(self.right[first:].sum() + unvoiced - alarms, voiced + unvoiced),
            vr=_share(hits, voiced),
            vfa=_share(alarms, unvoiced),
        )


def tally_frames(confidence: Floats, frequency: Floats, label: Floats) -> VoicingTally:
    """Confidence in [0, 1], decoded frequency in Hz (the guess, given everywhere) and label in Hz (0 = unvoiced) of
    frames (N,), counted."""
    voiced = label > 0
    cents = frequency_to_cents(np.where(voiced, frequency, 1.0)) - frequency_to_cents(np.where(voiced, label, 1.0))
    octaves = np.round(cents / 1200.0)
    whole = np.abs(cents - 1200.0 * octaves) <= TOLERANCE_CENTS
    cells = (np.searchsorted(EDGES, confidence, side="right") - 1).clip(0, CELLS - 1)

    def count(of: Bools) -> Floats:
        return np.bincount(cells[of], minlength=CELLS).astype(np.float64)

    return VoicingTally(
        confidence=np.bincount(cells, weights=confidence, minlength=CELLS).astype(np.float64),
        unvoiced=count(~voiced),
        right=count(voiced & whole & (octaves == 0)),
        up=count(voiced & whole & (octaves > 0)),
        down=count(voiced & whole & (octaves < 0)),
        other=count(voiced & ~whole),
    )


def best_threshold(values: Floats) -> float:
    """The threshold whose value is the largest, of values at each of ``THRESHOLDS``; of several the middle one, which
    is the farthest from all that would be judged otherwise."""
    best = np.flatnonzero(values >= np.nanmax(values) - 1e-9)
    return float(THRESHOLDS[best[len(best) // 2]])


def _first_cell(threshold: float) -> int:
    """The first cell of which all is voiced."""
    return int(np.searchsorted(EDGES, threshold, side="left"))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
