"""The band-split convolutional net: its bands, and what it does with the bins above them."""

from __future__ import annotations

import pytest
import torch
from tiny import SEPARATION

from majl_cli.errors import ConfigError
from majl_cli.models.registry import build_separation
from majl_cli.models.separation.band_split_conv import BandLinear

TINY = SEPARATION["band-split-conv"]["44.1 kHz stereo"]


def test_bands_that_hold_more_bins_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match="bands hold 258 bins, an n_fft of 512 has 257"):
        build_separation("band-split-conv", {**TINY, "bands": ((129, 2),)})
    with pytest.raises(ConfigError, match="no dilations"):
        build_separation("band-split-conv", {**TINY, "dilations": ()})


def test_a_band_sees_its_own_bins_only_and_bands_of_one_width_are_told_apart() -> None:
    torch.manual_seed(0)
    split = BandLinear([2, 2, 4], 3, 5, splits=True)
    x = torch.randn(1, 1, 8, 3)
    changed = x.clone()
    changed[:, :, 2:4] += 1.0  # the second band
    moved = (split(changed) - split(x)).abs().amax(dim=-1)[0, 0] > 1e-6
    assert split(x).shape == (1, 1, 3, 5)
    assert moved.tolist() == [False, True, False]
    same = torch.ones(1, 1, 8, 3)
    assert not torch.allclose(split(same)[0, 0, 0], split(same)[0, 0, 1])


def test_bands_are_joined_in_the_order_of_their_bins() -> None:
    torch.manual_seed(0)
    join = BandLinear([2, 2, 4], 3, 5, splits=False)
    x = torch.zeros(1, 1, 3, 5)
    x[:, :, 2] = 1.0  # the third band
    assert join(x).shape == (1, 1, 8, 3)
    assert (join(x)[0, 0].abs().amax(dim=-1) > 0).tolist() == [False] * 4 + [True] * 4


def test_bins_above_the_bands_are_silent() -> None:
    torch.manual_seed(0)
    module = build_separation("band-split-conv", {**TINY, "bands": ((16, 2), (8, 4))}).eval()
    with torch.no_grad():
        estimate = module(torch.randn(1, 2, 8192))[0, 0, 0]
    level = torch.fft.rfft(estimate * torch.hann_window(8192)).abs()
    border = 8192 * 64 // 512  # 64 bins of an n_fft of 512
    assert level[:border].mean() > 0
    assert level[border + 128 :].max() < 1e-2 * level[:border].mean()
