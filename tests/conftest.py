"""Fixtures for all tests: synthetic audio, and the real recordings where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; the test is skipped where there is none."""
    if not (SHARED_DATA / "index.csv").exists():
        pytest.skip("no ../shared/data beside the checkout; put the recordings there to run this")
    return SHARED_DATA
