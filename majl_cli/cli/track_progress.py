"""How far a command is with many tracks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from majl_cli.cli.console import Console, clock
from majl_cli.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    from majl_cli.data.manifest import Track


class TrackProgress(ProgressLine):
    """``label`` says what is done to the ``tracks``; the bar is as long as they last."""

    def __init__(self, label: str, tracks: Sequence[Track], console: Console) -> None:
        super().__init__(label, max(sum(track.duration for track in tracks), 1e-9), console)
        self.label, self.tracks = label, len(tracks)
        self._done, self._seconds_done, self._seconds_worked = 0, 0.0, 0.0

    def done(self, track: Track, *, before: bool = False) -> None:
        """A track came to an end; ``before``: in an earlier start, which says nothing of the pace."""
        self._done += 1
        self._seconds_done += track.duration
        self._seconds_worked += 0.0 if before else track.duration
        self.show(self._seconds_done, f"{self.label}: {self._done}/{self.tracks} tracks{self._pace()}")

    def _pace(self) -> str:
        elapsed = time.monotonic() - self.start
        if self._seconds_worked <= 0 or elapsed <= 0:
            return ""
        rate = self._seconds_worked / elapsed
        return f", {rate:.1f}x real time, {clock((self.total - self._seconds_done) / rate)} left"
