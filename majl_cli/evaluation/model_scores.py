"""A model on a list of tracks: rows of scores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import Track
from majl_cli.evaluation.sources import load_sources, mix_at
from majl_cli.inference.session import Model
from majl_cli.metrics.melody import MelodyScores, melody_scores
from majl_cli.metrics.separation import global_sdr, leakage_db


@dataclass(frozen=True, kw_only=True)
class TrackScores:
    """``sdr`` and ``mixture_sdr``: global SDR of vocals in dB, of the estimate and of the mixture itself;
    ``leakage_db``: level of the estimate against the mixture where nobody sings; ``melody`` from the mixture,
    ``melody_clean`` from the clean vocals; None without stems or labels."""

    id: str
    seconds: float
    sdr: float | None = None
    mixture_sdr: float | None = None
    leakage_db: float | None = None
    melody: MelodyScores | None = None
    melody_clean: MelodyScores | None = None


def evaluate_track(model: Model, track: Track, *, snr_db: float | None = 0.0, target: str = "vocals") -> TrackScores:
    """Separate and track one track, mixed from its stems at ``snr_db``."""
    vocals, accompaniment, rate = load_sources(track, target=target)
    vocals, accompaniment = mix_at(vocals, accompaniment, snr_db)
    mixture = vocals + accompaniment
    stems = model.separate(mixture, sample_rate=rate, stems=(target,)).stems
    assert stems is not None
    melody = melody_clean = None
    if track.pitch is not None:
        # The cascade's pitch input is this very estimate, so it need not be separated twice.
        melody = _melody(model, track, stems[target], rate)
        melody_clean = _melody(model, track, vocals, rate)
    return TrackScores(
        id=track.id,
        seconds=len(mixture) / rate,
        sdr=global_sdr(estimate=stems[target], reference=vocals),
        mixture_sdr=global_sdr(estimate=mixture, reference=vocals),
        leakage_db=leakage_db(estimate=stems[target], reference=vocals, mixture=mixture, sample_rate=rate),
        melody=melody,
        melody_clean=melody_clean,
    )


def evaluate_tracks(
    model: Model,
    tracks: Iterable[Track],
    *,
    snr_db: float | None = 0.0,
    target: str = "vocals",
    on_row: Callable[[TrackScores], None] = lambda row: None,
) -> list[TrackScores]:
    """One row a track."""
    rows = []
    for track in tracks:
        rows.append(evaluate_track(model, track, snr_db=snr_db, target=target))
        on_row(rows[-1])
    return rows


def mean_scores(rows: Sequence[TrackScores]) -> dict[str, float]:
    """Means over tracks: sdr, sdr_gain and leakage_db in dB, and the melody measures from the mixture and (``_clean``)
    the vocals.

    A score that a track does not have (nan: no voiced frame, a silent stem; infinite: nothing to separate) is left out.
    """
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row.sdr is not None and row.mixture_sdr is not None:
            scores.setdefault("sdr", []).append(row.sdr)
            scores.setdefault("sdr_gain", []).append(row.sdr - row.mixture_sdr)
        if row.leakage_db is not None:
            scores.setdefault("leakage_db", []).append(row.leakage_db)
        for suffix, melody in (("", row.melody), ("_clean", row.melody_clean)):
            if melody is None:
                continue
            for key in ("rpa", "rca", "oa", "vr", "vfa"):
                scores.setdefault(key + suffix, []).append(dataclasses.asdict(melody)[key])
    finite = {key: [value for value in values if math.isfinite(value)] for key, values in scores.items()}
    return {key: round(float(np.mean(values)), 4) for key, values in finite.items() if values}


def _melody(model: Model, track: Track, audio: NDArray[np.float32], rate: int) -> MelodyScores:
    times, frequencies, known = read_pitch(track)
    estimate = model.estimate_pitch(audio, sample_rate=rate, input="vocals")
    signed = np.where(estimate.voiced, estimate.frequency, -estimate.frequency)
    return melody_scores(times[known], frequencies[known], estimate.times, signed)
