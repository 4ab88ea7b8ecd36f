"""From counted frames to a voicing threshold, and to what it and the confidence are worth.

Mixtures and clean vocals have thresholds of their own that suit them best, but a model has one: that with the largest
mean of the two voicing F1, the mixtures of all levels taken together. The temperature is that of the largest mean
likelihood of both. All frames of a kind weigh alike.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from majl_cli.errors import DataError
from majl_cli.evaluation.calibration.measure import MIXTURE, VOCALS, Measured
from majl_cli.evaluation.calibration.unsung import Unsung
from majl_cli.metrics.reliability import (
    TEMPERATURES,
    ReliabilityBin,
    at_temperature,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_curve,
)
from majl_cli.metrics.voicing import THRESHOLDS, OctaveErrors, VoicingScores, VoicingTally, best_threshold

# The vocals of audio without a voice are inaudible so far below the input, or below full scale.
LEAK_LIMIT_DB, SILENT_DBFS = -30.0, -80.0


@dataclass(frozen=True, kw_only=True)
class InputFigures:
    """What the model is worth on one kind of ``input``, over ``frames`` with a known label.

    ``rpa`` is the raw pitch accuracy, whatever the threshold. Scores at the threshold of ``before``, at the ``chosen``
    one, and at those best for this input alone; ``octaves`` at the chosen one. Expected calibration error of the
    confidence as it is (``ece``) and at the temperature (``ece_at_temperature``), and the curve as it is.
    """

    input: str
    frames: int
    rpa: float
    before: VoicingScores
    chosen: VoicingScores
    best_f1: VoicingScores
    best_oa: VoicingScores
    octaves: OctaveErrors
    ece: float
    ece_at_temperature: float
    reliability: list[ReliabilityBin]


@dataclass(frozen=True, kw_only=True)
class UnsungFigures:
    """Audio without a voice: its level and that of the vocals estimated from it in dB full scale (rms; -inf for
    digital silence, nan where it was given as vocals), and the share of frames voiced at both thresholds.

    It ``passes`` with no frame voiced at the chosen threshold and vocals 30 dB below it, or below -80 dB full scale.
    """

    name: str
    input: str
    seconds: float
    level_dbfs: float
    vocals_dbfs: float
    voiced_before: float
    voiced_chosen: float
    passes: bool

    @property
    def leak_db(self) -> float:
        """The level of the vocals relative to the input; nan where either is silent or there are none."""
        return self.vocals_dbfs - self.level_dbfs if np.isfinite(self.vocals_dbfs) else float("nan")


@dataclass(frozen=True, kw_only=True)
class VoicingCalibration:
    """The threshold ``before`` and the ``chosen`` one, the ``temperature`` of the confidence, and figures by input."""

    before: float
    chosen: float
    temperature: float
    inputs: list[InputFigures]
    unsung: list[UnsungFigures]

    @property
    def overall(self) -> list[InputFigures]:
        """Those of all mixtures together, and of the clean vocals."""
        return [part for part in self.inputs if part.input in (MIXTURE, VOCALS)]


def choose(measured: Measured, before: float) -> VoicingCalibration:
    """Raises DataError where no labelled frame is sung."""
    sung = {name: tally for name, tally in measured.tallies.items() if tally.voiced.any()}
    mixtures = {name: tally for name, tally in sung.items() if name != VOCALS}
    kinds = {MIXTURE: functools.reduce(operator.add, mixtures.values())} if mixtures else {}
    if VOCALS in sung:
        kinds[VOCALS] = sung[VOCALS]
    if not kinds:
        raise DataError("no voiced frame in the labels of these tracks", "give tracks in which somebody sings")
    chosen = best_threshold(np.mean([_curve(tally, "f1") for tally in kinds.values()], axis=0))
    temperature = _best_temperature(list(kinds.values()))
    shown = {**kinds, **mixtures} if len(mixtures) > 1 else kinds
    return VoicingCalibration(
        before=before,
        chosen=chosen,
        temperature=temperature,
        inputs=[_figures(name, tally, before, chosen, temperature) for name, tally in shown.items()],
        unsung=[_unsung(part, before, chosen) for part in measured.unsung.values()],
    )


def _figures(name: str, tally: VoicingTally, before: float, chosen: float, temperature: float) -> InputFigures:
    confidence, right, frames = tally.groups()
    return InputFigures(
        input=name,
        frames=int(tally.frames.sum()),
        rpa=tally.rpa,
        before=tally.scores(before),
        chosen=tally.scores(chosen),
        best_f1=tally.scores(best_threshold(_curve(tally, "f1"))),
        best_oa=tally.scores(best_threshold(_curve(tally, "oa"))),
        octaves=tally.octave_errors(chosen),
        ece=expected_calibration_error(confidence, right, frames),
        ece_at_temperature=expected_calibration_error(at_temperature(confidence, temperature), right, frames),
        reliability=reliability_curve(confidence, right, frames),
    )


def _unsung(part: Unsung, before: float, chosen: float) -> UnsungFigures:
    level, vocals = _decibels(part.power), _decibels(part.vocals_power)
    silent = np.isnan(vocals) or vocals < SILENT_DBFS
    voiced = part.tally.share_voiced(chosen)
    return UnsungFigures(
        name=part.name,
        input=part.input,
        seconds=part.seconds,
        level_dbfs=level,
        vocals_dbfs=vocals,
        voiced_before=part.tally.share_voiced(before),
        voiced_chosen=voiced,
        passes=bool(voiced == 0 and (silent or vocals - level <= LEAK_LIMIT_DB)),
    )


def _curve(tally: VoicingTally, score: str) -> np.ndarray:
    return np.array([getattr(tally.scores(float(threshold)), score) for threshold in THRESHOLDS])


def _best_temperature(tallies: Sequence[VoicingTally]) -> float:
    losses = np.zeros(len(TEMPERATURES))
    for tally in tallies:
        confidence, right, frames = tally.groups()
        at_each = np.stack([at_temperature(confidence, float(value)) for value in TEMPERATURES], axis=1)
        losses += negative_log_likelihood(at_each, right, frames)
    return float(TEMPERATURES[losses.argmin()])


def _decibels(power: float) -> float:
    return float(10.0 * np.log10(power)) if power else float("-inf")
