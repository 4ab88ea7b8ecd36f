"""Benchmark suites by name: sets of recordings, each scored in its own way, that make up one table."""

from __future__ import annotations

from majl_cli.errors import UsageError
from majl_cli.evaluation.suites.benchmark_set import BenchmarkSet
from majl_cli.evaluation.suites.dev import DEV

suites: dict[str, tuple[BenchmarkSet, ...]] = {"dev": DEV}


def find_suite(name: str) -> tuple[BenchmarkSet, ...]:
    """The sets of a suite. Raises UsageError."""
    if name not in suites:
        raise UsageError(f"no suite {name!r}", f"use one of {', '.join(suites)}")
    return suites[name]
