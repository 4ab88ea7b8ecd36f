"""SwiftF0's published network in the swift-f0 package (Nieradzik, 2025; MIT)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.evaluation.baselines.families import SAMPLE_RATE, PitchTracker, check_installed

VOICED_FROM = 0.5  # the package's threshold


class SwiftF0(PitchTracker):
    """SwiftF0 on the CPU, 46.875 to 2093.75 Hz, frames of its own 16 ms: frame k is centred at k * 16 ms, which glides
    confirm. Raises DependencyError where swift-f0 is not installed.
    """

    name = "swift-f0"
    description = f"SwiftF0, by swift-f0; voiced from a confidence of {VOICED_FROM} on"
    # config.py of lars76/swift-f0-training, the run of version 0.3.0.
    trained_on: tuple[str, ...] = ("mdb-stem-synth", "nsynth", "ptdb-tug", "mocha-timit", "cmu-arctic")
    hop_length = 256

    def __init__(self) -> None:
        check_installed(self.name, "swift_f0", "swift-f0")
        self._detector: Any = None

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        import swift_f0
        import torch

        if self._detector is None:
            # As many threads as the trackers that run in torch; without spinning, which would slow other processes.
            self._detector = swift_f0.SwiftF0(threads=torch.get_num_threads(), spin=False)
        # One hop more, since the package leaves out the frame at the end.
        found = self._detector.detect(np.pad(audio, (0, self.hop_length)), SAMPLE_RATE)
        return np.where(found.confidence >= VOICED_FROM, found.pitch_hz, -found.pitch_hz)
