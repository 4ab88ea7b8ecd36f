"""Estimators from what is written on the command line of ``majl evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majl_cli.errors import UsageError
from majl_cli.hub import DEFAULT_MODEL, find_parts
from majl_cli.project import Project

if TYPE_CHECKING:
    from majl_cli.evaluation.prepared import Estimator


RESERVED = ("report.html", "summary.json", "scores.csv")  # what lies beside the estimators' folders


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An estimator to come: ``make`` gives it with the settings that make its figures repeatable."""

    name: str
    make: Callable[[], tuple[Estimator, dict[str, Any]]]


def wanted_estimators(
    *,
    models: Sequence[str],
    estimates: Sequence[str],
    baselines: Sequence[str],
    trained_on: Sequence[str],
    f0_threshold: float | None,
    project: Project | None,
    device: str,
    precision: str,
    threads: int | None,
) -> list[Wanted]:
    """In the order models, estimates, baselines; without any, the model of the project, or the default one.

    Raises UsageError for two of one name or an unknown baseline, and MajlError for what is not there: all before any
    work is done.
    """
    from majl_cli.evaluation.baselines import baselines as known

    if not (models or estimates or baselines):
        models = [_project_model(project)]
    for name in baselines:
        if name not in known:
            raise UsageError(f"no baseline {name!r}", f"use some of {', '.join(known)}")
    found = [_model(name, device, precision, threads) for name in models]
    found += [_estimates(item, trained_on, f0_threshold) for item in estimates]
    found += [_baseline(name) for name in baselines]
    names = [wanted.name for wanted in found]
    for name in names:
        if names.count(name) > 1:
            hint = "give each once; call one otherwise with --estimates NAME=DIR or --model NAME=DIR"
            raise UsageError(f"two estimators are called {name!r}", hint)
        if not name or name in RESERVED or name.startswith("."):
            raise UsageError(f"an estimator cannot be called {name!r}", "give another NAME in NAME=DIR")
    return found


def _model(item: str, device: str, precision: str, threads: int | None) -> Wanted:
    name, sign, model = item.partition("=")
    if not sign or Path(item).exists():
        name, model = _plain_name(item), item
    find_parts(model)

    def make() -> tuple[Estimator, dict[str, Any]]:
        import majl_cli
        from majl_cli.evaluation.model_estimator import ModelEstimator

        ready = majl_cli.load_model(model, device=device, precision=precision, threads=threads)
        settings = {"model": model, "weights": ready.fingerprint(), "precision": ready.runtime.precision}
        return ModelEstimator(ready, name), settings | {"device": str(ready.runtime)}

    return Wanted(name=name, make=make)


def _estimates(item: str, trained_on: Sequence[str], threshold: float | None) -> Wanted:
    from majl_cli.evaluation.estimates import EstimatesFolder
    from majl_cli.evaluation.published_training import published_training

    name, sign, place = item.partition("=")
    if not sign:
        name, place = Path(item).resolve().name, item
    known = tuple(trained_on) or published_training(name)
    folder = EstimatesFolder(Path(place), name, trained_on=known, threshold=threshold)
    settings = {"estimates": str(Path(place).resolve()), "f0_threshold": threshold}
    return Wanted(name=name, make=lambda: (folder, settings))


def _baseline(name: str) -> Wanted:
    from majl_cli.evaluation.baselines import baselines

    baseline = baselines[name]()
    return Wanted(name=name, make=lambda: (baseline, {}))


def _plain_name(model: str) -> str:
    """``runs/first`` as ``first``; of a checkpoint called ``best`` in a run folder, the run's name."""
    path = Path(model)
    return path.parent.name if path.name == "best" and path.parent.name else path.name or model


def _project_model(project: Project | None) -> str:
    """The project's last stage that has a checkpoint."""
    runs = [project.stage2_run, project.stage1_run] if project is not None else []
    return next((str(run) for run in runs if (run / "best" / "config.json").exists()), DEFAULT_MODEL)
