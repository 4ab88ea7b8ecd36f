"""Signs of a training run that goes wrong, in the records of its log: what is seen, with figures, or nothing.

A key that a record lacks, or that holds no finite number, says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from majl_cli.errors import ConfigError

Record = Mapping[str, Any]

UNSTABLE_WEIGHTS, COLLAPSE = "unstable-weights", "collapse"
PITCH_LEAKAGE, VOICING_COLLAPSE = "pitch-leakage", "voicing-collapse"


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """Limits beyond which a run is warned of; pitch scores are shares in [0, 1].

    Unstable weights, over the last ``window`` step records: ω oscillates if a share ``turning`` of its successive
    changes turn back (of noise's, 2/3 do) and they measure ``swing`` times its mean on average. From the median of the
    window's first third to that of its last, ω diverges if it changes by the factor ``omega_factor``; its spread in a
    batch, as a share of ω, if it grows by ``spread_factor``, to ``spread_floor`` at least; the gradient norm if it
    grows by ``gradient_factor``.

    Collapse: for ``collapse_validations`` in a row, the score has lost the share ``score_loss`` of its earlier best,
    or the SDR gain ``sdr_loss`` dB, or raw pitch accuracy ``rpa_loss``.

    Pitch leakage: since the SDR gain was best it has lost ``leakage_sdr_loss`` dB while raw pitch accuracy gained
    ``leakage_rpa_gain``, and that is no lower than from clean vocals, or the estimate is ``leakage_level_gain`` dB
    louder where no vocals are; or the share of voiced frames right in the estimate and wrong in the true vocals
    (case 3) is ``case3_share`` (median of a window).

    Voicing collapse: at a raw pitch accuracy of ``voicing_rpa`` or more, overall accuracy is ``voicing_gap`` below it,
    or the voicing false alarm is ``voicing_vfa``.

    A warning is repeated after ``repeat_after`` validations if its cause lasts.
    """

    enabled: bool = True
    window: int = 30
    turning: float = 0.8
    swing: float = 0.5
    omega_factor: float = 5.0
    spread_factor: float = 3.0
    spread_floor: float = 1.0
    gradient_factor: float = 10.0
    collapse_validations: int = 2
    score_loss: float = 0.2
    sdr_loss: float = 2.0
    rpa_loss: float = 0.15
    leakage_sdr_loss: float = 1.0
    leakage_rpa_gain: float = 0.02
    leakage_level_gain: float = 6.0
    case3_share: float = 0.2
    voicing_rpa: float = 0.6
    voicing_gap: float = 0.25
    voicing_vfa: float = 0.6
    repeat_after: int = 10

    def __post_init__(self) -> None:
        for name, lowest in {"window": 6, "collapse_validations": 1, "repeat_after": 1}.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"monitor.{name} {getattr(self, name)} is too small", f"use {lowest} or more")
        for name in ("omega_factor", "spread_factor", "gradient_factor"):
            if getattr(self, name) <= 1:
                raise ConfigError(f"monitor.{name} {getattr(self, name)} is no growth", "use a factor above 1")


def _oscillation(steps: Sequence[Record], config: MonitorConfig) -> str:
    found = []
    for key in ("omega_mss", "omega_pe"):
        values = _window(steps, key, config)
        changes = [after - before for before, after in zip(values[:-1], values[1:], strict=True)]
        mean = abs(fmean(values)) if values else 0.0
        if not mean:
            continue
        turning = fmean(first * second < 0 for first, second in zip(changes[:-1], changes[1:], strict=True))
        swing = fmean(map(abs, changes)) / mean
        if turning >= config.turning and swing >= config.swing:
            found.append(f"{key} oscillates: {turning:.0%} of its changes turn back, by {swing:.0%} of its mean")
    return "; ".join(found)


def _divergence(steps: Sequence[Record], config: MonitorConfig) -> str:
    # Factor of growth, least value it must reach, and whether shrinking counts too.
    rules = {
        "omega_mss": (config.omega_factor, 0.0, True),
        "omega_pe": (config.omega_factor, 0.0, True),
        "omega_mss_spread / omega_mss": (config.spread_factor, config.spread_floor, False),
        "omega_pe_spread / omega_pe": (config.spread_factor, config.spread_floor, False),
        "gradient_norm": (config.gradient_factor, 0.0, False),
    }
    steps = [_with_relative_spreads(record) for record in steps]
    found = []
    for key, (factor, floor, both_ways) in rules.items():
        values = _window(steps, key, config)
        if not values:
            continue
        third = len(values) // 3
        early, late = median(values[:third]), median(values[-third:])
        grown = late >= factor * early and late >= floor
        if early > 0 and (grown or (both_ways and late <= early / factor)):
            found.append(f"{key} went from {early:.3g} to {late:.3g} within {len(steps)} records")
    return "; ".join(found)


def _case3(steps: Sequence[Record], config: MonitorConfig) -> str:
    values = _window(steps, "case3", config)
    if not values or median(values) < config.case3_share:
        return ""
    return f"{median(values):.1%} of the voiced frames are right in the estimate and wrong in the true vocals"


def _collapse(validations: Sequence[Record], config: MonitorConfig) -> str:
    recent, earlier = validations[-config.collapse_validations :], validations[: -config.collapse_validations]
    found = []
    for key, loss in (("score", None), ("sdr_gain", config.sdr_loss), ("rpa", config.rpa_loss)):
        now, before = [_number(record, key) for record in recent], _numbers(earlier, key)
        if not before or None in now:
            continue
        best = max(before)
        limit = best - (config.score_loss * abs(best) if loss is None else loss)
        values = [value for value in now if value is not None]
        if max(values) <= limit:
            found.append(f"{key} is {' and '.join(f'{value:.3g}' for value in values)} after a best of {best:.3g}")
    return "; ".join(found)


def _leakage(validations: Sequence[Record], config: MonitorConfig) -> str:
    gains = [-math.inf if (gain := _number(record, "sdr_gain")) is None else gain for record in validations]
    best, now = validations[gains.index(max(gains))], validations[-1]
    fall, rise = _change(best, now, "sdr_gain"), _change(best, now, "rpa")
    if fall is None or rise is None or fall > -config.leakage_sdr_loss or rise < config.leakage_rpa_gain:
        return ""
    clean, louder = _number(now, "rpa_clean"), _change(best, now, "leakage_db")
    if clean is not None and now["rpa"] >= clean:
        reason = f"no lower than the {clean:.1%} from clean vocals"
    elif louder is not None and louder >= config.leakage_level_gain:
        reason = f"and the estimate is {louder:.1f} dB louder where no vocals are"
    else:
        return ""
    return (
        f"since step {best.get('step', '?')} the SDR gain fell by {-fall:.2f} dB while raw pitch accuracy rose by "
        f"{100 * rise:.1f} points to {now['rpa']:.1%}, {reason}"
    )


def _voicing(validations: Sequence[Record], config: MonitorConfig) -> str:
    rpa, oa, vfa, vr = (_number(validations[-1], key) for key in ("rpa", "oa", "vfa", "vr"))
    if rpa is None or rpa < config.voicing_rpa:
        return ""
    if (oa is None or rpa - oa < config.voicing_gap) and (vfa is None or vfa < config.voicing_vfa):
        return ""
    named = {"overall accuracy": oa, "voicing false alarm": vfa, "voicing recall": vr}
    rest = ", ".join(f"{name} {value:.1%}" for name, value in named.items() if value is not None)
    return f"raw pitch accuracy is {rpa:.1%}, but {rest}"


Sign = Callable[[Sequence[Record], MonitorConfig], str]  # what is seen in the records so far; "" for nothing
SIGNS: dict[str, dict[str, tuple[Sign, ...]]] = {
    "step": {UNSTABLE_WEIGHTS: (_oscillation, _divergence), PITCH_LEAKAGE: (_case3,)},
    "validation": {COLLAPSE: (_collapse,), PITCH_LEAKAGE: (_leakage,), VOICING_COLLAPSE: (_voicing,)},
}


def _number(record: Record, key: str) -> float | None:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _with_relative_spreads(record: Record) -> Record:
    relative = {}
    for key in ("omega_mss", "omega_pe"):
        mean, spread = _number(record, key), _number(record, f"{key}_spread")
        if mean and spread is not None:
            relative[f"{key}_spread / {key}"] = spread / abs(mean)
    return {**record, **relative}


def _numbers(records: Iterable[Record], key: str) -> list[float]:
    return [value for record in records if (value := _number(record, key)) is not None]


def _window(steps: Sequence[Record], key: str, config: MonitorConfig) -> list[float]:
    """The values in a whole window; none before there is one, or if more than half of them are missing."""
    values = _numbers(steps, key)
    return values if len(steps) == config.window and 2 * len(values) >= config.window else []


def _change(before: Record, after: Record, key: str) -> float | None:
    first, last = _number(before, key), _number(after, key)
    return None if first is None or last is None else last - first
