"""The wheel alone, in an empty environment, separates a file."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_wheel_installs_into_an_empty_environment_and_separates(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def call(*command: object) -> str:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("majl-*.whl")
    assert wheel.stat().st_size < 20e6
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", wheel)
    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal((44100, 2)), 44100)
    call(tmp_path / "empty" / "bin" / "majl", "separate", "song.wav", "--out", "stems/")
    names = {path.name for path in (tmp_path / "stems" / "song").iterdir()}
    assert names == {"vocals.wav", "accompaniment.wav"}
    where = call(python, "-c", "import majl_cli; print(majl_cli.__file__)")
    assert str(tmp_path) in where
