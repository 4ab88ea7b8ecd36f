"""``majl evaluate`` at work: tracks and estimators from the options, scores, then the report."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majl_cli import __version__
from majl_cli.cli.console import Console, print_error
from majl_cli.cli.estimators import Wanted, wanted_estimators
from majl_cli.cli.evaluation_display import print_differences, print_results
from majl_cli.cli.track_progress import TrackProgress
from majl_cli.errors import Cancelled, DataError, MajlError, UsageError
from majl_cli.files import locked
from majl_cli.project import Project, find_project

if TYPE_CHECKING:
    from majl_cli.data.manifest import Track
    from majl_cli.evaluation.prepared import Estimator
    from majl_cli.evaluation.protocols import Protocol
    from majl_cli.evaluation.results import Exhibit, Result
    from majl_cli.evaluation.scoring import Scoring

REPORT_FILE, SUMMARY_FILE, SCORES_FILE = "report.html", "summary.json", "scores.csv"


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of ``majl evaluate``, as they were given, and the whole ``command``."""

    command: str
    suite: str | None
    recordings: Path | None
    project: Path | None
    manifests: tuple[Path, ...]
    folders: tuple[str, ...]
    models: tuple[str, ...]
    estimates: tuple[str, ...]
    baselines: tuple[str, ...]
    trained_on: tuple[str, ...]
    protocol: str | None
    split: str | None
    limit: int | None
    metrics: str | None
    stems: str | None
    snr_db: float | None
    inputs: str
    f0_threshold: float | None
    out: Path | None
    compare: tuple[str, str] | None
    worst: int
    with_audio: bool
    keep_estimates: bool
    write_mixtures: Path | None
    jobs: int
    device: str
    precision: str
    threads: int | None


def run_request(request: Request, console: Console, *, json: bool) -> int:
    """Do it; the exit code: 1 if a track failed. Raises MajlError."""
    from majl_cli.evaluation.protocols import find_protocol, select_tracks

    project = find_project(request.project)
    sources = (request.manifests, request.folders, request.models, request.estimates, request.baselines)
    if request.compare is not None and not any(sources):
        return _compare_folders(request.compare, console, json=json)
    tracks = _load_tracks(request, project)
    protocol = find_protocol(request.protocol, tracks)
    if not (request.manifests or request.folders or request.split or protocol.split):
        request = replace(request, split=_unseen_split(tracks))
    chosen = select_tracks(protocol, tracks, split=request.split, limit=request.limit)
    scoring = _scoring(request, protocol)
    if request.write_mixtures is not None:
        return _write_mixtures(chosen, request.write_mixtures, scoring, console, json=json)
    out = request.out or Path("evaluation") / protocol.name
    console.note(_describe(protocol, chosen, scoring, request))
    estimators = wanted_estimators(
        models=request.models,
        estimates=request.estimates,
        baselines=request.baselines,
        trained_on=request.trained_on,
        f0_threshold=request.f0_threshold,
        project=project,
        device=request.device,
        precision=request.precision,
        threads=request.threads,
    )
    _check_names(request.compare, [wanted.name for wanted in estimators], out)
    try:
        with locked(out, "evaluating"):
            done = [_evaluate(wanted, chosen, out, request, protocol, scoring, console) for wanted in estimators]
            results, exhibits = [result for result, _ in done], [item for _, shown in done for item in shown]
            document = _report(results, exhibits, out, request, console)
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted; {out} goes on from here", "start the same command again") from None
    if json:
        print(json_module.dumps(document))
    return 1 if any(row.error for result in results for row in result.rows) else 0


def _load_tracks(request: Request, project: Project | None) -> list[Track]:
    from majl_cli.data.sources import load_tracks

    manifests, folders = list(request.manifests), list(request.folders)
    if not manifests and not folders and project is not None:
        manifests, folders = [*project.data.manifests], [*project.data.folders]
    if not manifests and not folders:
        raise UsageError("no data to score on", "give --data CORPUS=FOLDER or --manifest FILE")
    return load_tracks(manifests=manifests, folders=folders)


