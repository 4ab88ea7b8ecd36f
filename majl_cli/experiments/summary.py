"""What came of an experiment: a folder with tables, scores per track, configurations, curves and plots."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from majl_cli.config import read_toml
from majl_cli.errors import DataError, DependencyError
from majl_cli.experiments.plans import Arm, Plan
from majl_cli.experiments.runner import ARM_FILE, NOTHING_FILE, SCORES_FILE, Runner
from majl_cli.files import write_text
from majl_cli.inference.track_log import read_json
from majl_cli.metrics.reliability import reliability_curve
from majl_cli.pseudolabel.filter_report import FILTER_FILE
from majl_cli.pseudolabel.held_out import REPORT_FILE, Calibration, read_calibration
from majl_cli.report.experiment import ArmScores, arm_interval, differences_table, scores_table, write_scores_csv
from majl_cli.report.experiment_plots import plot_arms, plot_calibration, plot_threshold, plot_weights
from majl_cli.training.stage_config import without_paths

METRICS = ("sdr_gain", "sdr", "rpa", "rca", "oa", "vr", "vfa", "rpa_clean", "oa_clean")
SHOWN = ("sdr_gain", "rpa", "oa", "vfa", "rpa_clean", "oa_clean")
REPORT = "report.md"


def summarise(runner: Runner, plan: Plan, out: Path) -> list[Path]:
    """Write ``out``: report.md, scores.csv, configs/, and plots where matplotlib is there. All arms must be done.

    An arm whose filter kept nothing, of any seed, is named and left out. Raises DataError if no arm is left."""
    plan, nothing = _with_scores(runner, plan)
    arms = [arm_scores(runner, plan, arm) for arm in plan.arms]
    written = [out / REPORT, out / "scores.csv"]
    parts = [f"# {plan.title}\n", _made_with(runner, plan), *nothing]
    parts += ["## Scores\n", scores_table(arms, metrics=SHOWN)]
    if len(arms) > 1:
        parts += ["## Differences\n", differences_table(arms, reference=plan.reference, metrics=SHOWN)]
    if any(arm.th is not None for arm in plan.arms):
        parts += [
            "## What the filter kept\n",
            _kept_table(runner, plan),
            "## Calibration\n",
            _calibration_table(runner),
        ]
    if plan.name == "dwhs":
        parts += ["## Weights in the last quarter of the steps\n", _weights_table(runner, plan)]
    write_text(out / REPORT, "\n".join(parts))
    write_scores_csv(arms, out / "scores.csv")
    for arm in plan.arms:
        path = out / "configs" / f"{arm.name}.toml"
        write_text(path, tomli_w.dumps(without_paths(read_toml(runner.arm_folder(arm, 0) / ARM_FILE))))
        written.append(path)
    for name, draw in _plots(runner, plan, arms).items():
        try:
            draw(out / name)
            written.append(out / name)
        except DependencyError as error:
            runner.tell(f"no {name}: {error.message} ({error.hint})")
            break
    return written


def _with_scores(runner: Runner, plan: Plan) -> tuple[Plan, list[str]]:
    """The plan without the arms whose filter kept nothing, and what to say of them."""
    left, nothing = [], []
    for arm in plan.arms:
        notes = [runner.arm_folder(arm, seed) / NOTHING_FILE for seed in range(runner.effort.seeds)]
        said = [path.read_text(encoding="utf-8").strip() for path in notes if path.exists()]
        nothing += [f"Left out: {plan.label(arm)}: {said[0]}.\n"] if said else []
        left += [] if said else [arm]
    if not left:
        raise DataError("no arm has scores: the filter kept nothing of any", "train Stage I longer: raise --budget")
    reference = plan.reference if any(arm.name == plan.reference for arm in left) else left[0].name
    return dataclasses.replace(plan, arms=tuple(left), reference=reference), nothing


def arm_scores(runner: Runner, plan: Plan, arm: Arm) -> ArmScores:
    """The scores of an arm's seeds, on the tracks all of them have."""
    seeds = list(range(runner.effort.seeds))
    rows = [json.loads((runner.arm_folder(arm, seed) / SCORES_FILE).read_text(encoding="utf-8")) for seed in seeds]
    by_id = [{row["id"]: row for row in part} for part in rows]
    tracks = [row["id"] for row in rows[0] if all(row["id"] in part for part in by_id)]
    scores = {
        metric: np.array([[part[track].get(metric, np.nan) for track in tracks] for part in by_id], dtype=np.float64)
        for metric in METRICS
    }
    return ArmScores(arm=arm.name, label=plan.label(arm), seeds=seeds, tracks=tracks, groups=[], scores=scores)


def _made_with(runner: Runner, plan: Plan) -> str:
    effort = runner.effort
    steps = runner.config(plan.arms[0], 0)["loop"]["steps"]
    return (
        f"Made by `majl experiment {plan.name} --seeds {effort.seeds} --budget {effort.budget:g}`: "
        f"{steps} steps an arm; the configuration of every arm is in `configs/`, every score in `scores.csv`.\n"
    )


