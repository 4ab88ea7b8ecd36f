"""Layers that architectures share, and what is done to them for inference."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from majl_cli.models.layers import ConvNorm, fold_batch_norms, patch_convolution, patchify
from majl_cli.models.pitch.log_frequency import filter_bands, harmonic_stack, log_frequency_filters
from majl_cli.models.registry import build_pitch, build_separation


def with_statistics(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its batch norms as if it had been trained."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values, low, high in (
                (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 1.5),
                (part.weight.data, 0.7, 1.3),
                (part.bias.data, -0.2, 0.2),
            ):
                assert values is not None
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize(("task", "name"), [("separation", "unet"), ("pitch", "salience-cnn"), ("pitch", "rmvpe")])
def test_folded_batch_norms_give_the_same_output(task: str, name: str) -> None:
    torch.manual_seed(0)
    module = with_statistics((build_separation if task == "separation" else build_pitch)(name, {}))
    folded = copy.deepcopy(module)
    fold_batch_norms(folded)
    audio = 0.1 * torch.randn(1, 2, 44100) if task == "separation" else 0.1 * torch.randn(1, 16000)
    with torch.inference_mode():
        whole, fused = module(audio), folded(audio)
    assert (whole - fused).abs().max() < 1e-4 * whole.abs().max()
    norms = [sum(isinstance(part, nn.BatchNorm2d) for part in net.modules()) for net in (module, folded)]
    assert norms[1] < norms[0]


def test_only_a_batch_norm_behind_a_convolution_is_folded() -> None:
    other = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)).eval()
    before = copy.deepcopy(other.state_dict())
    fold_batch_norms(other)
    assert other.state_dict().keys() == before.keys()
    assert isinstance(ConvNorm(2, 2)[1], nn.BatchNorm2d)


def test_filters_in_bands_give_what_the_whole_matrix_gives() -> None:
    grid = build_pitch("salience-cnn", {}).grid
    filters = log_frequency_filters(16000, 2048, 480, grid)
    bands = filter_bands(filters)
    spectrum = torch.randn(1, 1025, 7, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    banded = harmonic_stack(spectrum, filters, bands, (0, 60), grid.bins)
    whole = harmonic_stack(spectrum, filters, filter_bands(filters, width=480), (0, 60), grid.bins)
    torch.testing.assert_close(banded, whole, atol=1e-5, rtol=0)
    assert sum((band.high - band.low) * (band.last - band.first) for band in bands) < 0.4 * filters.numel()


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_patch_convolution_is_a_convolution_of_patches(kernel: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, 30)
    convolution = nn.Conv2d(3 * 4 * 5, 7, kernel, padding=kernel // 2).to(memory_format=torch.channels_last)
    expected = convolution(patchify(x, 4, 5))
    torch.testing.assert_close(patch_convolution(x, convolution, 4, 5), expected, rtol=0, atol=1e-5)