def _unseen_split(tracks: Sequence[Track]) -> str | None:
    """Of a project's data: what nothing was trained on, if there is any."""
    there = {track.split for track in tracks}
    return next((split for split in ("test", "validation") if split in there), None)


def _scoring(request: Request, protocol: Protocol) -> Scoring:
    from majl_cli.evaluation.scoring import Scoring

    return Scoring(
        families=protocol.families if request.metrics is None else _names(request.metrics),
        stems=protocol.stems if request.stems is None else _names(request.stems),
        inputs=_names(request.inputs),
        snr_db=protocol.snr_db if request.snr_db is None else request.snr_db,
        device=scoring_device(request),
    )


def scoring_device(request: Request) -> str:
    """Where BSS Eval is computed."""
    return request.device if request.device in ("cuda", "cpu") else "cpu"


def _evaluate(
    wanted: Wanted,
    tracks: Sequence[Track],
    out: Path,
    request: Request,
    protocol: Protocol,
    scoring: Scoring,
    console: Console,
) -> tuple[Result, list[Exhibit]]:
    from majl_cli.evaluation.exhibits import make_exhibits
    from majl_cli.evaluation.run import WORK_FOLDER
    from majl_cli.evaluation.scoring import check_scorable

    estimator, settings = wanted.make()
    check_scorable(estimator, tracks, scoring)
    result = score_estimator(estimator, settings, tracks, out, request, protocol, scoring, console)
    # Floors and ceilings are not looked at one by one.
    worst = request.worst if estimator.kind in ("model", "estimates") else 0
    work = out / WORK_FOLDER
    return result, make_exhibits(estimator, result, tracks, work, scoring=scoring, count=worst)


def score_estimator(
    estimator: Estimator,
    settings: dict[str, Any],
    tracks: Sequence[Track],
    out: Path,
    request: Request,
    protocol: Protocol,
    scoring: Scoring,
    console: Console,
) -> Result:
    """Score it on the tracks into ``out``, with a bar, and say what went wrong or makes the figures too good."""
    import torch

    from majl_cli.evaluation.run import Done, evaluate

    settings = settings | {"split": request.split or protocol.split or "all", "limit": request.limit}
    settings |= {"jobs": request.jobs, "versions": _versions(), "date": time.strftime("%Y-%m-%d")}
    threads = request.threads or torch.get_num_threads()
    with TrackProgress(estimator.name, tracks, console) as bar:

        def listen(done: Done) -> None:
            if done.row.error:
                id = done.track.id
                print_error(MajlError(done.row.error if id in done.row.error else f"{id}: {done.row.error}"))
            bar.done(done.track, before=done.before)

        result = evaluate(
            estimator,
            tracks,
            out,
            protocol=protocol,
            scoring=scoring,
            settings=settings,
            jobs=request.jobs,
            threads=threads,
            keep_estimates=request.keep_estimates,
            listener=listen,
        )
    for warning in result.warnings:
        console.note(f"warning: {warning}")
    return result


def _report(
    results: Sequence[Result], exhibits: Sequence[Exhibit], out: Path, request: Request, console: Console
) -> dict[str, Any]:
    from majl_cli.evaluation.summary import differences, summarise
    from majl_cli.inference.track_log import write_json
    from majl_cli.report.evaluation import summary_document, write_scores_csv
    from majl_cli.report.page import Page, write_page

    summaries = {result.name: summarise(result) for result in results}
    compared = [] if request.compare is None else differences(*_compared(request.compare, results, out))
    date = time.strftime("%Y-%m-%d %H:%M")
    document = {"command": request.command, "date": date, **summary_document(results, summaries, compared)}
    write_scores_csv(results, out / SCORES_FILE)
    write_json(out / SUMMARY_FILE, document)
    page = Page(
        title=f"{results[0].protocol}: {', '.join(result.name for result in results)}",
        results=results,
        summaries=summaries,
        differences=compared,
        exhibits=exhibits,
        command=request.command,
        date=date,
    )
    write_page(page, out / REPORT_FILE, with_audio=request.with_audio)
    if not (console.json or console.quiet):
        print_results(results, summaries)
        print_differences(compared)
    for name in (REPORT_FILE, SUMMARY_FILE, SCORES_FILE):
        console.result(str(out / name))
    return document


