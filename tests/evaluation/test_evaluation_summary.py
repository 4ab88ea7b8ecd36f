"""Rows summed up and compared; values worked out by hand."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from majl_cli.errors import DataError
from majl_cli.evaluation.results import Result, TrackRow
from majl_cli.evaluation.summary import differences, groups_of, score_keys, summarise
from majl_cli.inference.track_log import write_json
from majl_cli.metrics.names import METRICS
from majl_cli.report.evaluation import cell, summary_document, write_scores_csv


def result(
    name: str, scores: list[dict[str, float]], *, seconds: list[float] | None = None, groups: str = ""
) -> Result:
    rows = tuple(
        TrackRow(id=f"t{n}", seconds=(seconds or [1.0] * len(scores))[n], scores=row, group=groups and f"{groups}{n}")
        for n, row in enumerate(scores)
    )
    return Result(name=name, kind="model", description="", protocol="folder", settings={}, warnings=(), rows=rows)


def test_gnsdr_is_weighted_by_length_and_means_are_not() -> None:
    summary = summarise(result("a", [{"vocals/v3_nsdr": 2.0}, {"vocals/v3_nsdr": 8.0}], seconds=[3.0, 1.0]))
    item = summary["vocals/v3_nsdr"]
    assert (item.mean.mean, item.median, item.weighted, item.missing) == (5.0, 5.0, 3.5, 0)
    assert METRICS["v3_nsdr"].weighted == "GNSDR"


def test_what_is_not_finite_or_failed_is_missing_and_counted() -> None:
    rows = [{"vocals/sdr": 1.0}, {"vocals/sdr": math.nan}, {"vocals/sdr": math.inf}, {"melody/rpa": 0.5}]
    whole = result("a", rows)
    failed = TrackRow(id="bad", seconds=1.0, error="no stem")
    summary = summarise(Result(**{**whole.__dict__, "rows": (*whole.rows, failed)}))
    assert (summary["vocals/sdr"].mean.mean, summary["vocals/sdr"].mean.count, summary["vocals/sdr"].missing) == (
        1.0,
        1,
        4,
    )
    assert summary["melody/rpa"].missing == 4
    assert "vocals/si_sdr" not in summary


def test_keys_come_in_the_order_of_parts_and_of_the_table_of_metrics() -> None:
    keys = {"melody/oa": 0.0, "drums/sdr": 0.0, "vocals/v4_sdr": 0.0, "vocals/sdr": 0.0, "accompaniment/sdr": 0.0}
    assert score_keys([result("a", [keys])]) == [
        "vocals/sdr", "vocals/v4_sdr", "accompaniment/sdr", "melody/oa", "drums/sdr",
    ]  # fmt: skip


def test_intervals_are_over_groups_only_where_there_are_enough() -> None:
    few = result("a", [{"vocals/sdr": float(n)} for n in range(9)], groups="singer")
    many = result("a", [{"vocals/sdr": float(n)} for n in range(10)], groups="singer")
    assert groups_of(few.rows) is None
    assert groups_of(many.rows) == [f"singer{n}" for n in range(10)]


def test_differences_are_paired_and_say_which_way_is_better() -> None:
    a = result("a", [{"vocals/sdr": n + 1.0, "melody/vfa": 0.1} for n in range(6)])
    b = result("b", [{"vocals/sdr": float(n), "melody/vfa": 0.3} for n in range(6)])
    sdr, vfa = differences(a, b)
    assert (sdr.mean.mean, sdr.better, sdr.equal, sdr.worse) == (1.0, 6, 0, 0)
    assert sdr.p == pytest.approx(2 / 64)
    assert vfa.mean.mean == pytest.approx(-0.2) and vfa.better == 6  # fewer false alarms


def test_equal_means_equal_as_shown() -> None:
    a, b = result("a", [{"vocals/sdr": 1.001}] * 3), result("b", [{"vocals/sdr": 1.0}] * 3)
    (difference,) = differences(a, b)
    assert (difference.better, difference.equal, difference.worse) == (0, 3, 0)


def test_only_shared_tracks_are_compared() -> None:
    a = result("a", [{"vocals/sdr": 1.0}, {"vocals/sdr": 2.0}, {"vocals/sdr": 9.0}])
    b = result("b", [{"vocals/sdr": 0.0}, {"vocals/sdr": 0.0}])
    assert differences(a, b)[0].mean.count == 2
    with pytest.raises(DataError, match="share no track"):
        differences(a, result("c", []))


def test_files_hold_every_score_and_what_was_left_out(tmp_path: Path) -> None:
    a = result("a", [{"vocals/sdr": 1.25, "melody/oa": math.nan}, {"vocals/sdr": math.inf, "melody/oa": 0.5}])
    write_scores_csv([a], tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["estimator"], first["track"], first["vocals/sdr"], first["melody/oa"]) == ("a", "t0", "1.25", "")
    assert (second["vocals/sdr"], second["melody/oa"]) == ("inf", "0.5")
    summaries = {"a": summarise(a)}
    write_json(tmp_path / "summary.json", summary_document([a], summaries, differences(a, a)))
    document = json.loads((tmp_path / "summary.json").read_text())  # strict: no NaN in it
    (estimator,) = document["estimators"]
    assert estimator["tracks"] == 2 and estimator["scores"]["melody/oa"]["mean"] == 0.5
    assert estimator["scores"]["vocals/sdr"] | {"kind": ""} == {
        "name": "global SDR", "kind": "", "unit": "dB", "mean": 1.25, "low": None, "high": None, "count": 1,
        "median": 1.25, "missing": 1,
    }  # fmt: skip
    assert document["differences"][0]["score"] == "vocals/sdr"


def test_cells_show_units_and_minus_zero_is_zero() -> None:
    summary = summarise(result("a", [{"melody/oa": 0.876}, {"melody/oa": 0.876}, {"vocals/sdr": -0.0001}]))
    assert cell(summary["melody/oa"]) == "87.6 [87.6, 87.6]"
    assert cell(summary["vocals/sdr"]) == "0.00"
    assert cell(None) == "–"
