"""Bootstrap intervals against simulated truth, scipy and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from majl_cli.errors import DataError, UsageError
from majl_cli.metrics import statistics
from majl_cli.metrics.statistics import Interval, bootstrap_interval, paired_difference, paired_test


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_intervals_contain_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap_interval(rng.gamma(4.0, size=50), samples=1000, seed=i) for i in range(300)]
    hits = np.mean([interval.low <= 4.0 <= interval.high for interval in intervals])
    assert 0.90 <= hits <= 0.98
    narrower = [bootstrap_interval(rng.gamma(4.0, size=50), samples=1000, level=0.5) for _ in range(300)]
    assert 0.42 <= np.mean([interval.low <= 4.0 <= interval.high for interval in narrower]) <= 0.58


def test_cluster_intervals_contain_the_true_mean_where_plain_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 5)
    hits = {"plain": 0, "cluster": 0}
    for _ in range(200):
        values = rng.standard_normal(40)[groups] + 0.3 * rng.standard_normal(200)
        for name, given in (("plain", None), ("cluster", groups.tolist())):
            interval = bootstrap_interval(values, samples=500, groups=given)
            hits[name] += interval.low <= 0 <= interval.high
    assert hits["cluster"] / 200 >= 0.88
    assert hits["plain"] / 200 <= 0.75


def test_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=60)
    ours = bootstrap_interval(values, level=0.9)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.03 * width(ours) + 0.01)


def test_pairing_narrows_the_interval_of_correlated_scores() -> None:
    rng = np.random.default_rng(5)
    b = rng.normal(7.0, 3.0, size=80)
    a = b + rng.normal(0.5, 0.5, size=80)
    paired = paired_difference(a, b)
    assert paired.mean == pytest.approx((a - b).mean())
    assert width(paired) < width(bootstrap_interval(a)) / 3
    assert paired.excludes_zero
    assert not paired_difference(b, b + rng.normal(0.0, 0.5, size=80)).excludes_zero


def test_groups_widen_the_interval_of_clustered_scores() -> None:
    rng = np.random.default_rng(6)
    groups = [f"singer {number}" for number in np.repeat(np.arange(10), 12)]
    values = np.repeat(rng.normal(7.0, 2.0, size=10), 12) + rng.normal(0.0, 0.2, size=120)
    plain, cluster = bootstrap_interval(values), bootstrap_interval(values, groups=groups)
    assert width(cluster) > 2 * width(plain)
    assert cluster.mean == pytest.approx(plain.mean)
    assert cluster.count == plain.count == 120


def test_groups_of_one_track_each_are_the_plain_bootstrap() -> None:
    values = np.random.default_rng(7).standard_normal(30)
    assert bootstrap_interval(values, groups=[str(i) for i in range(30)]) == bootstrap_interval(values)


def test_seeds_are_averaged_within_a_track_first() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(7.0, 2.0, size=40) + rng.normal(0.0, 0.3, size=(3, 40))
    assert bootstrap_interval(values) == bootstrap_interval(values.mean(axis=0))
    other = values[:2] + 0.1
    assert paired_difference(values, other) == paired_difference(values.mean(axis=0), other.mean(axis=0))


def test_scores_that_are_not_finite_are_dropped_on_both_sides_and_counted() -> None:
    a = np.array([1.0, math.nan, 3.0, 4.0, math.inf, 9.0])
    b = np.array([0.0, 2.0, 1.0, -math.inf, 5.0, 6.0])
    assert bootstrap_interval(a).count == 4
    paired = paired_difference(a, b, groups=list("aabbcc"))
    assert (paired.count, paired.mean) == (3, pytest.approx(2.0))
    assert paired == paired_difference(a[[0, 2, 5]], b[[0, 2, 5]], groups=list("abc"))
    seeds = np.array([[1.0, 2.0, math.nan], [3.0, 4.0, 5.0]])
    assert bootstrap_interval(seeds) == bootstrap_interval([2.0, 3.0])


def test_the_seed_fixes_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(9).standard_normal(25)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)
    whole = bootstrap_interval(values)
    monkeypatch.setattr(statistics, "_BLOCK", 1000)
    blocks = bootstrap_interval(values)
    assert (blocks.low, blocks.high) == pytest.approx((whole.low, whole.high), abs=0.03)


def test_one_track_or_one_group_has_a_mean_and_no_interval() -> None:
    for interval in (bootstrap_interval([5.0]), bootstrap_interval([4.0, 6.0], groups=["a", "a"])):
        assert interval.mean == 5.0
        assert math.isnan(interval.low) and math.isnan(interval.high)
        assert not interval.excludes_zero


def test_equal_scores_have_an_interval_without_width() -> None:
    assert bootstrap_interval([2.0] * 5, samples=10) == Interval(mean=2.0, low=2.0, high=2.0, count=5)


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(DataError, match="values are empty: there is no mean over no tracks"):
        bootstrap_interval([])
    with pytest.raises(DataError, match="a are empty"):
        paired_difference(np.zeros((2, 0)), [])
    with pytest.raises(DataError, match="none of 2 tracks has a finite value"):
        bootstrap_interval([math.nan, math.inf])
    with pytest.raises(DataError, match=r"values have the shape \(1, 1, 2\)"):
        bootstrap_interval(np.zeros((1, 1, 2)))
    with pytest.raises(DataError, match="3 tracks cannot be paired with 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(DataError, match="1 groups for 2 tracks"):
        bootstrap_interval([1.0, 2.0], groups=["a"])
    with pytest.raises(UsageError, match="level 95 is not a probability"):
        bootstrap_interval([1.0, 2.0], level=95)
    with pytest.raises(UsageError, match="0 resamplings give no interval"):
        bootstrap_interval([1.0, 2.0], samples=0)


def test_paired_test_goes_through_all_exchanges_of_few_tracks() -> None:
    # Of 2^3 signs only +++ and --- are as far from 0 as the differences 1, 2, 3.
    assert paired_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(2 / 8)
    assert paired_test([1.0, 2.0], [1.0, 2.0]) == 1.0


def test_paired_test_agrees_with_the_t_test_on_many_tracks() -> None:
    rng = np.random.default_rng(5)
    b = rng.normal(size=200)
    a = b + rng.normal(0.15, 1.0, size=200)
    expected = stats.ttest_rel(a, b).pvalue
    assert paired_test(a, b) == pytest.approx(expected, abs=0.01)
    assert paired_test(b, a) == pytest.approx(expected, abs=0.01)


def test_paired_test_is_never_zero_and_repeats() -> None:
    a = np.arange(100.0)
    assert paired_test(a + 5, a) == paired_test(a + 5, a) == pytest.approx(1 / 10_001)


def test_paired_test_exchanges_whole_groups() -> None:
    a, b = np.ones(40), np.zeros(40)
    assert paired_test(a, b) < 0.001
    assert paired_test(a, b, groups=["x"] * 20 + ["y"] * 20) == pytest.approx(0.5)
    assert math.isnan(paired_test(a, b, groups=["x"] * 40))


def test_paired_test_leaves_out_what_is_not_finite_and_refuses_nothing_at_all() -> None:
    assert paired_test([2.0, 4.0, 6.0, math.nan], [1.0, 2.0, 3.0, 1.0]) == pytest.approx(2 / 8)
    with pytest.raises(DataError, match="finite"):
        paired_test([math.nan], [1.0])
    with pytest.raises(DataError, match="paired"):
        paired_test([1.0, 2.0], [1.0])
