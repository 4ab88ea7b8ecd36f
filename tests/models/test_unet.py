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


def test_shifts_average_positions_of_the_grid_in_evaluation_only() -> None:
    options = SEPARATION["unet"]["16 kHz mono"]
    torch.manual_seed(0)
    once = build_separation("unet", options)
    twice = build_separation("unet", {**options, "shifts": 2})
    twice.load_state_dict(once.state_dict())
    mixture = torch.randn(1, 1, 5000)
    assert torch.equal(once.train()(mixture), twice.train()(mixture))
    twice.load_state_dict(once.state_dict())
    once.eval(), twice.eval()
    with torch.no_grad():
        later = once(torch.nn.functional.pad(mixture, (32, 0)))[..., 32:]
        assert torch.allclose(twice(mixture), (once(mixture) + later) / 2, atol=1e-6)
