"""How far a command is that makes one thing after another: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from majl_cli.cli.console import Console, clock

SECONDS_BETWEEN_LINES = 30.0


class CountProgress:
    """``total`` things called ``what``."""

    def __init__(self, what: str, total: int, console: Console) -> None:
        self.what, self.total, self.console = what, total, console
        self._bar: Any = None
        self._done = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> CountProgress:
        if self.console.shows_progress:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (BarColumn(bar_width=30), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
            terminal = RichConsole(stderr=True)
            self._bar = Progress(*columns, console=terminal, transient=True, redirect_stdout=False)
            self._bar.start()
            self._task = self._bar.add_task(f"0/{self.total} {self.what}", total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        left = (time.monotonic() - self._start) * (self.total - self._done) / self._done
        line = f"{self._done}/{self.total} {self.what}, {clock(left)} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=line)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.console.note(line)
