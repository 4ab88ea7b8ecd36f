"""A track to look at: spectrograms of reference, estimate and error, and both f0 curves over them."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.evaluation.results import F0, Exhibit
from majl_cli.metrics.names import METRICS, metric_of, part_of
from majl_cli.report.page.axes import round_step
from majl_cli.report.page.numerals import with_unit
from majl_cli.report.page.png import palette, palette_png
from majl_cli.report.page.scores import part_name
from majl_cli.report.page.sound import audio_uris
from majl_cli.report.page.spectrogram import frequency_range, log_power, shared_levels

WIDTH, HEIGHT = 360.0, 220.0  # of the picture inside the axes, in the units of its drawing
ROWS, COLUMNS = 150, 380
LEVELS = 41  # 2 dB each
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_PANELS = (("reference", "Reference"), ("estimate", "Estimate"), ("error", "Error: reference − estimate"))
_PLAYERS = (("mixture", "Mixture"), ("reference", "Reference"), ("estimate", "Estimate"))
_LEAP_OCTAVES = 0.25  # from one frame to the next: drawn as a gap


@dataclass(frozen=True, kw_only=True)
class Panel:
    name: str
    image: str


@dataclass(frozen=True, kw_only=True)
class Player:
    name: str
    source: str


@dataclass(frozen=True, kw_only=True)
class ExhibitView:
    """``curves`` are SVG paths by name ("reference", "estimate"), ``times`` and ``frequencies`` ticks (place, label);
    ``scores`` are (part, metric, value)."""

    number: int
    estimator: str
    track: str
    why: str
    stem: str
    scores: tuple[tuple[str, str, str], ...]
    panels: tuple[Panel, ...]
    times: tuple[tuple[float, str], ...]
    frequencies: tuple[tuple[float, str], ...]
    curves: dict[str, str]
    players: tuple[Player, ...]


def exhibit_view(exhibit: Exhibit, *, number: int, with_audio: bool) -> ExhibitView:
    """What the page shows of an exhibit; ``number`` tells it from the others on the page."""
    audio = {name: _two_dimensional(each) for name, each in exhibit.audio.items() if np.size(each)}
    seconds = max((len(each) / exhibit.sample_rate for each in audio.values()), default=0.0)
    lowest, highest = frequency_range(exhibit.sample_rate)
    drawn = {"reference": exhibit.reference_f0, "estimate": exhibit.estimate_f0}
    curves = {name: _curve(f0, exhibit, seconds) for name, f0 in drawn.items() if f0 is not None}
    uris = audio_uris(audio, exhibit.sample_rate) if with_audio else {}
    return ExhibitView(
        number=number,
        estimator=exhibit.estimator,
        track=exhibit.track,
        why=exhibit.why,
        stem=exhibit.stem,
        scores=_scores(exhibit.scores),
        panels=_panels(audio, exhibit.sample_rate),
        times=_time_ticks(exhibit.start, seconds),
        frequencies=tuple(
            (round(float(_height(np.array([hertz]), lowest, highest)[0]), 1), _hertz(hertz))
            for hertz in _TICKS_HZ
            if lowest <= hertz <= highest
        ),
        curves=curves,
        players=tuple(Player(name=name, source=uris[key]) for key, name in _PLAYERS if uris.get(key)),
    )


def _two_dimensional(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    audio = np.nan_to_num(np.asarray(audio))
    return audio[:, None] if audio.ndim == 1 else audio


def _panels(audio: Mapping[str, NDArray[np.float32]], sample_rate: int) -> tuple[Panel, ...]:
    """Spectrograms of what there is, on one scale."""
    pictured = {name: audio[name] for name in ("reference", "estimate") if name in audio}
    if len(pictured) == 2:
        pictured["error"] = _error(**pictured)
    if not pictured:
        return ()
    length = max(map(len, pictured.values()))
    powers = [
        log_power(np.pad(each, ((0, length - len(each)), (0, 0))), sample_rate, rows=ROWS, columns=COLUMNS)
        for each in pictured.values()
    ]
    levels = dict(zip(pictured, shared_levels(powers, levels=LEVELS), strict=True))
    colours = palette(LEVELS)
    return tuple(
        Panel(name=title, image=_png_uri(palette_png(levels[name][::-1], colours)))
        for name, title in _PANELS
        if name in levels
    )


def _error(*, reference: NDArray[np.float32], estimate: NDArray[np.float32]) -> NDArray[np.float32]:
    """What both sides can be compared in: their common length, and mono if their channels differ."""
    if reference.shape[1] != estimate.shape[1]:
        reference, estimate = (each.mean(axis=1, keepdims=True) for each in (reference, estimate))
    length = min(len(reference), len(estimate))
    return reference[:length] - estimate[:length]


def _png_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _scores(scores: Mapping[str, float]) -> tuple[tuple[str, str, str], ...]:
    order = list(METRICS)
    keys = sorted(scores, key=lambda key: (part_of(key).startswith(("melody", "notes")), part_of(key),
                                           order.index(metric_of(key).key)))  # fmt: skip
    return tuple((part_name(part_of(key)), metric_of(key).name, with_unit(scores[key], metric_of(key))) for key in keys)


def _height(frequency: NDArray[np.float64], lowest: float, highest: float) -> NDArray[np.float64]:
    """The place of a frequency in Hz (positive) from the top."""
    return HEIGHT * (1 - np.log(frequency / lowest) / math.log(highest / lowest))


def _curve(f0: F0, exhibit: Exhibit, seconds: float) -> str:
    """An SVG path through the voiced frames inside the picture, lifted at gaps and leaps."""
    lowest, highest = frequency_range(exhibit.sample_rate)
    times, frequency = np.asarray(f0.times, dtype=np.float64) - exhibit.start, np.asarray(f0.frequency)
    inside = (frequency >= lowest) & (frequency <= highest) & (times >= 0) & (times <= seconds)
    if seconds <= 0 or not inside.any():
        return ""
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    places = np.flatnonzero(inside)
    x = times[places] / seconds * WIDTH
    y = _height(frequency[places], lowest, highest)
    leaps = np.abs(np.diff(np.log2(frequency[places]))) > _LEAP_OCTAVES
    gaps = (np.diff(places) > 1) | (np.diff(times[places]) > 2.5 * usual) | leaps
    starts = np.concatenate([[True], gaps])
    steps = [f"{'M' if start else 'L'}{a:.1f} {b:.1f}" for start, a, b in zip(starts, x, y, strict=True)]
    # A frame alone would not be seen: it gets a stroke of no length, which round ends make a dot.
    alone = starts & np.concatenate([gaps, [True]])
    return "".join(f"{step}h0" if single else step for step, single in zip(steps, alone, strict=True))


def _time_ticks(start: float, seconds: float) -> tuple[tuple[float, str], ...]:
    if seconds <= 0:
        return ()
    step = round_step(seconds, about=6) if seconds < 60 else round_step(seconds / 60, about=6) * 60
    first, last = math.ceil(start / step - 1e-9), math.floor((start + seconds) / step + 1e-9)
    times = [number * step for number in range(first, last + 1)]
    return tuple((round((time - start) / seconds * WIDTH, 1), _clock(time, step)) for time in times)


def _clock(time: float, step: float) -> str:
    """ "4", "0.5", "1:05"."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if time < 60:
        return f"{time:.{digits}f}"
    minutes, rest = divmod(round(time, digits), 60)
    return f"{int(minutes)}:{rest:0{3 + digits if digits else 2}.{digits}f}"


def _hertz(hertz: int) -> str:
    return f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
