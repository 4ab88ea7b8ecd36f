"""Warnings of a run: none for a healthy one, the right one for each failure, none for what only comes near it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from majl_cli.errors import ConfigError
from majl_cli.training.monitors import Monitor, MonitorConfig, MonitorWarning

Records = list[dict[str, Any]]
WINDOW = MonitorConfig().window


def healthy_log(seed: int) -> Records:
    """A log of the size and noise of the embedded model's, with DWHS weights: 3000 steps, a record every 10."""
    rng = np.random.default_rng(seed)
    records: Records = []
    for step in range(10, 3001, 10):
        progress = 1 - math.exp(-step / 600)
        shares = np.array([0.85, 0.12, 0.01, 0.02]) * progress + np.array([0.05, 0.05, 0.05, 0.85]) * (1 - progress)
        shares = rng.dirichlet(60 * shares)
        omega_pe = 0.02 * rng.lognormal(0.0, 0.1)
        records.append({
            "event": "step", "step": step, "loss": 2 - progress, "loss_pe": 40 - 30 * progress,
            "omega_mss": rng.normal(1.0, 0.04), "omega_mss_spread": abs(rng.normal(0.3 * progress, 0.05)),
            "omega_pe": omega_pe, "omega_pe_spread": omega_pe * abs(rng.normal(0.4, 0.1)),
            "gradient_norm": (1 + 14 * math.exp(-step / 20)) * rng.lognormal(0.0, 0.5),
            **{f"case{number}": share for number, share in enumerate(shares, start=1)},
        })  # fmt: skip
        if step % 250 == 0:
            records.append(validation(
                step, sdr_gain=4 + 4 * progress + rng.normal(0, 0.15), rpa=0.75 + 0.18 * progress + rng.normal(0, 0.01),
                oa=0.7 + 0.18 * progress, vfa=0.2 - 0.1 * progress, vr=0.79 + 0.1 * progress, rpa_clean=0.98,
                leakage_db=-12 - 8 * progress + rng.normal(0, 0.5),
            ))  # fmt: skip
    return records


def validation(step: int, **scores: float) -> dict[str, Any]:
    record = {"sdr": 8.0, "sdr_gain": 8.0, "rpa": 0.92, "oa": 0.87, "vfa": 0.1, "vr": 0.89, "rpa_clean": 0.98, **scores}
    score = record["sdr_gain"] + 20 * record["rpa"] - 5 * record["vfa"]
    return {"event": "validation", "step": step, **record, "score": score}


def steps(count: int = WINDOW, **values: Any) -> Records:
    """Step records; a value is a number or a function of the record's number."""
    return [
        {"event": "step", "step": 10 * n, **{key: v(n) if callable(v) else v for key, v in values.items()}}
        for n in range(1, count + 1)
    ]


def warnings_of(records: Records, **config: Any) -> list[MonitorWarning]:
    monitor = Monitor(MonitorConfig(**config))
    return [warning for record in records for warning in monitor(record)]


def only_warning(records: Records, **config: Any) -> MonitorWarning:
    (warning,) = warnings_of(records, **config)
    return warning


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_gives_no_warning(seed: int) -> None:
    assert warnings_of(healthy_log(seed)) == []


def test_weights_that_swing_to_and_fro_are_warned_of_once_there_is_a_window() -> None:
    warning = only_warning(steps(40, omega_mss=1.0, omega_pe=lambda n: 0.02 + 0.012 * (-1) ** n))
    assert (warning.signature, warning.step) == ("unstable-weights", 10 * WINDOW)
    assert warning.message == "omega_pe oscillates: 100% of its changes turn back, by 120% of its mean"
    assert "loop.clip_norm" in warning.hint and "weighting.learning_rate" in warning.hint


@pytest.mark.parametrize(
    "omega",
    [
        pytest.param(lambda n: 1 + 0.2 * (-1) ** n, id="small swings"),
        pytest.param(lambda n: 1 + 0.9 * math.sin(n / 2), id="slow waves"),
        pytest.param(lambda n: 4.0 if n == 15 else 1.0, id="one spike"),
        pytest.param(1.0, id="constant"),
        pytest.param(0.0, id="switched off"),
        pytest.param(lambda n: 1.07**-n, id="a slow fall"),
    ],
)
def test_weights_that_move_a_little_or_slowly_are_not_warned_of(omega: Any) -> None:
    assert warnings_of(steps(omega_mss=omega, omega_pe=omega)) == []


