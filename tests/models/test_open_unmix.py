"""Open-Unmix and its Wiener filter against the openunmix package, with seeded weights; and on mixtures in mono."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from majl_cli.errors import ConfigError
from majl_cli.models.registry import build_separation
from majl_cli.models.separation.wiener import filter_estimates

STEMS = ("vocals", "drums", "bass", "other")
OPTIONS: dict[str, Any] = {"n_fft": 512, "hop_length": 128, "hidden": 16, "filter_frames": 60}


def reference_networks(stems: tuple[str, ...]) -> dict[str, nn.Module]:
    """openunmix's networks with weights, means and running statistics drawn around what training leaves."""
    openunmix = pytest.importorskip("openunmix.model", reason="openunmix is not installed; the dev extra brings it")
    torch.manual_seed(0)
    networks = {}
    for stem in stems:
        network = openunmix.OpenUnmix(nb_bins=257, nb_channels=2, hidden_size=16, max_bin=186)
        for name, value in network.state_dict().items():
            if name.startswith(("bn", "input", "output")) and value.dtype.is_floating_point:
                value.add_(0.3 * torch.rand_like(value))
        networks[stem] = network.eval()
    return networks


def mixture_of(samples: int, *, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 2, samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_the_references_weights_give_its_estimates(iterations: int) -> None:
    networks = reference_networks(STEMS)
    from openunmix.model import Separator

    separator = Separator(networks, niter=iterations, n_fft=512, n_hop=128, wiener_win_len=60).eval()
    weights = {f"{stem}.{name}": value for stem in STEMS for name, value in networks[stem].state_dict().items()}
    module = build_separation("open-unmix", {**OPTIONS, "iterations": iterations}).eval()
    module.load_state_dict(module.convert_weights(weights))
    mixture = mixture_of(20001)
    with torch.inference_mode():
        expected, found = separator(mixture), module(mixture)
    assert found.shape == expected.shape == (2, 4, 2, 20001)
    assert expected.std() > 0.05
    assert (found - expected).abs().max() < 1e-5
    assert module.convert_weights(separator.state_dict()).keys() == module.state_dict().keys()


def test_one_stems_file_is_taken_as_it_is() -> None:
    networks = reference_networks(("vocals",))
    from openunmix.model import Separator

    published = {**networks["vocals"].state_dict(), "sample_rate": torch.tensor(44100), "stft.window": torch.ones(512)}
    module = build_separation("open-unmix", {**OPTIONS, "stems": ["vocals"]}).eval()
    module.load_state_dict(module.convert_weights(published))
    mixture = mixture_of(3000)
    with torch.inference_mode():
        expected = Separator(networks, niter=0, n_fft=512, n_hop=128).eval()(mixture)
        assert (module(mixture) - expected).abs().max() < 1e-5


def test_the_filter_of_a_mixture_in_mono_shares_it_out_by_power() -> None:
    generator = torch.Generator().manual_seed(0)
    mono = torch.randn(1, 1, 50, 9, dtype=torch.complex64, generator=generator)
    masks = torch.rand(1, 3, 1, 50, 9, generator=generator)
    mixture = 10 * mono.expand(1, 2, 50, 9)
    found = filter_estimates(masks * mixture[:, None], mixture, iterations=1, frames=50)
    # Alike in both channels, the spatial covariances are the same for all stems.
    shares = masks.square() / masks.square().sum(dim=1, keepdim=True)
    assert (found - shares * mixture[:, None]).abs().max() < 1e-3 * mixture.abs().max()


def test_the_filter_acts_in_evaluation_only_and_gives_the_mixture_back() -> None:
    torch.manual_seed(0)
    options = {**OPTIONS, "dropout": 0.0}
    filtered, plain = (build_separation("open-unmix", {**options, "iterations": n}) for n in (1, 0))
    plain.load_state_dict(filtered.state_dict())
    mixture = mixture_of(5000)
    with torch.no_grad():
        assert torch.equal(filtered.train()(mixture), plain.train()(mixture))
        plain.load_state_dict(filtered.state_dict())
        estimates = filtered.eval()(mixture)
        assert (estimates.sum(dim=1) - mixture).abs().max() < 1e-3
        assert (plain.eval()(mixture).sum(dim=1) - mixture).abs().max() > 0.1


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="hidden 7 is odd"):
        build_separation("open-unmix", {"hidden": 7})
    with pytest.raises(ConfigError, match="filter_frames 0"):
        build_separation("open-unmix", {"filter_frames": 0})
