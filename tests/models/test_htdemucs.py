"""Hybrid Transformer Demucs against the demucs package with random weights; its published files' metadata."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from seeded import fill_with_seed, tones_in_noise

from majl_cli.config import build
from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.registry import build_separation
from majl_cli.models.separation.htdemucs import HTDemucsConfig, options_from_metadata

FOUR = ("drums", "bass", "other", "vocals")
SIX = (*FOUR, "guitar", "piano")
SEGMENT = 4000  # samples
REFERENCE_SIZES: dict[str, Any] = {
    "samplerate": 16000,
    "segment": {"_type": "fraction", "numerator": 1, "denominator": 4},
    "nfft": 256,
    "depth": 2,
    "channels": 16,
    "t_layers": 3,
    "t_heads": 4,
}
# As published: four stems with a transformer of its own width, six stems without; and the class's own default.
VARIANTS: list[dict[str, Any]] = [
    {"sources": FOUR, "bottom_channels": 32, "dconv_mode": 3},
    {"sources": SIX, "bottom_channels": 0, "dconv_mode": 3},
    {"sources": FOUR},
]


def metadata_of(**arguments: Any) -> dict[str, str]:
    return {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(arguments)}


def both(variant: dict[str, Any]) -> tuple[Any, SeparationModule]:
    """The reference and ours, built from the same metadata, with the same weights."""
    demucs = pytest.importorskip("demucs.htdemucs", reason="demucs is not installed; the dev extra brings it")
    reference = demucs.HTDemucs(**{**REFERENCE_SIZES, **variant, "segment": 0.25}).eval()
    fill_with_seed(reference)
    module = build_separation("htdemucs", options_from_metadata(metadata_of(**REFERENCE_SIZES, **variant))).eval()
    module.load_state_dict(module.convert_weights(reference.state_dict()))
    return reference, module


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("samples", [1, 999, SEGMENT, SEGMENT + 1501])
def test_the_demucs_packages_weights_give_its_stems(variant: dict[str, Any], samples: int) -> None:
    reference, module = both(variant)
    # The reference refuses what is longer than its segment unless it is told not to care.
    reference.use_train_segment = samples <= SEGMENT
    mixture = tones_in_noise(samples)
    with torch.inference_mode():
        expected, found = reference(mixture), module(mixture)
    assert found.shape == expected.shape == (2, len(variant["sources"]), 2, samples)
    assert expected.abs().max() > 1e-3
    assert (found - expected).abs().max() < 1e-5


def test_training_takes_the_length_it_is_given() -> None:
    reference, module = both(VARIANTS[0])
    mixture = tones_in_noise(999)
    expected, found = reference.train()(mixture), module.train()(mixture)
    assert (found - expected).abs().max() < 1e-5
    assert (module.eval()(mixture) - found).abs().max() > 1e-3


def test_the_gradient_is_the_references() -> None:
    reference, module = both(VARIANTS[0])
    mixture = tones_in_noise(1999)
    gradients = []
    for network in (reference, module):
        network.train()(mixture).square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    for name, expected in gradients[0].items():
        assert (gradients[1][name] - expected).abs().max() <= 1e-4 * expected.abs().max() + 1e-8, name


def test_dropout_is_for_training_only() -> None:
    options = {"n_fft": 256, "depth": 2, "width": 16, "transformer_width": 0, "dropout": 0.5, "segment": 0.01}
    module = build_separation("htdemucs", options)
    fill_with_seed(module)
    mixture = tones_in_noise(1000)
    assert not torch.equal(module(mixture), module(mixture))
    assert torch.equal(module.eval()(mixture), module(mixture))


# As files of demucs 4.1 hold it; what is left at the class's defaults is not in every file.
PUBLISHED: dict[str, Any] = {
    "sources": list(FOUR),
    "audio_channels": 2,
    "samplerate": 44100,
    "segment": {"_type": "fraction", "numerator": 39, "denominator": 5},
    "channels": 48,
    "channels_time": None,
    "growth": 2,
    "nfft": 4096,
    "wiener_iters": 0,
    "end_iters": 0,
    "wiener_residual": False,
    "cac": True,
    "depth": 4,
    "rewrite": True,
    "multi_freqs": [],
    "multi_freqs_depth": 3,
    "freq_emb": 0.2,
    "emb_scale": 10,
    "emb_smooth": True,
    "kernel_size": 8,
    "stride": 4,
    "time_stride": 2,
    "context": 1,
    "context_enc": 0,
    "norm_starts": 4,
    "norm_groups": 4,
    "dconv_mode": 3,
    "dconv_depth": 2,
    "dconv_comp": 8,
    "dconv_init": 0.001,
    "bottom_channels": 512,
    "t_layers": 5,
    "t_hidden_scale": 4.0,
    "t_heads": 8,
    "t_dropout": 0.02,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_emb": "sin",
    "t_max_positions": 10000,
    "t_max_period": 10000.0,
    "t_weight_pos_embed": 1.0,
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_weight_decay": 0.0,
    "t_lr": None,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_mask_type": "diag",
    "t_mask_random_seed": 42,
    "t_sparse_attn_window": 400,
    "t_global_window": 100,
    "t_sparsity": 0.95,
    "t_auto_sparsity": False,
    "t_cross_first": False,
    "t_sin_random_shift": 0,
    "t_cape_mean_normalize": True,
    "t_cape_augment": True,
    "t_cape_glob_loc_scale": [5000.0, 1.0, 1.4],
    "rescale": 0.1,
}


def test_published_metadata_gives_the_default_network_and_that_of_the_published_size() -> None:
    options = options_from_metadata(metadata_of(**PUBLISHED))
    assert build(HTDemucsConfig, options) == HTDemucsConfig(dropout=0.02)
    # The published file has 84,025,440 bytes: two per parameter and a header.
    module = build_separation("htdemucs", options)
    assert sum(parameter.numel() for parameter in module.parameters()) == 41_984_456


def test_the_levels_are_those_of_the_published_network() -> None:
    demucs = pytest.importorskip("demucs.htdemucs", reason="demucs is not installed; the dev extra brings it")
    smaller = {**PUBLISHED, "channels": 8, "bottom_channels": 64}
    reference = demucs.HTDemucs(**smaller)
    module = build_separation("htdemucs", options_from_metadata(metadata_of(**smaller)))
    assert {name: tensor.shape for name, tensor in reference.state_dict().items()} == {
        name: tensor.shape for name, tensor in module.state_dict().items()
    }


def test_stems_may_be_the_positional_argument_and_the_segment_a_number() -> None:
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": json.dumps([SIX]), "kwargs": '{"segment": 7.8}'}
    options = options_from_metadata(metadata)
    assert options["stems"] == SIX
    assert options["segment"] == pytest.approx(7.8)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (metadata_of(**PUBLISHED, t_rotary=True), "t_rotary = True is not supported"),
        (metadata_of(**{**PUBLISHED, "cac": False}), "cac = False is not supported"),
        (metadata_of(**{**PUBLISHED, "multi_freqs": [0.5]}), "multi_freqs"),
        (metadata_of(**{**PUBLISHED, "dconv_mode": 2}), "dconv_mode = 2"),
        ({**metadata_of(**PUBLISHED), "klass": "demucs.hdemucs.HDemucs"}, "the file holds a HDemucs"),
        (metadata_of(channels=48), "not the metadata of a published file"),
        ({"format": "pt"}, "not the metadata of a published file"),
        ({**metadata_of(**PUBLISHED), "kwargs": "{"}, "not the metadata of a published file"),
        (metadata_of(**{**PUBLISHED, "sources": 5}), "not the metadata of a published file"),
        (metadata_of(**{**PUBLISHED, "sources": "vocals"}), "not the metadata of a published file"),
        (metadata_of(**{**PUBLISHED, "segment": float("inf")}), "not the metadata of a published file"),
    ],
)
def test_metadata_of_something_else_is_refused(metadata: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_from_metadata(metadata)


@pytest.mark.parametrize(
    ("options", "message"), [({"depth": 5}, "5 levels do not fit"), ({"transformer_width": 30}, "8 heads cannot share")]
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_separation("htdemucs", options)