def _kept_table(runner: Runner, plan: Plan) -> str:
    lines = [
        "| arm | seed | th | held-out precision | kept of mss | kept of pe |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm in plan.arms:
        for seed in range(runner.effort.seeds if arm.th is not None else 0):
            report = read_json(runner.arm_folder(arm, seed) / FILTER_FILE)
            shares = {bucket: _share(report["groups"], bucket) for bucket in ("mss", "pe")}
            precision = report["precision_at_th"]
            known = "not known" if precision is None else f"{precision:.3f}"
            lines.append(
                f"| {plan.label(arm)} | {seed} | {report['th']:g} | {known} | {shares['mss']} | {shares['pe']} |"
            )
    return "\n".join(lines) + "\n"


def _share(groups: Sequence[dict[str, Any]], bucket: str) -> str:
    mine = [group for group in groups if group["bucket"] == bucket]
    if not mine:
        return "none there"
    kept, given = (sum(group[key]["hours"] for group in mine) for key in ("kept", "given"))
    return f"{kept:.2f} of {given:.2f} h"


def _calibration_table(runner: Runner) -> str:
    lines = [
        "| seed | labels | temperature | held-out frames | right | ECE before | after | after, cross-validated |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for seed in range(runner.effort.seeds):
        report = read_json(runner.pseudolabels(seed) / REPORT_FILE)
        for kind in ("pitch", "stems"):
            part = report[kind]
            errors = " | ".join(
                "–" if part[key] is None else f"{part[key]:.3f}"
                for key in ("ece_before", "ece_after", "ece_cross_validated")
            )
            right = "–" if part["share_right"] is None else f"{part['share_right']:.1%}"
            told = f"{report['temperature']:.2f} | {part['frames']} | {right}"
            lines.append(f"| {seed} | {kind} | {told} | {errors} |")
    return (
        "\n".join(lines)
        + "\n\nECE: expected calibration error, 15 bins; cross-validated: at the temperature of the other half.\n"
    )


def _weights_table(runner: Runner, plan: Plan) -> str:
    columns = ("case1", "case2", "case3", "case4", "omega_mss", "omega_mss_spread", "omega_pe", "omega_pe_spread")
    names = ("case 1", "case 2", "case 3", "case 4", "ω_mss", "spread", "ω_pe", "spread")
    lines = [f"| arm | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for arm in plan.arms:
        records = [record for seed in range(runner.effort.seeds) for record in _last_quarter(runner, arm, seed)]
        cells = []
        for column in columns:
            values = [record[column] for record in records if column in record]
            share = column.startswith("case")
            cells.append("–" if not values else f"{np.mean(values):.1%}" if share else f"{np.mean(values):.3f}")
        lines.append(f"| {plan.label(arm)} | {' | '.join(cells)} |")
    note = (
        "Shares of the voiced frames with a label and a source; ω: mean weight before it is normalised to 1; spread: "
        "standard deviation of the weights in a batch. Mean over all seeds."
    )
    return "\n".join(lines) + f"\n\n{note}\n"


def step_records(runner: Runner, arm: Arm, seed: int) -> list[dict[str, Any]]:
    """What the arm's training logged of its steps."""
    lines = (runner.arm_folder(arm, seed) / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == "step"]


def _last_quarter(runner: Runner, arm: Arm, seed: int) -> list[dict[str, Any]]:
    records = step_records(runner, arm, seed)
    return records[len(records) * 3 // 4 :]


def _plots(runner: Runner, plan: Plan, arms: Sequence[ArmScores]) -> dict[str, Callable[..., None]]:
    plots: dict[str, Callable[..., None]] = {
        "arms.png": partial(plot_arms, arms, metrics=("sdr_gain", "rpa"), title=plan.title)
    }
    if any(arm.th is not None for arm in plan.arms):
        curves = calibration_curves(read_calibration(runner.pseudolabels(0)))
        plots["calibration.png"] = partial(plot_calibration, curves, title="Pseudo-labels of held-out tracks, seed 0")
    if plan.name == "dwhs":
        for arm in plan.arms:
            records, label = step_records(runner, arm, 0), plan.label(arm)
            if "case1" in records[0]:
                title = f"Cases and weights of {label}, Stage II, seed 0"
                plots[f"weights-{label}.png"] = partial(plot_weights, records, title=title)
    if plan.name == "threshold":
        chosen = [
            read_json(runner.arm_folder(arm, seed) / FILTER_FILE)["th"]
            for arm in plan.arms
            for seed in range(runner.effort.seeds)
            if arm.th == "auto"
        ]
        for metric in ("sdr_gain", "rpa"):
            intervals = {arm.th: arm_interval(scores, metric) for arm, scores in zip(plan.arms, arms, strict=True)}
            known = {th: interval for th, interval in intervals.items() if interval is not None}
            auto = (float(np.mean(chosen)), known["auto"]) if "auto" in known else None
            points = {float(th): interval for th, interval in known.items() if isinstance(th, float)}
            if points:
                plots[f"threshold-{metric}.png"] = partial(
                    plot_threshold, points, metric=metric, auto=auto, title=plan.title
                )
    return plots


def calibration_curves(calibration: Calibration) -> dict[str, np.ndarray]:
    """Per kind, rows of (mean confidence, share right) of the frames in equally wide bins of confidence."""
    curves = {}
    for kind, held_out in calibration.held_out.items():
        bins = reliability_curve(held_out.confidence, held_out.right)
        curves[kind] = np.array([(part.confidence, part.right) for part in bins]).reshape(-1, 2)
    return curves
