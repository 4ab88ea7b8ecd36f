"""An evaluation that looks like a real one: scores drawn at random, and a voice with chords to be looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import midi_to_frequency
from majl_cli.evaluation.results import F0, Difference, Exhibit, MetricSummary, Result, TrackRow
from majl_cli.metrics.names import metric_of
from majl_cli.metrics.statistics import bootstrap_interval, paired_difference
from majl_cli.report.page import Page

RATE = 22050
STEM_METRICS = ("sdr", "sdr_gain", "si_sdr", "v4_sdr", "v4_sir", "v4_sar", "v3_nsdr", "v3_sir", "leakage_db")
MELODY_METRICS = ("rpa", "rca", "oa", "vr", "vfa", "octave_errors", "cents_p50")
KEYS = (
    *(f"vocals/{metric}" for metric in STEM_METRICS),
    *(f"accompaniment/{metric}" for metric in ("sdr", "v4_sdr")),
    *(f"melody/{metric}" for metric in MELODY_METRICS),
    *(f"melody_clean/{metric}" for metric in ("rpa", "oa")),
)
ESTIMATORS = {
    "mixture": ("baseline", "the mixture itself as every stem", -6.0),
    "majl-base": ("model", "MAJL, U-Net and salience CNN, 6.1 M parameters", 0.6),
    "majl-large": ("model", "MAJL, 22 M parameters", 1.5),
    "htdemucs": ("estimates", "files of Demucs 4.0.1, --two-stems=vocals", 2.4),
    "ideal ratio mask": ("oracle", "magnitude mask of the true stems, STFT of 2048", 6.0),
}
LEAK = "MIR-1K is among its training data: its figures on these tracks are no test"


def sample_page(
    *, tracks: int = 42, exhibits: int = 2, names: Sequence[str] = tuple(ESTIMATORS), seed: int = 7
) -> Page:
    """The first track is silent (nan), the second perfect (inf) for the oracle; one fails for majl-base."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 2.0, tracks)
    results = tuple(_result(name, tracks, hard, rng) for name in ESTIMATORS)
    return Page(
        title="MIR-1K, test split",
        results=results,
        summaries={result.name: summaries_of(result) for result in results},
        differences=_differences(results),
        exhibits=tuple(exhibit(number) for number in range(exhibits)),
        command="majl evaluate --model majl-base --data MIR-1K/test --baseline mixture --oracle irm --html scores.html",
        date="2026-03-14 15:09 UTC",
    )


def summaries_of(result: Result) -> dict[str, MetricSummary]:
    """Of all scores that are finite on a track."""
    made = {}
    seconds = np.array([row.seconds for row in result.rows])
    for key in KEYS:
        values = np.array([row.scores.get(key, math.nan) for row in result.rows])
        finite = np.isfinite(values)
        if finite.any():
            made[key] = MetricSummary(
                key=key,
                mean=bootstrap_interval(values, samples=200),
                median=float(np.median(values[finite])),
                weighted=float(np.average(values[finite], weights=seconds[finite])),
                missing=int((~finite).sum()),
            )
    return made


def _result(name: str, tracks: int, hard: NDArray[np.float64], rng: np.random.Generator) -> Result:
    kind, description, level = ESTIMATORS[name]
    rows = tuple(_row(name, number, level + hard[number], rng) for number in range(tracks))
    settings = {
        "protocol": "MIR-1K, 44.1 kHz, 0 dB",
        "data": {"MIR-1K/test": f"{tracks} clips, 19 singers"},
        "versions": {"majl": "0.1.0", "museval": "0.4.1", "mir_eval": "0.8.2", "torch": "2.11.0"},
        "seed": 0,
    }
    if kind == "model":
        settings |= {"checkpoint": "9f31c2ab", "device": "cuda, float32"}
    warned = (LEAK,) if name in ("majl-large", "htdemucs") else ()
    warned += ("one track failed and is in none of its figures",) if name == "majl-base" else ()
    return Result(
        name=name,
        kind=kind,
        description=description,
        protocol="MIR-1K, 44.1 kHz, 0 dB",
        settings=settings,
        warnings=warned,
        rows=rows,
    )


def _row(name: str, number: int, level: float, rng: np.random.Generator) -> TrackRow:
    singer = ("abjones", "amy", "Ani", "bobon", "bug", "davidson")[number % 6]
    track, seconds = f"{singer}_{number // 6 + 1}_{number % 9 + 1:02d}", 8.0 + 5 * (number % 7) / 7
    if name == "majl-base" and number == 5:
        return TrackRow(id=track, seconds=seconds, group=singer, error="estimate holds 3 samples that are not finite")
    scores = {key: _score(key, level, rng) for key in KEYS}
    if name == "mixture":
        scores = {key: value for key, value in scores.items() if not key.startswith("melody")}
        scores["vocals/sdr_gain"] = scores["vocals/v3_nsdr"] = 0.0
    if number == 0:
        scores |= {key: math.nan for key in scores if key.startswith(("vocals/", "melody"))}
    if number == 1 and name == "ideal ratio mask":
        scores["vocals/sdr"] = math.inf
    notes = ("2 windows skipped: the reference is silent",) if number % 11 == 3 else ()
    counts = {"windows": 10, "windows_skipped": 2 if notes else 0}
    return TrackRow(id=track, seconds=seconds, group=singer, scores=scores, counts=counts, notes=notes)


