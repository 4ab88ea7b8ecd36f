"""A track laid out for scoring: its mixture and its reference stems as float WAV files of one rate and length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from majl_cli.data.manifest import Track
from majl_cli.evaluation.results import F0


@dataclass(frozen=True, kw_only=True)
class PreparedTrack:
    """``mixture`` and ``references`` by stem (empty: none known) are float WAV files in a folder of their own, all of
    the same rate, channels and ``samples``."""

    track: Track
    mixture: Path
    references: dict[str, Path]
    sample_rate: int
    channels: int
    samples: int


class Estimator(Protocol):
    """What can be scored: a model, a baseline, an oracle, or the files another tool wrote.

    ``stems`` are the names it can separate (none: no separation), ``inputs`` what it can find the melody in
    ("mixture", "vocals"; none: no melody). ``trained_on`` names corpora, ``CORPUS`` or ``CORPUS/split``.
    """

    name: str
    kind: str
    description: str
    stems: tuple[str, ...]
    inputs: tuple[str, ...]
    trained_on: tuple[str, ...]

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """Estimates by stem, written below ``folder`` as float WAV files as long as the mixture. Raises MajlError."""
        ...

    def estimate_f0(self, prepared: PreparedTrack, input: str) -> F0:
        """The melody of the mixture, or of the reference vocals. Raises MajlError."""
        ...
