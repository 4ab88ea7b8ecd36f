"""PESTO's published weights in the pesto-pitch package (Riou et al., ISMIR 2023; LGPL-3.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from majl_cli.device import resolve_device
from majl_cli.evaluation.baselines.families import HOP_LENGTH, SAMPLE_RATE, PitchTracker, check_installed

if TYPE_CHECKING:
    import torch

WEIGHTS = "mir-1k_g7"  # the package's default
VOICED_FROM = 0.5  # the package names no threshold; its confidence is the probability of a classifier
FEWEST_SAMPLES = 4096  # the CQT's longest window, which its padding cannot be longer than


class Pesto(PitchTracker):
    """PESTO with the weights and settings that ``pesto.predict`` takes by default, a step of 10 ms. Frame k is centred
    at k * 10 ms: on glides it is off by less than 2 ms. Raises DependencyError where pesto-pitch is not installed.
    """

    name = "pesto"
    description = f"PESTO {WEIGHTS}, by pesto-pitch; voiced from a confidence of {VOICED_FROM} on"
    trained_on: tuple[str, ...] = ("mir-1k",)

    def __init__(self, *, device: str = "auto") -> None:
        check_installed(self.name, "pesto", "pesto-pitch")
        self._device_name = device
        self._network: torch.nn.Module | None = None

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        import pesto
        import torch

        device = resolve_device(self._device_name)
        signal = torch.from_numpy(np.pad(audio, (0, max(0, FEWEST_SAMPLES - len(audio))))).to(device)
        with torch.inference_mode():
            if self._network is None:
                step = 1000 * HOP_LENGTH / SAMPLE_RATE
                self._network = pesto.load_model(WEIGHTS, step_size=step, sampling_rate=SAMPLE_RATE).to(device)
            found = self._network(signal, sr=SAMPLE_RATE, convert_to_freq=True, return_activations=False)
        frequency, confidence = (values.flatten().cpu().numpy().astype(np.float64) for values in found[:2])
        signed = np.where(confidence >= VOICED_FROM, frequency, -frequency)
        return signed[: len(audio) // HOP_LENGTH + 1]
