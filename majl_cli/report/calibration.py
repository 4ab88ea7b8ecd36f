"""A voicing calibration as tables for a model card, and as one JSON object."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from majl_cli import __version__
from majl_cli.evaluation.calibration.choose import (
    LEAK_LIMIT_DB,
    SILENT_DBFS,
    InputFigures,
    UnsungFigures,
    VoicingCalibration,
)
from majl_cli.evaluation.calibration.tracks import CalibrationTracks
from majl_cli.inference.session import Model
from majl_cli.metrics.voicing import VoicingScores


def calibration_page(found: VoicingCalibration, model: Model, given: CalibrationTracks) -> str:
    """A page of Markdown: of which model, on what, and the tables."""
    corpora = ", ".join(f"{name} ({count})" for name, count in given.corpora.items())
    levels = ", ".join(f"{level:g}" for level in given.snr_db)
    return f"""# Calibration of {model.info.name}

Chosen and measured on {len(given.tracks)} tracks of split {given.split}: {corpora}; mixed at {levels} dB.
{model.runtime}.

{calibration_tables(found)}"""


def calibration_tables(found: VoicingCalibration) -> str:
    """Markdown that can be read as it is: threshold, octave errors, confidence, audio without a voice."""
    parts = [
        f"Voicing threshold before: {found.before:g}; chosen: **{found.chosen:g}**, {_reason(found)}.",
        _table(("input", "threshold", "", "F1", "OA", "recall", "false alarm"), _score_rows(found)),
        "Octave errors, of the frames voiced in the label and at the chosen threshold:",
        _table(("input", "RPA", "frames", "octave up", "octave down", "otherwise wrong"), _octave_rows(found)),
        "Confidence as the chance that the label is voiced and within 50 cents. Expected calibration error, 15 bins, "
        f"as it is and with its log odds divided by a temperature of {found.temperature:.3f}:",
        _table(
            ("input", "frames", "as it is", "at the temperature"),
            [(p.input, f"{p.frames}", _percent(p.ece), _percent(p.ece_at_temperature)) for p in found.inputs],
        ),
        *(_reliability_table(part) for part in found.overall),
        "Audio in which nobody sings. Passed: no frame voiced at the chosen threshold, and vocals "
        f"{-LEAK_LIMIT_DB:g} dB below the input or below {SILENT_DBFS:g} dBFS:",
        _table(
            ("audio", "given as", "s", "dBFS", "vocals, dB", "voiced before", "voiced at chosen", "passed"),
            [_unsung_row(part) for part in found.unsung],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def calibration_document(found: VoicingCalibration, model: Model, given: CalibrationTracks) -> dict[str, Any]:
    """All figures, unrounded; null for what there is not."""
    return {
        "model": model.info.name,
        "fingerprint": model.fingerprint(),
        "runtime": str(model.runtime),
        "majl": __version__,
        "torch": torch.__version__,
        "split": given.split,
        "snr_db": given.snr_db,
        "tracks": [track.id for track in given.tracks],
        "threshold_before": found.before,
        "threshold": found.chosen,
        "temperature": found.temperature,
        "inputs": [_plain(dataclasses.asdict(part)) for part in found.inputs],
        "unsung": [_plain(dataclasses.asdict(part) | {"leak_db": part.leak_db}) for part in found.unsung],
    }


def calibration_summary(found: VoicingCalibration, given: CalibrationTracks) -> dict[str, Any]:
    """What a checkpoint keeps of its calibration, shares and dB rounded: on what it was made, and the main figures."""
    inputs = {
        part.input: {"rpa": part.rpa, "f1": part.chosen.f1, "oa": part.chosen.oa, "ece": part.ece}
        | {"ece_at_temperature": part.ece_at_temperature}
        for part in found.overall
    }
    return {
        "split": given.split,
        "corpora": given.corpora,
        "snr_db": given.snr_db,
        "threshold_before": found.before,
        "threshold": found.chosen,
        "temperature": round(found.temperature, 4),
        "inputs": {name: _rounded(figures) for name, figures in inputs.items()},
    }


def _reason(found: VoicingCalibration) -> str:
    names = " and ".join(part.input for part in found.overall)
    return f"that with the largest {'mean ' * (len(found.overall) > 1)}voicing F1 of {names}"


def _score_rows(found: VoicingCalibration) -> list[tuple[str, ...]]:
    rows = []
    for part in found.inputs:
        named: list[tuple[str, VoicingScores]] = [
            ("before", part.before),
            ("chosen", part.chosen),
            ("best F1", part.best_f1),
            ("best OA", part.best_oa),
        ]
        for name, scores in named:
            shares = (scores.f1, scores.oa, scores.vr, scores.vfa)
            rows.append((part.input, f"{scores.threshold:g}", name, *map(_percent, shares)))
    return rows


def _octave_rows(found: VoicingCalibration) -> list[tuple[str, ...]]:
    rows = []
    for part in found.inputs:
        errors = part.octaves
        counts = [
            f"{count} ({_percent(count / errors.frames, 2)})" if errors.frames else "0"
            for count in (errors.up, errors.down, errors.other)
        ]
        rows.append((part.input, _percent(part.rpa), f"{errors.frames}", *counts))
    return rows


def _reliability_table(part: InputFigures) -> str:
    headings = (f"{part.input}: mean confidence", "share right", "frames")
    return _table(headings, [(f"{b.confidence:.3f}", f"{b.right:.3f}", f"{b.frames}") for b in part.reliability])


def _unsung_row(part: UnsungFigures) -> tuple[str, ...]:
    if not math.isnan(part.leak_db):
        vocals = f"{part.leak_db:+.1f}"
    else:
        vocals = "–" if math.isnan(part.vocals_dbfs) else "silent"
    level = f"{part.level_dbfs:.1f}" if math.isfinite(part.level_dbfs) else "-inf"
    shares = (_percent(part.voiced_before, 2), _percent(part.voiced_chosen, 2))
    return part.name, part.input, f"{part.seconds:.0f}", level, vocals, *shares, "yes" if part.passes else "NO"


def _percent(share: float, digits: int = 1) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned as text, too."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in (headings, *rows)
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _rounded(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: round(value, 4) if math.isfinite(value) else None for name, value in figures.items()}


def _plain(value: Any) -> Any:
    """Numbers that JSON does not know as null."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
