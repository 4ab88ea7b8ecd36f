"""Tables of hand-made scores, files of all scores, and pictures that show what they are given."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from majl_cli.errors import DataError, DependencyError, UsageError
from majl_cli.metrics.statistics import Interval
from majl_cli.report import experiment, experiment_plots, plots
from majl_cli.report.experiment import ArmScores


def make_arm(arm="majl", *, seeds=(0,), tracks=("a", "b"), groups=(), **scores):
    return ArmScores(
        arm=arm,
        label=arm.upper(),
        seeds=list(seeds),
        tracks=list(tracks),
        groups=list(groups),
        scores={metric: np.array(values, dtype=float) for metric, values in scores.items()},
    )


def random_arm(arm, *, gain=0.0, seeds=3, tracks=30, seed=0):
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(99).normal(0, 1, tracks)
    sdr = 7.5 + gain + 2 * hard + rng.normal(0, 0.3, (seeds, tracks))
    rpa = np.clip(0.88 + 0.02 * gain + 0.05 * hard + rng.normal(0, 0.01, (seeds, tracks)), 0, 1)
    return ArmScores(
        arm=arm,
        label=arm,
        seeds=list(range(seeds)),
        tracks=[f"t{n}" for n in range(tracks)],
        groups=[f"singer {n % 10}" for n in range(tracks)],
        scores={"sdr": sdr, "rpa": rpa},
    )


def test_a_table_has_decibels_percents_and_what_is_missing():
    arms = [
        make_arm("majl", seeds=(0, 1), sdr=[[7.0, 7.0], [8.0, 8.0]], rpa=[[0.9, 0.9], [0.92, 0.92]]),
        make_arm("a|b", tracks="abc", sdr=[[6.0, 6.0, math.inf]], vfa=[[math.nan] * 3]),
    ]
    assert experiment.scores_table(arms) == (
        "| arm | seeds | tracks | SDR (dB) | RPA (%) | VFA (%) |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| MAJL | 2 | 2 | 7.50 [7.50, 7.50] | 91.0 [91.0, 91.0] | – |\n"
        "| A\\|B | 1 | 3 | 6.00 [6.00, 6.00] (n = 2) | – | – |\n"
        "\n"
        "Mean [95 % bootstrap interval over tracks]; seeds are averaged within a track first. "
        "n: tracks that have the score, if not all.\n"
    )


def test_a_table_shows_the_metrics_asked_for_in_their_order():
    arm = make_arm(sdr=[[7.0, 7.0]], rpa=[[0.9, 0.9]], oa=[[0.8, 0.8]])
    assert experiment.scores_table([arm], metrics=["oa", "sdr"]).startswith(
        "| arm | seeds | tracks | OA (%) | SDR (dB) |"
    )
    with pytest.raises(UsageError, match="no metric 'F1'"):
        experiment.scores_table([arm], metrics=["F1"])


def test_differences_are_signed_paired_by_track_and_bold_where_clear():
    base = make_arm("pipeline", tracks="abcd", sdr=[[1.0, 5.0, 9.0, 3.0]], rpa=[[0.8, 0.8, 0.8, 0.8]])
    better = make_arm("majl", tracks="dcba", sdr=[[3.5, 9.5, 5.5, 1.5]], rpa=[[0.7, 0.9, 0.7, 0.9]])
    table = experiment.differences_table([base, better], reference="pipeline")
    rows = table.splitlines()
    assert rows[0] == "| arm | Δ SDR (dB) | Δ RPA (points) |"
    assert rows[2] == "| MAJL | **+0.50 [+0.50, +0.50]** | +0.0 [-10.0, +10.0] |"
    assert len(rows) == 5
    assert rows[4].startswith("Mean difference to PIPELINE, paired by track [95 % bootstrap interval over tracks]")


def test_intervals_go_over_groups_where_an_arm_names_them():
    values = [[1.0, 1.0, 3.0, 3.0]]
    arm = make_arm(tracks="abcd", groups=["s1", "s1", "s2", "s2"], sdr=values)
    assert "2.00 [1.00, 3.00]" in experiment.scores_table([arm])
    assert "over groups of tracks" in experiment.scores_table([arm])
    alone = make_arm(tracks="abcd", groups=["s1"] * 4, sdr=values)
    assert "2.00 [–]" in experiment.scores_table([alone])


def test_arms_that_cannot_be_compared_are_refused():
    base, other = make_arm("pipeline", sdr=[[1.0, 2.0]]), make_arm("majl", tracks="ac", sdr=[[1.0, 2.0]])
    with pytest.raises(DataError, match="majl and pipeline were scored on different tracks, such as b"):
        experiment.differences_table([base, other], reference="pipeline")
    with pytest.raises(UsageError, match="no arm 'best'"):
        experiment.differences_table([base], reference="best")
    with pytest.raises(DataError, match=r"arm majl: sdr has the shape \(2,\)"):
        make_arm(sdr=[1.0, 2.0])
    with pytest.raises(DataError, match="1 groups for 2 tracks"):
        make_arm(groups=["s"])
    with pytest.raises(DataError, match="a track appears twice"):
        make_arm(tracks="aa")


def test_every_score_is_a_row_of_the_csv_and_the_json(tmp_path):
    arms = [
        make_arm("majl", seeds=(3, 4), tracks=("a, b", "歌"), groups="xy", sdr=[[1.5, 1 / 3], [2.5, math.inf]]),
        make_arm("other", rpa=[[0.5, math.nan]]),
    ]
    file = io.BytesIO()
    experiment.write_scores_csv(arms, file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode("utf-8"))))
    assert list(rows[0]) == ["arm", "seed", "track", "group", "sdr", "rpa"]
    assert rows[0] == {"arm": "majl", "seed": "3", "track": "a, b", "group": "x", "sdr": "1.5", "rpa": ""}
    assert float(rows[1]["sdr"]) == 1 / 3
    assert [row["sdr"] for row in rows] == ["1.5", str(1 / 3), "2.5", "inf", "", ""]
    assert [row["rpa"] for row in rows][4:] == ["0.5", "nan"]

    experiment.write_scores_json(arms, tmp_path / "scores.json")
    document = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert document["labels"] == {"majl": "MAJL", "other": "OTHER"}
    assert document["rows"][3] == {"arm": "majl", "seed": 4, "track": "歌", "group": "y", "scores": {"sdr": None}}
    assert [row["scores"] for row in document["rows"][4:]] == [{"rpa": 0.5}, {"rpa": None}]


def png(draw, *args, **kwargs):
    """The picture as (height, width, 4), checked to show more than an empty page."""
    from matplotlib.image import imread

    file = io.BytesIO()
    draw(*args, file, **kwargs)
    picture = imread(io.BytesIO(file.getvalue()))
    assert (picture[..., :3] < 0.9).any(axis=-1).mean() > 0.005
    return picture


def step_records(count=100, **missing):
    rng = np.random.default_rng(0)
    for step in range(1, count + 1):
        shares = rng.dirichlet([40, 8, 2, 10])
        record = {"event": "step", "step": 10 * step, "omega_mss": 1 + 0.05 * rng.normal(), "omega_pe": 0.02}
        record |= {"omega_mss_spread": 0.3, "omega_pe_spread": 0.008}
        record |= {f"case{number}": share for number, share in enumerate(shares, start=1)}
        yield {key: value for key, value in record.items() if not missing.get(key)}
    yield {"event": "validation", "step": 10 * count, "sdr": 7.0}


def test_arms_are_drawn_wider_with_metrics_and_taller_with_arms():
    arms = [random_arm("pipeline"), random_arm("majl", gain=0.9, seed=1), make_arm("no $voice_", oa=[[0.5, 0.6]])]
    both = png(experiment_plots.plot_arms, arms)
    assert both.shape[1] > png(experiment_plots.plot_arms, arms, metrics=["sdr"]).shape[1] + 300
    assert both.shape[0] > png(experiment_plots.plot_arms, arms[:1]).shape[0] + 100


def test_weights_and_cases_have_panels_as_far_as_they_are_logged():
    full = png(experiment_plots.plot_weights, list(step_records()))
    partial = png(experiment_plots.plot_weights, list(step_records(case2=True, omega_pe_spread=True)))
    assert full.shape[0] > partial.shape[0] + 200
    with pytest.raises(DataError, match="no step record holds a weight"):
        experiment_plots.plot_weights([{"event": "validation", "step": 1}], io.BytesIO())


def test_a_threshold_curve_marks_the_chosen_one():
    points = {th: Interval(mean=0.9, low=0.88, high=0.91, count=9) for th in (0.5, 0.7, 0.9)}
    points[0.8] = Interval(mean=0.89, low=math.nan, high=math.nan, count=1)
    plain = png(experiment_plots.plot_threshold, points, metric="rpa")
    marked = png(experiment_plots.plot_threshold, points, metric="rpa", auto=(0.78, points[0.7]))
    red = [(x[..., 0] - x[..., 2] > 0.3).sum() for x in (plain, marked)]
    assert red[0] == 0 and red[1] > 300


def test_a_reliability_diagram_takes_binned_pairs_only():
    png(experiment_plots.plot_calibration, {"before": [[0.3, 0.1], [0.9, 0.6]], "after": [[0.2, 0.2], [0.9, 0.88]]})
    with pytest.raises(DataError, match=r"curve before: shape \(3,\)"):
        experiment_plots.plot_calibration({"before": [0.1, 0.2, 0.3]}, io.BytesIO())


def test_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match="plots need matplotlib"):
        experiment_plots.plot_arms([random_arm("majl")], io.BytesIO())
