"""One set of a suite: which recordings, scored how, and what a table shows of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from majl_cli.data.manifest import Track
from majl_cli.evaluation.protocols import Protocol
from majl_cli.evaluation.results import MetricSummary, Result
from majl_cli.evaluation.scoring import Scoring
from majl_cli.metrics.names import metric_of

Statistic = Literal["mean", "weighted", "worst"]


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """A folder of recordings with the ``rows`` of its ``index.csv``; files that a set needs and the folder does not
    have are written below ``made``."""

    root: Path
    rows: Sequence[Mapping[str, str]]
    made: Path


@dataclass(frozen=True)
class Column:
    """A score's ``key`` over the tracks of a set: their mean, the mean ``weighted`` by length, or the ``worst``."""

    key: str
    statistic: Statistic = "mean"

    @property
    def name(self) -> str:
        """What stands above it, without the unit: ``vocals GNSDR``; of a melody or notes without the part."""
        part, metric = self.key.rpartition("/")[0], metric_of(self.key)
        said = metric.weighted if self.statistic == "weighted" else metric.name
        part = {"melody": "", "notes": "", "notes_clean": "", "melody_clean": "clean "}.get(part, f"{part} ")
        return f"{part}{said}{', worst' if self.statistic == 'worst' else ''}"

    def value(self, result: Result, summary: MetricSummary | None) -> float | None:
        """As it is stored (dB, shares, cents); None without a finite score."""
        if summary is None:
            return None
        if self.statistic != "worst":
            return summary.weighted if self.statistic == "weighted" else summary.mean.mean
        values = [row.scores[self.key] for row in result.rows if math.isfinite(row.scores.get(self.key, math.nan))]
        return (min if metric_of(self.key).better == "higher" else max)(values)


@dataclass(frozen=True, kw_only=True)
class BenchmarkSet:
    """``tracks`` finds them in the recordings, or raises DataError where they are not there; ``protocol`` says how
    they are mixed and scored; the melody is looked for in ``inputs`` (see Scoring)."""

    protocol: Protocol
    tracks: Callable[[Recordings], list[Track]]
    columns: tuple[Column, ...]
    inputs: tuple[str, ...] = ("mixture",)

    @property
    def name(self) -> str:
        return self.protocol.name

    def scoring(self, device: str) -> Scoring:
        """``device`` computes BSS Eval."""
        protocol = self.protocol
        return Scoring(
            families=protocol.families,
            stems=protocol.stems,
            inputs=self.inputs,
            snr_db=protocol.snr_db,
            device=device,
        )
