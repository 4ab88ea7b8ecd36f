"""Doing a command's tracks one by one, and saying how it went."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from majl_cli.cli.console import BatchProgress, Console, clock, print_error
from majl_cli.cli.inputs import BadInput, InputTrack
from majl_cli.errors import Cancelled, MajlError, UsageError

ProgressCallback = Callable[[float], None]
Files = dict[str, Path]
Work = Callable[[Any, InputTrack, Files, ProgressCallback | None], "TrackResult"]


@dataclass(frozen=True, kw_only=True)
class TrackResult:
    """What became of one track: ``seconds`` of audio took ``elapsed`` seconds.

    ``details`` go into the JSON, ``notes`` to stderr, ``warnings`` (of the library) to both.
    """

    input: str
    status: Literal["done", "skipped", "failed"]
    track: str | None = None
    files: Files = field(default_factory=dict)
    seconds: float = 0.0
    elapsed: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: MajlError | None = None

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"input": self.input, "track": self.track, "status": self.status}
        row["warnings"] = list(self.warnings)
        if self.error is not None:
            return row | {"error": self.error.message, "hint": self.error.hint}
        row["files"] = {kind: str(path) for kind, path in self.files.items()}
        if self.status == "done":
            row |= {"seconds": self.seconds, "elapsed": self.elapsed} | self.details
        return row


def run_batch(
    command: str,
    tracks: Sequence[InputTrack],
    bad: Sequence[BadInput],
    work: Work,
    *,
    files: Callable[[InputTrack], Files],
    skip_existing: bool,
    load: Callable[[], Any],
    console: Console,
) -> int:
    """Do ``work`` on each track, going on past those that fail; print results and summary; return the exit code.

    ``files`` says what a track's outputs will be called, by kind. ``load`` gives the model, the first time that
    there is work for it; what it raises, a ``UsageError`` or an interruption is not about one track and ends the
    batch: what was done until then is in the JSON, beside the error.
    """
    results = [TrackResult(input=item.argument, status="failed", error=item.error) for item in bad]
    for item in bad:
        print_error(item.error)
    progress = BatchProgress([track.path for track in tracks], shown=console.shows_progress)
    model = stopped = None
    try:
        for number, track in enumerate(tracks):
            planned = files(track)
            if skip_existing and all(path.exists() for path in planned.values()):
                result = TrackResult(input=str(track.path), status="skipped", track=track.name, files=planned)
            else:
                with _collected_warnings() as warnings:
                    model = model or load()
                    with progress.track(number, track.path) as advance:
                        result = _do_one(model, track, planned, work, advance)
                result = replace(result, warnings=tuple(warnings))
            results.append(result)
            _print_result(result, console)
    except (MajlError, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, MajlError) else Cancelled("interrupted")
    ran_on = model.runtime if model and any(result.status == "done" for result in results) else None
    summary = _summary(results, ran_on)
    if console.json:
        rows = [result.as_json() for result in results]
        failure = {} if stopped is None else {"error": stopped.message, "hint": stopped.hint}
        print(json.dumps({"command": command, "tracks": rows, "summary": summary} | failure, indent=2), flush=True)
    if stopped is not None:
        print_error(stopped)
        return stopped.exit_code
    console.note(_summary_line(summary, ran_on))
    return 1 if summary["failed"] else 0


def explain_os_error(error: OSError, name: str | None = None) -> MajlError:
    """What the operating system refused, in one line with a hint."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else name
    prefix = f"{where}: " if where else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MajlError(f"{prefix}the disk is full", "free some space or choose another folder with --out")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MajlError(f"{prefix}permission denied", "check who may read and write there, or choose another --out")
    if error.errno == errno.ENAMETOOLONG:
        return MajlError(f"{prefix}the name is too long", "shorten the file name, --filename or --out")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return MajlError(f"{prefix}is a file where a folder is needed", "move it away or choose another --out")
    return MajlError(f"{prefix}{error.strerror or error}", "check the path and try again")


def _do_one(model: Any, track: InputTrack, files: Files, work: Work, advance: ProgressCallback | None) -> TrackResult:
    try:
        return work(model, track, files, advance)
    except (UsageError, Cancelled):
        raise
    except MajlError as failure:
        error = failure
    except OSError as failure:
        error = explain_os_error(failure, str(track.path))
    return TrackResult(input=str(track.path), track=track.name, status="failed", error=error)


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """What the library warns of in the block, each message once: it waits for the progress bar to leave the screen."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() not in messages:
                messages.append(record.getMessage())

    handler, logger = Collect(logging.WARNING), logging.getLogger("majl_cli")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def _print_result(result: TrackResult, console: Console) -> None:
    for warning in result.warnings:
        console.note(f"warning: {warning}")
    if result.error is not None:
        print_error(result.error)
        return
    if result.status == "skipped":
        console.note(f"{result.input}: skipped, its files are there")
        return
    for path in result.files.values():
        console.result(str(path))
    for note in result.notes:
        console.note(note)


def _summary(results: Sequence[TrackResult], ran_on: Any | None) -> dict[str, Any]:
    done = [result for result in results if result.status == "done"]
    seconds, elapsed = sum(result.seconds for result in done), sum(result.elapsed for result in done)
    return {
        "done": len(done),
        "skipped": sum(result.status == "skipped" for result in results),
        "failed": sum(result.status == "failed" for result in results),
        "seconds": seconds,
        "elapsed": elapsed,
        "real_time_factor": elapsed / seconds if seconds > 0 else None,
        "device": None if ran_on is None else str(ran_on.device),
        "precision": None if ran_on is None else ran_on.precision,
        "threads": None if ran_on is None else ran_on.threads,
    }


def _summary_line(summary: dict[str, Any], ran_on: Any | None) -> str:
    """``2 tracks, 7:12 of audio in 0:31 · cpu, bfloat16, 2 threads · real-time factor 0.072 (13.9x real time)``."""
    line = "1 track" if summary["done"] == 1 else f"{summary['done']} tracks"
    others = [f"{summary[status]} {status}" for status in ("skipped", "failed") if summary[status]]
    if others:
        line += f" ({', '.join(others)})"
    if ran_on is None:
        return line
    line += f", {clock(summary['seconds'])} of audio in {clock(summary['elapsed'])} · {ran_on}"
    factor = summary["real_time_factor"]
    return f"{line} · real-time factor {factor:.3f} ({1 / factor:.1f}x real time)" if factor else line