@pytest.mark.parametrize(
    ("key", "diverging", "steady"),
    [
        ("omega_mss", lambda n: 1.1**n, lambda n: 1.05**n),
        ("omega_pe", lambda n: 0.02 * 0.9**n, lambda n: 0.02 * 0.95**n),
        ("gradient_norm", lambda n: 1.15**n, lambda n: 1.1**n),
    ],
)
def test_what_grows_by_a_factor_within_a_window_is_warned_of(key: str, diverging: Any, steady: Any) -> None:
    warning = only_warning(steps(**{key: diverging}))
    assert warning.signature == "unstable-weights"
    assert warning.message.startswith(f"{key} went from ")
    assert warnings_of(steps(**{key: steady})) == []


def test_a_spread_that_grows_beyond_its_weight_is_warned_of() -> None:
    warning = only_warning(steps(omega_pe=0.02, omega_pe_spread=lambda n: 0.002 * 1.15**n))
    assert warning.message.startswith("omega_pe_spread / omega_pe went from 0.216 to ")
    assert warnings_of(steps(omega_pe=0.02, omega_pe_spread=lambda n: 0.0002 * 1.15**n)) == []
    assert warnings_of(steps(omega_pe=0.02, omega_pe_spread=lambda n: 0.01 * 1.05**n)) == []


def test_gradient_spikes_are_no_divergence() -> None:
    assert warnings_of(steps(60, gradient_norm=lambda n: 100.0 if n % 7 == 0 else 1.0)) == []


def test_scores_that_fall_far_below_their_best_and_stay_there_are_a_collapse() -> None:
    good, bad = {"sdr_gain": 8.0, "rpa": 0.92}, {"sdr_gain": 4.0, "rpa": 0.6}
    records = [validation(250, **good), validation(500, **bad), validation(750, **bad)]
    warning = only_warning(records)
    assert (warning.signature, warning.step) == ("collapse", 750)
    assert warning.message == (
        "score is 15.5 and 15.5 after a best of 25.9; sdr_gain is 4 and 4 after a best of 8; "
        "rpa is 0.6 and 0.6 after a best of 0.92"
    )
    assert "higher --th" in warning.hint


@pytest.mark.parametrize(
    "gains", [(8, 4, 8, 4, 8), (8, 6.5, 6.5, 6.5), (3, 3, 4, 5), (8, 4)], ids=["dips", "small loss", "rise", "one dip"]
)
def test_a_dip_or_a_small_loss_is_no_collapse(gains: tuple[float, ...]) -> None:
    assert warnings_of([validation(250 * n, sdr_gain=gain) for n, gain in enumerate(gains, start=1)]) == []


@pytest.mark.parametrize("key", ["score", "sdr_gain", "rpa"])
def test_each_score_alone_shows_a_collapse(key: str) -> None:
    records = [{"event": "validation", "step": n, key: value} for n, value in enumerate((0.9, 0.2, 0.1))]
    records = [{**record, key: record[key] * 10} for record in records] if key == "sdr_gain" else records
    assert only_warning(records).message.startswith(f"{key} is ")


LEAKING = {"sdr_gain": 6.5, "rpa": 0.985, "rpa_clean": 0.98}


def test_separation_that_falls_while_pitch_beats_clean_vocals_is_leakage() -> None:
    warning = only_warning([validation(250), validation(500, **LEAKING)])
    assert (warning.signature, warning.step) == ("pitch-leakage", 500)
    assert warning.message == (
        "since step 250 the SDR gain fell by 1.50 dB while raw pitch accuracy rose by 6.5 points to 98.5%, "
        "no lower than the 98.0% from clean vocals"
    )
    assert "loss.omega_pe" in warning.hint


def test_separation_that_falls_while_the_estimate_sings_in_the_pauses_is_leakage() -> None:
    first = validation(250, leakage_db=-20.0)
    last = {"sdr_gain": 6.5, "rpa": 0.95}
    assert "12.0 dB louder where no vocals are" in only_warning([first, validation(500, **last, leakage_db=-8)]).message
    assert warnings_of([first, validation(500, **last, leakage_db=-16.0)]) == []


@pytest.mark.parametrize(
    "change", [{"sdr_gain": 7.4}, {"rpa": 0.93, "rpa_clean": 0.92}, {"rpa_clean": 0.99}, {"rpa_clean": math.nan}]
)
def test_separation_and_pitch_that_drift_apart_a_little_are_not_leakage(change: dict[str, float]) -> None:
    assert warnings_of([validation(250), validation(500, **{**LEAKING, **change})]) == []


