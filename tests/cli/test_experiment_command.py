"""``majl experiment``: what it is asked, what it says, and what it refuses before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from majl_cli.experiments import summary
from majl_cli.experiments.plans import Plan
from majl_cli.experiments.runner import Runner

Majl = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "majl.toml").write_text("[experiment]\nseeds = 2\nbudget = 0.25\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Runner, Plan]]:
    """What would have been run; the report says "none"."""
    runs: list[tuple[Runner, Plan]] = []

    def run(runner: Runner, plan: Plan) -> None:
        runner.tell("stage1, seed 0: done before")
        runs.append((runner, plan))

    def report(_runner: Runner, _plan: Plan, out: Path) -> list[Path]:
        out.mkdir(parents=True)
        (out / "report.md").write_text("none\n", encoding="utf-8")
        return [out / "report.md"]

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(summary, "summarise", report)
    return runs


def test_the_project_says_how_much_and_the_report_goes_beside_the_runs(
    majl: Majl, project: Path, asked: list[tuple[Runner, Plan]]
) -> None:
    done = majl("experiment", "dwhs")
    assert done.code == 0, done.err
    ((runner, plan),) = asked
    assert (plan.name, runner.effort.seeds, runner.effort.budget, runner.effort.jobs) == ("dwhs", 2, 0.25, 1)
    report = project / "runs" / "experiments" / "budget-0.25" / "report-dwhs" / "report.md"
    assert done.out == "none\n\n"
    assert done.err == f"stage1, seed 0: done before\nwrote {report}\n"
    assert report.exists()


def test_options_go_over_the_project(majl: Majl, project: Path, asked: list[tuple[Runner, Plan]]) -> None:
    options = ("--seeds", "1", "--budget", "0.01", "--jobs", "3", "--threads", "2", "--device", "cpu")
    done = majl("experiment", "baseline", *options, "--out", "here", "--json")
    assert json.loads(done.out) == {"experiment": "baseline", "files": ["here/report.md"]}
    effort = asked[0][0].effort
    assert (effort.seeds, effort.budget, effort.jobs, effort.threads, effort.device) == (1, 0.01, 3, 2, "cpu")
    assert majl("experiment", "baseline", "--out", "there", "--quiet").err == ""


def test_without_a_project_it_says_how_to_begin(majl: Majl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = majl("experiment", "baseline")
    assert done.code == 2
    assert done.err == "error: no majl.toml here or above\nhint: start with majl init, or give --project FILE\n"


@pytest.mark.parametrize("budget", ["0", "-0.5", "nan", "inf"])
def test_a_budget_must_be_a_number_above_0(
    majl: Majl, project: Path, asked: list[tuple[Runner, Plan]], budget: str
) -> None:
    done = majl("experiment", "baseline", f"--budget={budget}")
    assert done.code == 2
    assert done.err == f"error: --budget {float(budget):g}\nhint: use a number above 0\n"
    if budget != "-0.5":
        (project / "majl.toml").write_text(f"[experiment]\nbudget = {budget}\n")
        done = majl("experiment", "baseline")
        assert done.code == 1
        assert "majl.toml: experiment.budget" in done.err
    assert not asked


def test_an_unknown_experiment_is_wrong_usage(majl: Majl, project: Path, asked: list[tuple[Runner, Plan]]) -> None:
    done = majl("experiment", "ablation")
    assert done.code == 2
    assert all(name in done.err for name in ("ablation", "baseline", "dwhs", "threshold"))
    assert majl("experiment", "baseline", "--seeds", "0").code == 2
    assert not asked


def test_ctrl_c_says_how_to_go_on(majl: Majl, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "run", interrupted)
    done = majl("experiment", "baseline")
    assert done.code == 130
    assert done.err == "interrupted; what is finished is kept\nhint: start the same command again to go on\n"
