"""Reports of the experiments on scores, logs and labels made by hand: their numbers, and their plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from untrained import Untrained, runner_of

from majl_cli.data.manifest import Track
from majl_cli.evaluation.model_scores import TrackScores
from majl_cli.experiments.plans import BASELINE, DWHS, THRESHOLD, Arm, Plan
from majl_cli.experiments.runner import held_out
from majl_cli.experiments.summary import summarise
from majl_cli.pseudolabel.held_out import Calibration, HeldOut, write_calibration
from majl_cli.report import plots

STEPS = 8


class Told(Untrained):
    """Leaves what a training leaves: in step n (from 1) n tenths of the frames are case 1, where cases are told. A
    frame is right from a confidence of 0.5 on; each arm gains one dB more than the one before."""

    def _train(self, arm: Arm, config: dict[str, Any], folder: Path) -> None:
        super()._train(arm, config, folder)
        (folder / "run").mkdir(parents=True)
        (folder / "arm.toml").write_text(tomli_w.dumps(config))
        tells = config["weighting"]["variant"] in ("dwhs", "dwm")
        records = []
        for n in range(1, STEPS + 1):
            cases = {"case1": n / 10, "case2": 1 - n / 10, "case3": 0.0, "case4": 0.0} if tells else {}
            spread = {"omega_mss_spread": 0.25, "omega_pe_spread": 0.5} if tells else {}
            records.append({"event": "step", "step": n, "omega_mss": 1.5, "omega_pe": 0.75, **cases, **spread})
        records.append({"event": "validation", "step": STEPS, "score": 1.0})
        (folder / "run" / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    def _label(self, seed: int) -> None:
        super()._label(seed)
        sure = np.array([0.2, 0.4, 0.6, 0.8])
        errors = {"ece_before": 0.2, "ece_after": 0.1, "ece_cross_validated": float("nan")}
        part = HeldOut(confidence=sure, right=sure > 0.5, **errors)
        calibration = Calibration(temperature=1.25, held_out={"pitch": part, "stems": part}, tracks=("x",))
        write_calibration(self.pseudolabels(seed), calibration, {"model": "0", "target": "vocals"})

    def _evaluate(self, checkpoint: Path, tracks: Any, target: str) -> list[tuple[TrackScores, Track]]:
        gain = float(sum("labels" not in name for name in self.trained))
        return [(TrackScores(id=t.id, seconds=1.0, sdr=gain, mixture_sdr=0.0), t) for t in held_out(tracks)]


def report(project: Path, plan: Plan, out: Path, **effort: Any) -> tuple[str, list[str], Told]:
    runner = runner_of(project, Told, **effort)
    runner.run(plan)
    written = summarise(runner, plan, out)
    names = [path.relative_to(out).as_posix() for path in written if path.suffix == ".png"]
    return (out / "report.md").read_text(encoding="utf-8"), names, runner


def row(text: str, heading: str, label: str) -> list[str]:
    """The cells of the row ``label`` of the table below a heading."""
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_dwhs_reports_cases_and_weights_of_the_last_quarter(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; the dev extra brings it")
    text, names, _ = report(project, DWHS, tmp_path / "report")
    heading = "Weights in the last quarter of the steps"
    # The last two of eight steps: 0.7 and 0.8.
    assert row(text, heading, "dwhs") == ["75.0%", "25.0%", "0.0%", "0.0%", "1.500", "0.250", "0.750", "0.500"]
    assert row(text, heading, "uniform") == ["–", "–", "–", "–", "1.500", "–", "0.750", "–"]
    assert sorted(names) == ["arms.png", "calibration.png", "weights-dwhs.png", "weights-dwm.png"]
    assert "Δ SDR gain" in text and "Mean difference to uniform" in text


def test_the_threshold_reports_what_was_kept_how_precise_it_is_and_what_auto_chose(
    project: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; the dev extra brings it")
    text, names, _ = report(project, THRESHOLD, tmp_path / "report")
    kept = "What the filter kept"
    assert row(text, kept, "th 0.5")[1:3] == ["0.5", "1.000"]
    assert row(text, kept, "th 0.9")[1:3] == ["0.9", "not known"]  # no held-out frame is that sure
    assert row(text, kept, "th auto")[1:3] == ["0.41", "1.000"]
    assert row(text, "Calibration", "0 | pitch") == ["pitch", "1.25", "4", "50.0%", "0.200", "0.100", "–"]
    assert sorted(names) == ["arms.png", "calibration.png", "threshold-sdr_gain.png"]  # no track has an RPA


def test_seeds_are_averaged_and_each_is_in_the_csv(project: Path, tmp_path: Path) -> None:
    text, _, runner = report(project, BASELINE, tmp_path / "report", seeds=2)
    order = [name for name in runner.trained if "labels" not in name]
    gains = [order.index(f"stage2/{seed}") + 1 for seed in (0, 1)]
    seeds, tracks, gain, *_ = row(text, "Scores", "Stage II: MAJL")
    assert (seeds, tracks, gain.split()[0]) == ("2", "2", f"{sum(gains) / 2:.2f}")
    lines = (tmp_path / "report" / "scores.csv").read_text().splitlines()
    assert sum(line.startswith("stage2,") for line in lines) == 4


def test_without_matplotlib_there_is_a_report_all_the_same(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    lines: list[str] = []
    runner = runner_of(project, Told, lines)
    runner.run(BASELINE)
    written = summarise(runner, BASELINE, tmp_path / "report")
    assert all(path.exists() and path.suffix != ".png" for path in written)
    assert [line for line in lines if "png" in line] == [
        "no arms.png: plots need matplotlib, which is not installed (pip install 'majl[plot]')"
    ]
