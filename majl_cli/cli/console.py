"""Where a command speaks: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from majl_cli.errors import Cancelled, MajlError


class Console:
    """Prints lines; ``json`` keeps stdout free for one object, ``quiet`` leaves errors only."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self.quiet = quiet

    def result(self, line: str) -> None:
        if not (self.json or self.quiet):
            print(line, flush=True)

    def note(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    @property
    def shows_progress(self) -> bool:
        return not self.quiet and sys.stderr.isatty()


def print_error(error: MajlError) -> None:
    """What is wrong and what to do about it, a line each, on stderr."""
    print(error.message if isinstance(error, Cancelled) else f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr, flush=True)


class BatchProgress:
    """One bar for the track at work; its rate and remaining time speak of the whole batch.

    Tracks weigh as many bytes as their files have: known at once, and near enough for an estimate.
    """

    def __init__(self, paths: Sequence[Path], *, shown: bool) -> None:
        self._shown = shown
        self._weights = [max(path.stat().st_size, 1) if path.exists() else 1 for path in paths] if shown else []
        self._total = sum(self._weights)
        self._bytes_done = 0
        self._seconds_done = 0.0
        self._start: float | None = None

    @contextmanager
    def track(self, number: int, path: Path) -> Iterator[Callable[[float], None] | None]:
        """A callback that takes the fraction done of track ``number`` (from 0), or None if no bar is shown."""
        if not self._shown:
            yield None
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._start = self._start or time.monotonic()
        seconds = _duration(path)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
        )
        label = path.name if len(self._weights) == 1 else f"[{number + 1}/{len(self._weights)}] {path.name}"
        terminal = RichConsole(stderr=True)
        with Progress(*columns, console=terminal, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
            task = bar.add_task(label, total=1.0, pace="")

            def advance(fraction: float) -> None:
                bar.update(task, completed=fraction, pace=self._pace(number, fraction, seconds))

            yield advance
        self._bytes_done += self._weights[number]
        self._seconds_done += seconds or 0.0

    def _pace(self, number: int, fraction: float, seconds: float | None) -> str:
        assert self._start is not None
        elapsed = time.monotonic() - self._start
        share = (self._bytes_done + fraction * self._weights[number]) / self._total
        if share <= 0 or elapsed <= 0:
            return ""
        left = f"{clock(elapsed * (1 - share) / share)} left"
        audio_seconds = self._seconds_done + fraction * (seconds or 0.0)
        return f"{audio_seconds / elapsed:.1f}x real time, {left}" if audio_seconds else left


def clock(seconds: float) -> str:
    """Seconds as 0:07, 7:12 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _duration(path: Path) -> float | None:
    from majl_cli.audio import probe

    try:
        return probe(path).duration
    except (MajlError, OSError):
        return None
