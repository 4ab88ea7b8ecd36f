"""Hybrid Demucs against torchaudio's network and the demucs package's, with random weights; and on its own terms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from seeded import fill_with_seed, tones_in_noise
from torch import Tensor, nn
from torchaudio.models import HDemucs as TorchaudioHDemucs

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.registry import build_separation

FOUR = ("drums", "bass", "other", "vocals")
SIX = (*FOUR, "guitar", "piano")
# The published networks have their LSTMs, attention and norms from the level on where one bin is left.
REFERENCE_SIZES: dict[str, Any] = {
    "nfft": 64,
    "depth": 3,
    "channels": 16,
    "norm_starts": 1,
    "dconv_attn": 1,
    "dconv_lstm": 1,
}


def loaded_from(reference: nn.Module, stems: tuple[str, ...]) -> SeparationModule:
    module = build_separation("hdemucs", {"stems": stems, "n_fft": 64, "width": 16}).eval()
    module.load_state_dict(module.convert_weights(reference.state_dict()))
    return module


def largest_difference(reference: nn.Module, module: SeparationModule, mixture: Tensor) -> float:
    with torch.inference_mode():
        expected, found = reference(mixture), module(mixture)
    assert found.shape == expected.shape == (len(mixture), len(module.stems), 2, mixture.shape[-1])
    assert expected.abs().max() > 1e-3
    return float((found - expected).abs().max())


# 77: shorter than one window of the LSTM; 8000: several windows; the others leave a remainder at every stride.
@pytest.mark.parametrize("stems", [FOUR, SIX])
@pytest.mark.parametrize("samples", [77, 5001, 8000])
def test_torchaudios_weights_give_torchaudios_stems(stems: tuple[str, ...], samples: int) -> None:
    reference = TorchaudioHDemucs(list(stems), **REFERENCE_SIZES).eval()
    fill_with_seed(reference)
    assert largest_difference(reference, loaded_from(reference, stems), tones_in_noise(samples)) < 1e-5


@pytest.mark.parametrize("stems", [FOUR, SIX])
@pytest.mark.parametrize("samples", [1, 20, 5001])
def test_the_demucs_packages_weights_give_its_stems(stems: tuple[str, ...], samples: int) -> None:
    demucs = pytest.importorskip("demucs.hdemucs", reason="demucs is not installed; the dev extra brings it")
    reference = demucs.HDemucs(list(stems), **REFERENCE_SIZES).eval()
    fill_with_seed(reference)
    mixture = tones_in_noise(samples)
    assert largest_difference(reference, loaded_from(reference, stems), mixture) < 1e-5


def test_the_levels_are_those_of_the_published_network() -> None:
    module = build_separation("hdemucs", {"width": 8})
    converted = module.convert_weights(TorchaudioHDemucs(list(FOUR), channels=8).state_dict())
    assert {name: tensor.shape for name, tensor in converted.items()} == {
        name: tensor.shape for name, tensor in module.state_dict().items()
    }


def test_mono_of_a_single_sample_is_finite() -> None:
    module = build_separation("hdemucs", {"channels": 1, "n_fft": 64, "width": 16}).eval()
    mixture = torch.ones(1, 1, 1, requires_grad=True)
    module(mixture).sum().backward()
    assert mixture.grad is not None and torch.isfinite(mixture.grad).all()


@pytest.mark.parametrize(("options", "message"), [({"n_fft": 2048}, "power of 4"), ({"width": 20}, "multiple of 8")])
def test_sizes_that_do_not_fit_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_separation("hdemucs", {"n_fft": 64, **options})