def _score(key: str, level: float, rng: np.random.Generator) -> float:
    metric = metric_of(key)
    noise = rng.normal(0, 0.8)
    if metric.unit == "dB":
        height = {"sdr_gain": 5, "v3_nsdr": 5, "v4_sir": 12, "v3_sir": 13, "leakage_db": -22}.get(metric.key, 6)
        return float(height + (level + noise) * (1 if metric.better == "higher" else -1.5) - rng.exponential(0.4) ** 3)
    if metric.unit == "cents":
        return float(11 * np.exp(-(level + noise) / 10))
    if metric.better == "lower":
        return float(0.5 / (1 + np.exp(0.4 * (level + noise) + 1)))
    return float(1 / (1 + np.exp(-0.35 * (level + noise) - 1.2)))


def _differences(results: Sequence[Result]) -> tuple[Difference, ...]:
    by_name = {result.name: result for result in results}
    pairs = (("majl-large", "majl-base"), ("majl-large", "htdemucs"))
    keys = ("vocals/sdr", "vocals/v4_sdr", "vocals/leakage_db", "melody/rpa", "melody/oa", "melody/vfa")
    made = []
    for a, b in pairs:
        for key in keys:
            left, right = (
                np.array([row.scores.get(key, math.nan) for row in by_name[each].rows]) for each in (a, b)
            )  # fmt: skip
            apart = (left - right)[np.isfinite(left - right)] * (1 if metric_of(key).better == "higher" else -1)
            better, worse = int((apart > 0.02).sum()), int((apart < -0.02).sum())
            interval = paired_difference(left, right, samples=200)
            p = 0.0002 if interval.excludes_zero else 0.31
            equal = len(apart) - better - worse
            made.append(Difference(key=key, a=a, b=b, mean=interval, p=p, better=better, equal=equal, worse=worse))
    return tuple(made)


def exhibit(number: int, *, seconds: float = 6.0) -> Exhibit:
    """A synthetic voice in chords and hiss; the estimate is an octave off for a while, and leaks."""
    start = 4.0 + 70 * number
    rng = np.random.default_rng(number)
    times = np.arange(0, seconds, 0.01)
    melody = np.repeat(rng.choice([57, 59, 60, 62, 64, 65, 67], int(seconds * 2)), 50)[: len(times)].astype(float)
    melody += 0.35 * np.sin(2 * np.pi * 5.5 * times) - 0.8 * np.exp(-((times * 2) % 1) * 12)
    sung = (times % 2.3) < 1.9
    frequency = np.where(sung, midi_to_frequency(melody), 0.0)
    voice = _voice(frequency, times, seconds)
    chords = sum(
        np.sin(2 * np.pi * f * np.arange(len(voice)) / RATE) / k for k in (1, 2, 3) for f in (110 * k, 165 * k)
    )
    beats = rng.standard_normal(len(voice)) * np.exp(-((np.arange(len(voice)) / RATE * 2) % 1) * 14)
    accompaniment = 0.05 * chords + 0.08 * beats
    reference = np.stack([voice, 0.9 * voice], axis=1).astype(np.float32)
    mixture = reference + accompaniment[:, None].astype(np.float32)
    estimate = (0.93 * reference + 0.22 * accompaniment[:, None]).astype(np.float32)
    heard = frequency * np.where((times > 2.5) & (times < 3.4), 2.0, 1.0) * 2 ** (rng.normal(0, 12, len(times)) / 1200)
    heard = np.where((times % 1.7) < 0.1, -heard, heard)
    return Exhibit(
        estimator="majl-base",
        track=("davidson_1_06", "amy_3_08")[number % 2],
        why=("lowest global SDR of vocals", "most octave errors")[number % 2],
        stem="vocals",
        start=start,
        sample_rate=RATE,
        audio={"mixture": mixture, "reference": reference, "estimate": estimate},
        reference_f0=F0(times=times + start, frequency=frequency),
        estimate_f0=F0(times=times + start, frequency=heard),
        scores={"vocals/sdr": -0.42, "vocals/v4_sdr": 0.31, "melody/rpa": 0.583, "melody/octave_errors": 0.241},
    )


def _voice(frequency: NDArray[np.float64], times: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    moments = np.arange(int(seconds * RATE)) / RATE
    f0 = np.interp(moments, times[frequency > 0], frequency[frequency > 0])
    loudness = np.interp(moments, times, np.convolve(frequency > 0, np.ones(6) / 6, "same"))
    phase = 2 * np.pi * np.cumsum(f0) / RATE

    def formants(f: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-(((f - 650) / 500) ** 2)) + 0.5 * np.exp(-(((f - 2700) / 700) ** 2)) + 0.01

    partials = (formants(k * f0) * np.sin(k * phase) * (k * f0 < RATE / 2) for k in range(1, 40))
    return 0.18 * loudness * sum(partials)
