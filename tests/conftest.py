"""Fixtures for all tests: synthetic audio, and the real recordings where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# make test runs several processes, which share the cores.
THREADS = max(1, torch.get_num_threads() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture(autouse=True)
def fair_share_of_threads() -> None:
    """What an earlier test loaded may have taken more."""
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; the test is skipped where there is none."""
    if not (SHARED_DATA / "index.csv").exists():
        pytest.skip("no ../shared/data beside the checkout; put the recordings there to run this")
    return SHARED_DATA
