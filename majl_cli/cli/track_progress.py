"""How far a command is with many tracks: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from majl_cli.cli.console import Console, clock

if TYPE_CHECKING:
    from majl_cli.data.manifest import Track

SECONDS_BETWEEN_LINES = 30.0


class TrackProgress:
    """``label`` says what is done to the ``tracks``."""

    def __init__(self, label: str, tracks: Sequence[Track], console: Console) -> None:
        self.label, self.tracks, self.console = label, len(tracks), console
        self.seconds = max(sum(track.duration for track in tracks), 1e-9)
        self._bar: Any = None
        self._done, self._seconds_done, self._seconds_worked = 0, 0.0, 0.0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> TrackProgress:
        if self.console.shows_progress:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (BarColumn(bar_width=30), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
            terminal = RichConsole(stderr=True)
            self._bar = Progress(*columns, console=terminal, transient=True, redirect_stdout=False)
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def done(self, track: Track, *, before: bool = False) -> None:
        """A track came to an end; ``before``: in an earlier start, which says nothing of the pace."""
        self._done += 1
        self._seconds_done += track.duration
        self._seconds_worked += 0.0 if before else track.duration
        line = f"{self.label}: {self._done}/{self.tracks} tracks{self._pace()}"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._seconds_done, description=line)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.console.note(line)

    def _pace(self) -> str:
        elapsed = time.monotonic() - self._start
        if self._seconds_worked <= 0 or elapsed <= 0:
            return ""
        rate = self._seconds_worked / elapsed
        return f", {rate:.1f}x real time, {clock((self.seconds - self._seconds_done) / rate)} left"
