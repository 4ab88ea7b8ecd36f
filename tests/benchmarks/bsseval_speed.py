"""BSS Eval beside museval: how fast, how much memory, how equal. A benchmark: figures are printed, nothing asserted.

    python tests/benchmarks/bsseval_speed.py                # 4 minutes: times, difference, peak memory of each
    python tests/benchmarks/bsseval_speed.py --minutes 1    # a shorter track

A stereo track at 44.1 kHz with two sources and two estimates, made of the example song. Times are of one process, 2
threads unless said otherwise: museval once (version 4 as ``museval.evaluate``), ours the median of several runs.
Memory is the peak resident size of a process that does nothing else; ours also streams an hour from blocks of 30 s.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "metrics"))
from bsseval_signals import Array, distorted, museval_v4, song


@dataclass(frozen=True, kw_only=True)
class LoopedBlocks:
    """References and estimates of 30 s (2, T, 2), again and again, as if read from files."""

    references: Array
    estimates: Array
    times: int

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for _ in range(self.times):
            yield self.references, self.estimates


def track(minutes: float) -> tuple[Array, Array, int]:
    """References and estimates (2, T, 2), and the sample rate."""
    half_minute, rate = song(30.0)
    references = np.stack((half_minute[0], half_minute[0, ::-1]))
    references = np.tile(references, (1, int(np.ceil(minutes * 2)), 1))[:, : round(minutes * 60 * rate)]
    return references, distorted(references), rate


def ours(references: Array, estimates: Array, rate: int) -> Array:
    from majl_cli.metrics.blocks import ArrayBlocks
    from majl_cli.metrics.bsseval import bss_eval_v4

    scores = bss_eval_v4(ArrayBlocks(references=references, estimates=estimates), sample_rate=rate)
    return np.stack((scores.sdr, scores.isr, scores.sir, scores.sar))


def timed(work: Callable[[], Array]) -> tuple[float, float, Array]:
    """Seconds by the wall clock and of the processor, and the result."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - processor, found


def measure_speed(minutes: float, runs: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    references, estimates, rate = track(minutes)
    ours(references[:, : 5 * rate], estimates[:, : 5 * rate], rate)
    mine = [timed(lambda: ours(references, estimates, rate)) for _ in range(runs)]
    wall, processor, theirs = timed(lambda: museval_v4(references, estimates, rate))
    mine += [timed(lambda: ours(references, estimates, rate)) for _ in range(runs)]
    my_wall = statistics.median(run[0] for run in mine)
    my_processor = statistics.median(run[1] for run in mine)
    print(f"{minutes:g} minutes, 2 sources, stereo, {threads} threads")
    print(f"museval   {wall:7.1f} s, {processor:7.1f} s of processor")
    print(f"majl      {my_wall:7.2f} s, {my_processor:7.2f} s of processor, median of {len(mine)}")
    print(f"ratio     {wall / my_wall:7.1f}    {processor / my_processor:7.1f}")
    for name, difference in zip(("SDR", "ISR", "SIR", "SAR"), np.abs(mine[0][2] - theirs), strict=True):
        print(f"{name}: largest difference of a window {difference.max():.2g} dB")
    medians = np.abs(np.median(mine[0][2], axis=2) - np.median(theirs, axis=2))
    print(f"largest difference of a median {medians.max():.2g} dB")


def report_memory(which: str, minutes: float) -> None:
    """Run alone in a process: print its peak in MiB before and after."""
    if which == "hour":
        from majl_cli.metrics.bsseval import bss_eval_v4

        references, estimates, rate = track(0.5)
        before = peak()
        bss_eval_v4(LoopedBlocks(references=references, estimates=estimates, times=120), sample_rate=rate)
    else:
        references, estimates, rate = track(minutes)
        before = peak()
        (ours if which == "majl" else museval_v4)(references, estimates, rate)
    print(f"{which:9} peak {peak():7.0f} MiB, {before:.0f} MiB of it before (audio and imports)")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="runs of ours before museval, and after it")
    parser.add_argument("--memory-of", choices=("majl", "museval", "hour"), help="only this, in this process")
    options = parser.parse_args()
    if options.memory_of:
        report_memory(options.memory_of, options.minutes)
        return
    # Before anything large is held here: a child's peak counts from the size of its parent.
    for which in ("majl", "museval", "hour"):
        command = [sys.executable, __file__, "--memory-of", which, "--minutes", str(options.minutes)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})
    measure_speed(options.minutes, options.runs, options.threads)


if __name__ == "__main__":
    main()
