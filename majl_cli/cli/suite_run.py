"""``majl evaluate --suite`` at work: each set scored as ``majl evaluate`` scores a corpus, then one table of all."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from majl_cli import __version__
from majl_cli.cli.console import Console
from majl_cli.cli.estimators import wanted_estimators
from majl_cli.cli.evaluation_run import Request, score_estimator, scoring_device
from majl_cli.errors import Cancelled, DataError, UsageError
from majl_cli.files import locked, write_text
from majl_cli.hub import DEFAULT_MODEL

if TYPE_CHECKING:
    from majl_cli.data.manifest import Track
    from majl_cli.evaluation.prepared import Estimator
    from majl_cli.evaluation.scoring import Scoring
    from majl_cli.evaluation.suites.benchmark_set import BenchmarkSet, Recordings
    from majl_cli.report.suite import SetResult

TABLE_FILE, SUITE_FILE, MADE_FOLDER = "table.md", "suite.json", "audio"
FLOOR_AND_CEILING = ("mixture", "irm")


@dataclass(frozen=True, kw_only=True)
class Ready:
    """An estimator, and the settings that make its figures repeatable."""

    estimator: Estimator
    settings: dict[str, Any]


def run_suite(request: Request, console: Console, *, json: bool) -> int:
    """Do it; the exit code: 1 if a track failed. Raises MajlError."""
    from majl_cli.data.recordings import read_index
    from majl_cli.evaluation.suites import find_suite
    from majl_cli.evaluation.suites.benchmark_set import Recordings
    from majl_cli.report.suite import SuiteReport, suite_document, suite_markdown

    _check_options(request)
    assert request.suite is not None and request.recordings is not None
    sets, rows = find_suite(request.suite), read_index(request.recordings)
    ready = _estimators(request)
    out = request.out or Path("evaluation") / request.suite
    recordings = Recordings(root=request.recordings, rows=rows, made=out / MADE_FOLDER)
    try:
        with locked(out, "evaluating"):
            found = tuple(_score_set(item, recordings, ready, out, request, console) for item in sets)
            if not any(item.results for item in found):
                raise DataError(f"{request.recordings}: none of the suite's sets is there", "copy the recordings again")
            report = SuiteReport(
                name=request.suite,
                command=request.command,
                version=__version__,
                date=time.strftime("%Y-%m-%d"),
                sets=found,
            )
            document, text = suite_document(report), suite_markdown(report)
            write_text(out / SUITE_FILE, json_module.dumps(document, indent=1) + "\n")
            write_text(out / TABLE_FILE, text)
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted; {out} goes on from here", "start the same command again") from None
    console.result(text)
    for name in (TABLE_FILE, SUITE_FILE):
        console.result(str(out / name))
    if json:
        print(json_module.dumps(document))
    return 1 if any(row.error for item in found for result in item.results for row in result.rows) else 0


def _check_options(request: Request) -> None:
    """Raise UsageError for what a suite needs and lacks, or decides by itself."""
    if request.suite is None:
        raise UsageError("--recordings is for a suite", "give --suite dev too, or --data for a corpus")
    if request.recordings is None:
        raise UsageError(f"--suite {request.suite} needs recordings", "give their folder with --recordings")
    decided = {
        "--manifest": request.manifests,
        "--data": request.folders,
        "--estimates": request.estimates,
        "--trained-on": request.trained_on,
        "--protocol": request.protocol,
        "--split": request.split,
        "--metrics": request.metrics,
        "--stems": request.stems,
        "--snr-db": request.snr_db is not None,
        "--f0-threshold": request.f0_threshold is not None,
        "--compare": request.compare,
        "--with-audio": request.with_audio,
        "--keep-estimates": request.keep_estimates,
        "--write-mixtures": request.write_mixtures,
    }
    if given := [name for name, value in decided.items() if value]:
        raise UsageError(f"{given[0]} does not go with --suite", "score a single set with --data instead")


def _estimators(request: Request) -> list[Ready]:
    """Floor and ceiling, then the models (the default one where nothing is named), then the other baselines."""
    models = request.models or (() if request.baselines else (DEFAULT_MODEL,))
    others = [name for name in request.baselines if name not in FLOOR_AND_CEILING]
    found = wanted_estimators(
        models=models,
        estimates=(),
        baselines=(*FLOOR_AND_CEILING, *others),
        trained_on=(),
        f0_threshold=None,
        project=None,
        device=request.device,
        precision=request.precision,
        threads=request.threads,
    )
    split = len(models) + len(FLOOR_AND_CEILING)
    ordered = [*found[len(models) : split], *found[: len(models)], *found[split:]]
    made = [wanted.make() for wanted in ordered]
    return [Ready(estimator=estimator, settings=settings) for estimator, settings in made]


def _score_set(
    item: BenchmarkSet,
    recordings: Recordings,
    ready: Sequence[Ready],
    out: Path,
    request: Request,
    console: Console,
) -> SetResult:
    """Score what the set can tell something about; a set that is not there is said to be missing."""
    from majl_cli.evaluation.protocols import select_tracks
    from majl_cli.report.suite import SetResult

    try:
        complete = item.tracks(recordings)
    except DataError as error:
        console.note(f"warning: {item.name} is not scored: {error.message}")
        return SetResult(set=item, missing=error.message)
    tracks = select_tracks(item.protocol, complete, limit=request.limit)
    scoring, place = item.scoring(scoring_device(request)), out / item.name
    console.note(f"{item.name}: {len(tracks)} tracks, {sum(track.duration for track in tracks) / 60:.1f} min")
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".vocals-", dir=place) as vocals:
        results = [
            score_estimator(one.estimator, one.settings, tracks, place, request, item.protocol, scoring, console)
            for one in _applicable(ready, tracks, scoring, Path(vocals))
        ]
    missing = "" if results else "no estimator here gives what it asks for"
    return SetResult(set=item, results=tuple(results), complete=len(complete), missing=missing)


def _applicable(ready: Sequence[Ready], tracks: Sequence[Track], scoring: Scoring, vocals: Path) -> Iterator[Ready]:
    """Estimators with something to be scored on, each pitch tracker also behind each model where it hears mixtures."""
    from majl_cli.evaluation.baselines.families import PitchTracker
    from majl_cli.evaluation.behind import Behind
    from majl_cli.evaluation.model_estimator import ModelEstimator
    from majl_cli.evaluation.scoring import is_scorable

    for one in ready:
        if not is_scorable(one.estimator, tracks, scoring):
            continue
        yield one
        if not isinstance(one.estimator, PitchTracker) or "mixture" not in scoring.inputs:
            continue
        for number, other in enumerate(ready):
            if isinstance(other.estimator, ModelEstimator):
                behind = Behind(one.estimator, other.estimator, vocals / str(number))
                yield Ready(estimator=behind, settings=other.settings)
