"""pYIN: the classical tracker of a single voice (Mauch and Dixon, ICASSP 2014), as librosa has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majl_cli.evaluation.baselines.families import HOP_LENGTH, SAMPLE_RATE, PitchTracker

FMIN, FMAX = 65.406, 2093.005  # C2 to C7, what librosa recommends
FRAME_LENGTH = 1536  # 96 ms; librosa's default is 93 ms at its default rate


class Pyin(PitchTracker):
    """``librosa.pyin`` with its defaults, C2 to C7, frames of 96 ms. Its hidden Markov model says what is voiced; the
    pitch of its unvoiced states is the guess there."""

    name = "pyin"
    description = "librosa's pYIN, C2 to C7"

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        import librosa

        frequency, voiced, _ = librosa.pyin(
            audio,
            fmin=FMIN,
            fmax=FMAX,
            sr=SAMPLE_RATE,
            frame_length=FRAME_LENGTH,
            hop_length=HOP_LENGTH,
            fill_na=None,
        )
        return np.where(voiced, frequency, -frequency)
