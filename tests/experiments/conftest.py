"""The project that experiments are run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from songs import write_project
from untrained import ALL


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", songs=ALL)
