"""What the U-Net has beyond the contract."""

from __future__ import annotations

import pytest
import torch
from tiny import SEPARATION

from majl_cli.errors import ConfigError
from majl_cli.models.registry import build_separation


@pytest.mark.parametrize("kind", ["16 kHz mono", "44.1 kHz stereo"])
def test_stems_have_nothing_below_the_lowest_frequency(kind: str) -> None:
    options = SEPARATION["unet"][kind]
    torch.manual_seed(0)
    module = build_separation("unet", {**options, "n_fft": 4096, "hop_length": 1024, "lowest_hz": 50.0}).eval()
    mixture = torch.randn(1, module.channels, module.sample_rate)
    with torch.no_grad():
        estimate = module(mixture)[0, 0, 0]
    power = torch.fft.rfft(estimate * torch.hann_window(len(estimate))).abs().square()
    assert power[:30].mean() < 1e-4 * power[100:1000].mean()
    assert build_separation("unet", options).state_dict().keys() == module.state_dict().keys()


def test_sizes_that_do_not_fit_are_refused_with_ones_that_do() -> None:
    with pytest.raises(ConfigError, match="low_bins 100 is not a multiple of 32") as caught:
        build_separation("unet", {"low_bins": 100})
    assert caught.value.hint == "use 96"
    with pytest.raises(ConfigError, match="2 widths but 1 blocks"):
        build_separation("unet", {"widths": [8, 12], "blocks": [1]})
