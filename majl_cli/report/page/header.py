"""What has to be known to cite the figures: protocol, data, versions, what was left out, and all warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from majl_cli.evaluation.results import Result
from majl_cli.report.page.numerals import NOTHING, whole

ROLES = {"baseline": "floor", "oracle": "ceiling"}


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A warning with the number its marks carry, and the estimators it is about."""

    number: int
    text: str
    estimators: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EstimatorView:
    """``role`` "floor" or "ceiling" for what only frames the others; ``facts`` are settings of its own."""

    name: str
    kind: str
    role: str
    description: str
    marks: tuple[int, ...]
    tracks: str
    left_out: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Header:
    """``facts`` are settings that all estimators share, by name."""

    protocol: str
    tracks: int
    facts: tuple[tuple[str, str], ...]
    estimators: tuple[EstimatorView, ...]
    warnings: tuple[Warned, ...]


def header_of(results: Sequence[Result]) -> Header:
    """The facts of ``results``, those in common apart from those of one estimator."""
    protocols = tuple(dict.fromkeys(result.protocol for result in results if result.protocol))
    common = _common_settings(results)
    marks = marks_of(results)
    return Header(
        protocol="; ".join(protocols),
        tracks=len({row.id for result in results for row in result.rows}),
        facts=_facts(common, but="protocol"),
        estimators=tuple(_estimator(result, common, marks[result.name]) for result in results),
        warnings=_warnings(results),
    )


def marks_of(results: Sequence[Result]) -> dict[str, tuple[int, ...]]:
    """The numbers of the warnings about each estimator, by its name."""
    warnings = _warnings(results)
    return {
        result.name: tuple(warned.number for warned in warnings if result.name in warned.estimators)
        for result in results
    }


def _warnings(results: Sequence[Result]) -> tuple[Warned, ...]:
    """One each text, whoever it is about."""
    about: dict[str, list[str]] = {}
    for result in results:
        for text in dict.fromkeys(result.warnings):
            about.setdefault(text, []).append(result.name)
    return tuple(
        Warned(number=number, text=text, estimators=tuple(names))
        for number, (text, names) in enumerate(about.items(), 1)
    )


def _common_settings(results: Sequence[Result]) -> dict[str, Any]:
    first, *others = results
    return {
        key: value
        for key, value in first.settings.items()
        if all(key in other.settings and other.settings[key] == value for other in others)
    }


def _estimator(result: Result, common: Mapping[str, Any], marks: tuple[int, ...]) -> EstimatorView:
    own = {key: value for key, value in result.settings.items() if key not in common}
    failed = sum(bool(row.error) for row in result.rows)
    total = len(result.rows)
    return EstimatorView(
        name=result.name,
        kind=result.kind,
        role=ROLES.get(result.kind, ""),
        description=result.description,
        marks=marks,
        tracks=f"{whole(total - failed)} of {whole(total)}" if failed else whole(total),
        left_out=_left_out(result, failed),
        facts=_facts(own, but="protocol"),
    )


def _left_out(result: Result, failed: int) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for row in result.rows:
        counts.update(row.counts)
    lines = [f"{whole(failed)} failed"] if failed else []
    if "windows" in counts:
        lines.append(f"{whole(counts['windows_skipped'])} of {whole(counts['windows'])} windows skipped")
    known = ("windows", "windows_skipped") if "windows" in counts else ()
    lines += [f"{key.replace('_', ' ')}: {whole(count)}" for key, count in counts.items() if key not in known]
    return tuple(lines)


def _facts(settings: Mapping[str, Any], *, but: str) -> tuple[tuple[str, str], ...]:
    return tuple((key.replace("_", " "), _text(value)) for key, value in settings.items() if key != but)


def _text(value: Any) -> str:
    """A setting as a person writes it."""
    if value is None or value == "" or value == [] or value == {}:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return ", ".join(_text(each) for each in items)
    return str(value)
