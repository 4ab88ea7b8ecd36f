"""How far a command is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from majl_cli.cli.console import Console

SECONDS_BETWEEN_LINES = 30.0


class ProgressLine:
    """A bar up to ``total`` with ``description`` beside it, both moved on by ``show``."""

    def __init__(self, description: str, total: float, console: Console) -> None:
        self.description, self.total, self.console = description, total, console
        self.start = self._said = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self.console.shows_progress:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (BarColumn(bar_width=30), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
            terminal = RichConsole(stderr=True)
            self._bar = Progress(*columns, console=terminal, transient=True, redirect_stdout=False)
            self._bar.start()
            self._task = self._bar.add_task(self.description, total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, completed: float, line: str) -> None:
        """``completed`` of the total is done, and ``line`` says so."""
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, description=line)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.console.note(line)
