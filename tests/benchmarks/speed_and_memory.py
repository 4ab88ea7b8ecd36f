"""How fast, and how much memory. A benchmark, not a test: figures are printed, nothing is asserted.

    python tests/benchmarks/speed_and_memory.py            # speed, and memory for 10 and 60 minutes
    python tests/benchmarks/speed_and_memory.py --speed    # speed only

Speed: the median of five runs of ``Model.separate`` and ``Model.estimate_pitch`` on 60 s of stereo noise at 44.1 kHz,
in seconds per second of audio. Memory: peak resident size of ``majl separate`` as a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100


def noise_file(path: Path, minutes: int) -> None:
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        for _ in range(minutes * 6):
            file.write((0.1 * generator.standard_normal((10 * RATE, 2))).astype(np.float32))


def peak_memory(command: list[str]) -> tuple[float, float]:
    """Peak resident MiB and seconds of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return usage.ru_maxrss / 1024, time.perf_counter() - start


def measure_speed(threads: int) -> None:
    import majl_cli

    audio = (0.1 * np.random.default_rng(0).standard_normal((60 * RATE, 2))).astype(np.float32)

    def median(work: Callable[[], object]) -> float:
        work()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            work()
            times.append((time.perf_counter() - start) / 60)
        return statistics.median(times)

    for precision in ("float32", "bfloat16"):
        model = majl_cli.load_model(precision=precision, threads=threads)
        figures = {
            "separate": median(partial(model.separate, audio, sample_rate=RATE)),
            "pitch from the mixture": median(partial(model.estimate_pitch, audio, sample_rate=RATE, input="mixture")),
            "pitch of a voice": median(partial(model.estimate_pitch, audio, sample_rate=RATE, input="vocals")),
        }
        rows = ", ".join(f"{name} {seconds:.4f}" for name, seconds in figures.items())
        print(f"{model.runtime}: {rows} s per second of audio", flush=True)


def measure_memory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for command in ("separate", "pitch"):
            peaks = {}
            for minutes in (10, 60):
                path = Path(folder) / f"{minutes}.wav"
                if not path.exists():
                    noise_file(path, minutes)
                peaks[minutes], seconds = peak_memory(
                    [sys.executable, "-m", "majl_cli", command, str(path), "--out", str(Path(folder) / "out")]
                )
                print(f"{command} {minutes} min: peak {peaks[minutes]:.0f} MiB, {seconds:.0f} s", flush=True)
            print(f"{command} 60 min against 10 min: {peaks[60] / peaks[10] - 1:+.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", action="store_true", help="speed only")
    parser.add_argument("--memory", action="store_true", help="memory only")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Memory first: Linux counts what this process held when it started the other one into that one's peak.
    if not arguments.speed:
        measure_memory()
    if not arguments.memory:
        measure_speed(arguments.threads)


if __name__ == "__main__":
    main()
