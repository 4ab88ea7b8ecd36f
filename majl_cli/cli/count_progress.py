"""How far a command is that makes one thing after another."""

from __future__ import annotations

import time

from majl_cli.cli.console import Console, clock
from majl_cli.cli.progress_line import ProgressLine


class CountProgress(ProgressLine):
    """``count`` things called ``what``."""

    def __init__(self, what: str, count: int, console: Console) -> None:
        super().__init__(f"0/{count} {what}", count, console)
        self.what, self.count = what, count
        self._done = 0

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        left = (time.monotonic() - self.start) * (self.count - self._done) / self._done
        self.show(self._done, f"{self._done}/{self.count} {self.what}, {clock(left)} left")
