"""What an evaluation gives: a row of scores a track, and what has to be known to cite them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.metrics.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class TrackRow:
    """The scores of one track by key (``vocals/sdr``); nan where a score is not defined, inf for a perfect estimate.

    ``group`` names the singer or artist, for intervals over groups. ``counts`` says what was left out (``windows``,
    ``windows_skipped``), ``notes`` what a reader has to know, a line each. With an ``error`` there are no scores.
    """

    id: str
    seconds: float
    group: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One estimator on the tracks of a protocol.

    ``kind`` "model", "estimates", "baseline" or "oracle"; ``settings`` is what makes the figures repeatable (protocol,
    data, versions, device, seed); ``warnings`` belong beside every figure (a leak of test data into training).
    """

    name: str
    kind: str
    description: str
    protocol: str
    settings: dict[str, Any]
    warnings: tuple[str, ...]
    rows: tuple[TrackRow, ...]


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """A score over tracks: ``mean`` with its interval, ``median``, and ``weighted`` by the tracks' lengths.

    ``missing`` tracks have no finite score and are in none of the three.
    """

    key: str
    mean: Interval
    median: float
    weighted: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``a`` less ``b`` on one score, paired by track: mean with interval, p of the paired test, and on how many tracks
    ``a`` is better, equal (to the last shown digit) or worse."""

    key: str
    a: str
    b: str
    mean: Interval
    p: float
    better: int
    equal: int
    worse: int


@dataclass(frozen=True, kw_only=True, eq=False)
class F0:
    """f0 over time: ``times`` in s and ``frequency`` in Hz, both (N,); 0 is unvoiced, a negative value is unvoiced
    with a guess (mir_eval's convention)."""

    times: NDArray[np.float64]
    frequency: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Exhibit:
    """An excerpt of a track to look at and listen to.

    ``audio`` by name (``mixture``, ``reference``, ``estimate``; any may be missing), each (samples, channels) at
    ``sample_rate``, starts at ``start`` s of the track; the times of the f0 curves count from the track's start.
    ``why`` says why it is shown.
    """

    estimator: str
    track: str
    why: str
    stem: str
    start: float
    sample_rate: int
    audio: dict[str, NDArray[np.float32]]
    reference_f0: F0 | None = None
    estimate_f0: F0 | None = None
    scores: dict[str, float] = field(default_factory=dict)