def test_many_frames_right_only_in_the_estimate_are_leakage() -> None:
    warning = only_warning(steps(case3=lambda n: 0.25 + 0.04 * (-1) ** n))
    assert warning.signature == "pitch-leakage"
    assert warning.message.startswith("2") and "wrong in the true vocals" in warning.message
    assert warnings_of(steps(case3=lambda n: 0.9 if n % 3 == 0 else 0.15)) == []


@pytest.mark.parametrize("scores", [{"rpa": 0.907, "oa": 0.41}, {"vfa": 0.7}])
def test_right_pitch_with_wrong_voicing_is_a_collapse_of_voicing(scores: dict[str, float]) -> None:
    warning = only_warning([validation(250, **scores)])
    assert warning.signature == "voicing-collapse"
    assert warning.message.startswith(f"raw pitch accuracy is {scores.get('rpa', 0.92):.1%}, but overall accuracy ")
    assert "unvoiced frames have labels" in warning.hint


@pytest.mark.parametrize("scores", [{"rpa": 0.9, "oa": 0.66}, {"vfa": 0.59}, {"rpa": 0.55, "oa": 0.2, "vfa": 0.9}])
def test_voicing_that_lags_behind_or_a_start_without_pitch_is_no_collapse(scores: dict[str, float]) -> None:
    assert warnings_of([validation(250, **scores)]) == []


def test_a_warning_is_repeated_after_some_validations_or_when_it_has_cleared() -> None:
    bad, good = {"rpa": 0.9, "oa": 0.4}, {"rpa": 0.9, "oa": 0.8}
    steps_warned = [w.step for w in warnings_of([validation(n, **bad) for n in range(1, 8)], repeat_after=3)]
    assert steps_warned == [1, 4, 7]
    cleared = [validation(1, **bad), validation(2, **bad), validation(3, **good), validation(4, **bad)]
    assert [w.step for w in warnings_of(cleared)] == [1, 4]


def test_a_sign_in_the_steps_clears_only_after_a_window_without_it() -> None:
    flapping = steps(4 * WINDOW, case3=lambda n: 0.25 if n <= WINDOW or n % 30 < 20 else 0.1)
    assert len(warnings_of(flapping)) == 1
    again = steps(6 * WINDOW, case3=lambda n: 0.1 if 2 * WINDOW < n <= 4 * WINDOW else 0.25)
    assert len(warnings_of(again)) == 2


def test_missing_and_foreign_values_are_passed_over() -> None:
    records: Records = [{"event": "validation"}, {"event": "step"}, {}, {"event": "warning", "step": 1}]
    records += [{"event": "validation", "step": 3, "rpa": None, "oa": math.nan, "sdr_gain": "much", "score": math.inf}]
    records += steps(omega_pe=math.nan, case3=None)
    assert warnings_of(records + records) == []
    gaps = steps(case3=lambda n: 0.25 if n % 2 else None)
    assert only_warning(gaps).signature == "pitch-leakage"


def test_a_monitor_restored_from_the_log_goes_on_as_if_unbroken() -> None:
    records = healthy_log(0) + [validation(4000 + n, rpa=0.9, oa=0.4, sdr_gain=3.0) for n in range(8)]
    whole, lines = Monitor(MonitorConfig(repeat_after=4)), []
    unbroken = []
    for record in records:
        found = whole(record)
        unbroken.append(found)
        lines += [json.dumps(entry) for entry in (record, *(warning.record() for warning in found))]
    for cut in (5, len(records) - 6):
        resumed = Monitor(MonitorConfig(repeat_after=4))
        index = lines.index(json.dumps(records[cut]))
        resumed.restore([*lines[:index], lines[index][:10], "", "[]"])
        assert [resumed(record) for record in records[cut:]] == unbroken[cut:]
    assert sum(map(len, unbroken)) == 4


def test_a_warning_is_an_object_of_the_log() -> None:
    warning = MonitorWarning(step=5, signature="collapse", message="m", hint="h")
    assert warning.record() == {"event": "warning", "step": 5, "signature": "collapse", "message": "m", "hint": "h"}


def test_a_monitor_can_be_switched_off_and_its_limits_are_checked() -> None:
    assert warnings_of([validation(1, vfa=0.9)], enabled=False) == []
    with pytest.raises(ConfigError, match=r"monitor.window 3 is too small"):
        MonitorConfig(window=3)
    with pytest.raises(ConfigError, match=r"monitor.omega_factor 1.0 is no growth"):
        MonitorConfig(omega_factor=1.0)
