"""The RoFormers against the BS-RoFormer package, whose names published checkpoints use; bands against librosa."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType
from typing import Any

import librosa
import numpy as np
import pytest
import torch

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.registry import build_separation
from majl_cli.models.separation.mel_band_roformer import mel_bands

SIZES: dict[str, Any] = {"dim": 16, "depth": 2, "heads": 2, "dim_head": 8}
OPTIONS: dict[str, dict[str, Any]] = {
    "bs-roformer": {**SIZES, "n_fft": 256, "hop_length": 128, "bands": (2,) * 10 + (12,) * 6 + (37,)},
    "mel-band-roformer": {**SIZES, "n_fft": 512, "hop_length": 128, "num_bands": 12},
}
# The last of them is more than one block of vectors.
LENGTHS = (1025, 4001, 24000)


def reference_package() -> ModuleType:
    package = pytest.importorskip("bs_roformer", reason="BS-RoFormer is not installed; the dev extra brings it")
    version = importlib.metadata.version("BS-RoFormer")
    if not version.startswith("0.3."):
        pytest.skip(f"BS-RoFormer {version} builds another network; the dev extra brings 0.3")
    return package


def reference_module(name: str, module: SeparationModule, options: dict[str, Any]) -> torch.nn.Module:
    """The same network in the reference, its weights seeded so that every part can be seen at the output."""
    package = reference_package()
    common = {
        **SIZES,
        "stereo": module.channels == 2,
        "num_stems": len(module.stems),
        "time_transformer_depth": 1,
        "freq_transformer_depth": 1,
        "flash_attn": False,
        "stft_n_fft": options["n_fft"],
        "stft_win_length": options["n_fft"],
        "stft_hop_length": options["hop_length"],
        "mask_estimator_depth": 2,
    }
    torch.manual_seed(0)
    if name == "bs-roformer":
        reference = package.BSRoformer(freqs_per_bands=options["bands"], **common)
    else:
        reference = package.MelBandRoformer(num_bands=options["num_bands"], match_input_audio_length=True, **common)
    with torch.no_grad():
        for parameter_name, parameter in reference.named_parameters():
            if parameter_name.endswith("gamma"):
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif parameter.requires_grad:
                scale = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.3
                parameter.copy_(scale * torch.randn_like(parameter))
    return reference.eval()


@pytest.mark.filterwarnings("ignore:A window was not provided")  # by the reference, where it counts bins
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("channels", "stems"), [(2, 1), (2, 6), (1, 2)])
def test_the_references_weights_give_the_references_stems(name: str, channels: int, stems: int) -> None:
    options = {**OPTIONS[name], "channels": channels, "stems": tuple("abcdef"[:stems])}
    module = build_separation(name, options).eval()
    reference = reference_module(name, module, options)
    module.load_state_dict(module.convert_weights(reference.state_dict()))
    for samples in LENGTHS:
        mixture = 0.3 * torch.randn(2, channels, samples)
        with torch.no_grad():
            expected, found = reference(mixture), module(mixture)
        expected = expected.unflatten(0, (2, 1)) if stems == 1 else expected
        assert found.shape == (2, stems, channels, samples)
        assert expected.std() > 0.01
        assert (found[..., : expected.shape[-1]] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("name", OPTIONS)
def test_training_and_evaluation_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    module = build_separation(name, OPTIONS[name])
    mixture = 0.3 * torch.randn(2, 2, 24000)
    with torch.no_grad():
        evaluated = module.eval()(mixture)
    assert (module.train()(mixture) - evaluated).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("name", "options", "file_bytes"),
    [
        ("mel-band-roformer", {}, 913_106_900),
        ("bs-roformer", {}, 639_331_213),
        ("bs-roformer", {"dim": 256, "hop_length": 512, "stems": tuple("abcdef")}, 699_412_152),
    ],
)
def test_published_checkpoints_have_as_many_weights(name: str, options: dict[str, Any], file_bytes: int) -> None:
    with torch.device("meta"):
        module = build_separation(name, options)
    weights = 4 * sum(tensor.numel() for tensor in module.state_dict().values())
    # What a file holds beside: names and places of the tensors.
    assert 0 < file_bytes - weights < 700 * len(module.state_dict())


def test_parameters_have_the_published_names() -> None:
    module = build_separation("mel-band-roformer", OPTIONS["mel-band-roformer"])
    layers = ("0.0.norm.gamma", "0.0.to_qkv.weight", "0.0.to_gates.weight", "0.0.to_gates.bias", "0.0.to_out.0.weight")
    layers += ("0.1.net.0.gamma", "0.1.net.1.weight", "0.1.net.1.bias", "0.1.net.4.weight", "0.1.net.4.bias")
    expected = {f"layers.{i}.{j}.layers.{layer}" for i in range(2) for j in range(2) for layer in layers}
    expected |= {f"layers.{i}.{j}.norm.gamma" for i in range(2) for j in range(2)}
    expected |= {f"band_split.to_features.{b}.{part}" for b in range(12) for part in ("0.gamma", "1.weight", "1.bias")}
    linear = [f"{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")]
    expected |= {f"mask_estimators.0.to_freqs.{b}.0.{part}" for b in range(12) for part in linear}
    assert set(module.state_dict()) == expected


def test_rotary_frequencies_are_dropped_unless_they_differ_from_ours() -> None:
    module = build_separation("bs-roformer", OPTIONS["bs-roformer"])
    usual, other = 10000.0 ** -(torch.arange(0, 8, 2) / 8), torch.ones(4)
    names = [f"layers.0.{axis}.layers.0.0.rotary_embed.freqs" for axis in range(2)]
    converted = module.convert_weights({names[0]: usual.half(), names[1]: other, "final_norm.gamma": torch.ones(16)})
    assert list(converted) == [names[1], "final_norm.gamma"]


@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "bands"), [(44100, 2048, 60), (44100, 2048, 48), (48000, 4096, 64), (1600, 512, 12)]
)
def test_mel_bands_are_the_bins_of_librosas_filters(sample_rate: int, n_fft: int, bands: int) -> None:
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands) > 0
    expected[0, 0] = expected[-1, -1] = True
    members = mel_bands(sample_rate, n_fft, bands)
    assert np.array_equal(members, expected)
    assert members.sum(axis=0).max() == 2


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="bands of 1024 bins in all, n_fft 2048 gives 1025"):
        build_separation("bs-roformer", {"bands": (512, 512)})
    with pytest.raises(ConfigError, match="add up to 1025"):
        build_separation("bs-roformer", {"bands": (0, 1025)})
    with pytest.raises(ConfigError, match="60 bands at n_fft 256 leave bins or bands empty"):
        build_separation("mel-band-roformer", {"n_fft": 256})
    with pytest.raises(ConfigError, match="dim_head 7 is odd"):
        build_separation("bs-roformer", {"dim_head": 7})
    with pytest.raises(ConfigError, match="mask_estimator_depth 0"):
        build_separation("mel-band-roformer", {"mask_estimator_depth": 0})
