"""Fixtures for all tests: synthetic audio, and the real recordings where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # make test: several processes share the cores
    torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; the test is skipped where there is none."""
    if not (SHARED_DATA / "index.csv").exists():
        pytest.skip("no ../shared/data beside the checkout; put the recordings there to run this")
    return SHARED_DATA
