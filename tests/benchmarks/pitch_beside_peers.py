"""How fast the pitch of a solo voice is estimated, beside the trackers of other packages. A benchmark, not a test.

    python tests/benchmarks/pitch_beside_peers.py voice.wav --model majl-base --peer swift-f0 --peer pesto

All in turns, medians of ``--repeats`` in seconds per second of audio. majl's figure has everything from stereo samples
at the file's rate to f0, in chunks; a peer's its own function on mono audio that is at 16 kHz already.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

import majl_cli
from majl_cli.audio import read_audio
from majl_cli.evaluation.baselines import baselines
from majl_cli.evaluation.baselines.families import SAMPLE_RATE, PitchTracker
from majl_cli.resample import resample, to_channels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    torch.set_num_threads(arguments.threads)
    audio, rate = read_audio(arguments.file)
    mono = resample(to_channels(audio, 1), rate, SAMPLE_RATE)[:, 0]
    works: dict[str, Callable[[], object]] = {}
    for name in arguments.model:
        model = majl_cli.load_model(name, threads=arguments.threads)
        works[name] = partial(model.estimate_pitch, to_channels(audio, 2), sample_rate=rate, input="vocals")
    for name in arguments.peer:
        peer = baselines[name]()
        assert isinstance(peer, PitchTracker), name
        works[name] = partial(peer.track, mono)
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(arguments.repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:  # the first one warms up
                times[name].append((time.perf_counter() - start) / (len(audio) / rate))
    for name, values in times.items():
        print(f"{name}: {statistics.median(values):.4f} s per second of audio", flush=True)


if __name__ == "__main__":
    main()
