"""How sure a mean over tracks is: percentile bootstrap intervals (Efron, 1979), and a paired test.

``values`` are one score a track, (tracks,), or one a seed and track, (seeds, tracks): then a track's score is its mean
over the seeds first, so an interval speaks of other tracks and not of other seeds. A track with a score that is not
finite in any seed (nan: no voiced frame, a silent stem; inf: nothing to separate) is left out, of both sides where two
are compared.

Tracks of one singer or song resemble each other. With ``groups`` (one name a track) whole groups are resampled, the
mean being over all tracks drawn (cluster bootstrap): else the interval is too narrow. With few tracks or groups (below
twenty or so) a percentile interval is somewhat too narrow in any case.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError, UsageError

FloatArray = NDArray[np.float64]

_BLOCK = 1 << 22  # numbers drawn at a time, so that memory stays bounded


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over ``count`` tracks, in the unit of the values, and the interval around it.

    ``low`` and ``high`` are nan for a single track or group: nothing says how much another would differ.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0; False where there is none."""
        return self.low > 0 or self.high < 0


def bootstrap_interval(
    values: ArrayLike,
    *,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Interval:
    """The mean of ``values`` (tracks,) or (seeds, tracks) with its ``level`` interval from ``samples`` resamplings.

    The same ``seed`` gives the same interval. Raises DataError if no track has a finite value.
    """
    return _interval(_track_means("values", values), level, samples, seed, groups)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Interval:
    """The mean of ``a`` - ``b`` on the same tracks, in the same order, with its interval.

    Each is (tracks,) or (seeds, tracks); the seeds may differ in number. What a track makes hard for both sides
    cancels, so this interval is narrower than those of ``a`` and ``b`` suggest. Raises DataError if the tracks differ
    in number or none has finite values on both sides.
    """
    a, b = _track_means("a", a), _track_means("b", b)
    if len(a) != len(b):
        raise DataError(f"{len(a)} tracks cannot be paired with {len(b)}", "score both sides on the same tracks")
    return _interval(a - b, level, samples, seed, groups)


def paired_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    samples: int = 10_000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> float:
    """The two-sided p of a paired permutation test: how often the mean of ``a`` - ``b`` would be as far from 0 if the
    two sides of each track were exchanged at random (Fisher, 1935; whole groups are exchanged together).

    All exchanges are gone through where they are no more than ``samples``, else so many are drawn and the given one
    counts along, so p is never 0. Shapes and errors as of ``paired_difference``; nan with fewer than two tracks or
    groups.
    """
    a, b = _track_means("a", a), _track_means("b", b)
    if len(a) != len(b):
        raise DataError(f"{len(a)} tracks cannot be paired with {len(b)}", "score both sides on the same tracks")
    sums, _ = _units(a - b, groups)
    if len(sums) < 2:
        return float("nan")
    # The number of tracks stays the same whatever the signs, so sums will do in place of means.
    observed = abs(sums.sum()) * (1 - 1e-12)
    if len(sums) < 63 and 2 ** len(sums) <= samples:
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    extreme, rows = 0, max(1, _BLOCK // len(sums))
    for start in range(0, samples, rows):
        signs = 1 - 2 * rng.integers(2, size=(min(rows, samples - start), len(sums)))
        extreme += int((np.abs(signs @ sums) >= observed).sum())
    return (extreme + 1) / (samples + 1)


def _track_means(name: str, values: ArrayLike) -> FloatArray:
    """One value a track, nan where a seed's is not finite."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise DataError(f"{name} have the shape {values.shape}", "give (tracks,) or (seeds, tracks)")
    if values.size == 0:
        raise DataError(f"{name} are empty: there is no mean over no tracks", "give at least one track")
    return np.where(np.isfinite(values), values, np.nan).reshape(-1, values.shape[-1]).mean(axis=0)


def _interval(values: FloatArray, level: float, samples: int, seed: int, groups: Sequence[Hashable] | None) -> Interval:
    if not 0 < level < 1:
        raise UsageError(f"level {level} is not a probability", "give a number between 0 and 1, such as 0.95")
    if samples < 1:
        raise UsageError(f"{samples} resamplings give no interval", "give 1 or more, such as 10000")
    sums, sizes = _units(values, groups)
    mean, count = float(sums.sum() / sizes.sum()), int(sizes.sum())
    if len(sums) < 2:
        return Interval(mean=mean, low=np.nan, high=np.nan, count=count)
    tail = (1 - level) / 2
    low, high = np.quantile(_resampled_means(sums, sizes, samples, seed), [tail, 1 - tail])
    return Interval(mean=mean, low=float(low), high=float(high), count=count)


def _units(values: FloatArray, groups: Sequence[Hashable] | None) -> tuple[FloatArray, FloatArray]:
    """What is resampled: sums of finite values and how many they are, of each track or each group; (units,) both."""
    if groups is not None and len(groups) != len(values):
        raise DataError(f"{len(groups)} groups for {len(values)} tracks", "give one group name a track")
    finite = np.isfinite(values)
    if not finite.any():
        raise DataError(f"none of {len(values)} tracks has a finite value", "leave this score out")
    sums: FloatArray = values[finite]
    sizes: FloatArray = np.ones(len(sums))
    if groups is not None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        members = np.array([numbers[group] for group in groups])[finite]
        sums, sizes = (np.bincount(members, weights=each).astype(np.float64) for each in (sums, sizes))
        sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    return sums, sizes


def _resampled_means(sums: FloatArray, sizes: FloatArray, samples: int, seed: int) -> FloatArray:
    """Means (samples,) over as many units as there are, drawn with replacement; a unit is a track or a group of them.

    ``sums`` and ``sizes`` (units,) are the sum of a unit's values and the number of its tracks.
    """
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    rows = max(1, _BLOCK // len(sums))
    for start in range(0, samples, rows):
        drawn = rng.integers(len(sums), size=(min(rows, samples - start), len(sums)))
        means[start : start + rows] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means