def _check_names(names: tuple[str, str] | None, here: Sequence[str], out: Path) -> None:
    """Raise UsageError for a name to compare that is neither an estimator nor a folder of results."""
    from majl_cli.evaluation.run import SETTINGS_FILE

    for name in names or ():
        if name not in here and not any((place / SETTINGS_FILE).exists() for place in (out / name, Path(name))):
            raise UsageError(f"--compare: no estimator {name!r}", f"here are {', '.join(here)}; or give a folder")


def _compared(names: tuple[str, str], results: Sequence[Result], out: Path | None) -> tuple[Result, Result]:
    """The results of two names: of estimators at hand, of earlier ones in ``out``, or of folders. Raises DataError
    where they are not of one kind."""
    from majl_cli.evaluation.run import SETTINGS_FILE, load_result

    found = []
    for name in names:
        at_hand = next((result for result in results if result.name == name), None)
        earlier = out / name if out is not None and (out / name / SETTINGS_FILE).exists() else Path(name)
        found.append(at_hand or load_result(earlier))
    a, b = found
    kinds: dict[str, tuple[Any, Any]] = {"protocol": (a.protocol, b.protocol)}
    kinds |= {key: (a.settings.get(key), b.settings.get(key)) for key in ("snr_db", "stems")}
    for key, (ours, theirs) in kinds.items():
        if ours != theirs:
            what = f"{key} differs: {ours!r} of {names[0]}, {theirs!r} of {names[1]}"
            raise DataError(what, "compare figures of one protocol")
    if a.name == b.name:
        a, b = replace(a, name=names[0]), replace(b, name=names[1])
    return a, b


def _compare_folders(names: tuple[str, str], console: Console, *, json: bool) -> int:
    from majl_cli.evaluation.summary import differences, summarise
    from majl_cli.report.evaluation import summary_document

    results = _compared(names, [], None)
    compared = differences(*results)
    for result in results:
        for warning in result.warnings:
            console.note(f"warning: {warning}")
    if json:
        summaries = {result.name: summarise(result) for result in results}
        print(json_module.dumps(summary_document(results, summaries, compared)))
    elif not console.quiet:
        print_differences(compared)
    return 0


def _write_mixtures(tracks: Sequence[Track], folder: Path, scoring: Scoring, console: Console, *, json: bool) -> int:
    from majl_cli.evaluation.mixtures import write_mixtures

    with TrackProgress("mixing", tracks, console) as bar:
        files = write_mixtures(tracks, folder, scoring, listener=bar.done)
    console.result(f"{len(files)} mixtures in {folder}")
    if json:
        print(json_module.dumps({"files": {id: str(path) for id, path in files.items()}}))
    return 0


def _describe(protocol: Protocol, tracks: Sequence[Track], scoring: Scoring, request: Request) -> str:
    hours = sum(track.duration for track in tracks) / 3600
    mixed = "mixtures as they are" if scoring.snr_db is None else f"mixed at {scoring.snr_db:g} dB"
    count = f"{len(tracks)} track{'s' * (len(tracks) != 1)}, {hours:.2f} h"
    if request.limit is not None:
        count += " (--limit)"
    elif protocol.expected is not None and len(tracks) != protocol.expected and request.split is None:
        count += f" (a complete copy has {protocol.expected})"
    split = request.split or protocol.split
    return f"{protocol.name}{f', split {split}' if split else ''}, {mixed}: {count}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _versions() -> dict[str, str]:
    return {"majl": __version__, **{name: version(name) for name in ("torch", "numpy", "mir_eval", "librosa")}}
