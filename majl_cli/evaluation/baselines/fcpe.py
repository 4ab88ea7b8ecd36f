"""FCPE's published weights in the torchfcpe package (Luo et al., 2025; MIT)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.device import resolve_device
from majl_cli.evaluation.baselines.families import HOP_LENGTH, SAMPLE_RATE, PitchTracker, check_installed

if TYPE_CHECKING:
    import torch

VOICED_ABOVE = 0.006  # the package's threshold


class Fcpe(PitchTracker):
    """FCPE with its local argmax, 32.7 to 1975.5 Hz; below its threshold the decoded pitch is the guess. Frame k is
    centred at k * 10 ms, which glides confirm. What it was trained on is not stated. Raises DependencyError where
    torchfcpe is not installed.
    """

    name = "fcpe"
    description = f"FCPE, by torchfcpe; voiced above a confidence of {VOICED_ABOVE}"

    def __init__(self, *, device: str = "auto") -> None:
        check_installed(self.name, "torchfcpe", "torchfcpe")
        self._device_name = device
        self._network: Any = None  # InferCFNaiveMelPE

    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        device = resolve_device(self._device_name)
        # The package prints a line to stdout for every file over full scale.
        signal = torch.from_numpy(audio / max(1.0, float(np.abs(audio).max())))
        with torch.inference_mode():
            if self._network is None:
                self._network = _load().to(device)
            salience = self._network.model(self._network.wav2mel(signal[None, :, None].to(device), SAMPLE_RATE))
            cents = self._network.model.latent2cents_local_decoder(salience, mask=False)
            frequency = self._network.model.cent_to_f0(cents).flatten().cpu().numpy().astype(np.float64)
        voiced = (salience.amax(dim=-1).flatten() > VOICED_ABOVE).cpu().numpy()
        return np.where(voiced, frequency, -frequency)[: len(audio) // HOP_LENGTH + 1]


def _load() -> torch.nn.Module:
    """The network with its weights; the package's own loader prints to stdout."""
    import torch
    import torchfcpe
    from torchfcpe.models_infer import DotDict, InferCFNaiveMelPE

    path = Path(torchfcpe.__file__).parent / "assets" / "fcpe_c_v001.pt"
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    config = checkpoint["config_dict"]
    config["model"] |= {"conv_dropout": 0.0, "atten_dropout": 0.0, "use_harmonic_emb": False}
    return InferCFNaiveMelPE(DotDict(config), checkpoint["model"]).eval()
