"""ResUNetDecouple+ against activations of bytesep's networks, with weights filled by a rule, and its own promises."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import SEPARATION
from torch import nn

from majl_cli.errors import ConfigError
from majl_cli.models.registry import build_separation
from majl_cli.models.separation.resunet_decouple_plus import ResUNetDecouplePlus, ResUNetDecouplePlusConfig

GOLDEN = Path(__file__).parent / "golden"


def filled(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What the golden data's rule gives a parameter of the reference's, by its name and shape."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return (0.5 + random.random_sample(shape)).astype(np.float32)
    if len(shape) == 1:
        return (0.3 * random.standard_normal(shape)).astype(np.float32)
    gain = 0.02 if name == "after_conv2.weight" else 1.0
    return (gain * random.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)


def reference_weights(module: nn.Module, *, in_place: bool) -> dict[str, torch.Tensor]:
    """A state dict as the reference names it; where it has in-place batch norms these are called abn2."""
    weights = {"stft.conv_real.weight": torch.zeros(3), "istft.ola_window": torch.zeros(3)}
    for name, value in module.state_dict().items():
        name = name.replace(".bn2.", ".abn2.") if in_place else name
        counts = name.endswith("num_batches_tracked")
        weights[name] = value if counts else torch.from_numpy(filled(name, tuple(value.shape)))
    return weights


def reference_mixture() -> torch.Tensor:
    """(1, 2, 44223): two rising tones with an overtone and noise at 44.1 kHz."""
    time = np.arange(44223) / 44100
    noise = np.random.RandomState(0).standard_normal((2, 44223))
    audio = np.empty((2, 44223))
    for channel in range(2):
        low, high = 110.0 * (channel + 1), 880.0 * (channel + 1)
        phase = 2 * np.pi * (low * time + 0.5 * (high - low) * 44100 / 44223 * time * time)
        audio[channel] = 0.3 * np.sin(phase) + 0.1 * np.sin(2 * phase) + 0.02 * noise[channel]
    return torch.from_numpy(audio.astype(np.float32))[None]


def keep_samples(module: nn.Module, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """256 values of each named submodule's next output, evenly spaced over it."""
    kept: dict[str, NDArray[np.float32]] = {}

    def keeper(name: str) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            flat = output.numpy().reshape(-1)
            kept.setdefault(name, flat[:: max(1, flat.size // 1024)][:1024:4].copy())

        return keep

    for name in names:
        module.get_submodule(name).register_forward_hook(keeper(name))
    return kept


@pytest.mark.slow
@pytest.mark.parametrize(("case", "subbands", "parameters"), [("ismir2021", 1, 102571278), ("subbands", 4, 102574002)])
def test_the_references_weights_give_its_estimates(case: str, subbands: int, parameters: int) -> None:
    golden = np.load(GOLDEN / f"bytesep_{case}.npz")
    with torch.device("meta"):
        one = ResUNetDecouplePlus(ResUNetDecouplePlusConfig(subbands=subbands))
    assert sum(parameter.numel() for parameter in one.parameters()) == parameters
    # The rule fills one target's last layer as it does the first of two.
    module = ResUNetDecouplePlus(ResUNetDecouplePlusConfig(subbands=subbands, stems=("vocals", "other"))).eval()
    in_place = case == "ismir2021"
    module.load_state_dict(module.convert_weights(reference_weights(module, in_place=in_place)))
    names = [key.removeprefix("act/") for key in golden if key.startswith("act/")]
    kept = keep_samples(module, names)
    mixture = reference_mixture()
    with torch.inference_mode():
        found = module(mixture)[:, 0, :, ::16].numpy()
        two = module(mixture[..., :22050]).flatten(1, 2)[..., ::16].numpy()
    assert len(kept) == 7 and set(kept) == set(names)
    for name, values in kept.items():
        expected = golden[f"act/{name}"]
        assert np.abs(values - expected).max() < 1e-4 * expected.std(), name
    assert np.abs(found - golden["output"]).max() < 1e-5
    assert np.abs(two - golden["output_two_stems"]).max() < 1e-5
    if in_place:
        assert np.abs(found - golden["output_plain_batchnorm"]).max() > 2e-5


def test_in_place_batch_norms_scale_by_the_absolute_weight() -> None:
    module = build_separation("resunet-decouple-plus", SEPARATION["resunet-decouple-plus"]["16 kHz mono"])
    weights = reference_weights(module, in_place=True)
    name = "encoder_block1.conv_block1.abn2.weight"
    weights[name] = -weights[name]
    converted = module.convert_weights(weights)
    assert converted.keys() == module.state_dict().keys()
    expected = weights[name].abs() + 1e-5
    assert torch.equal(converted["encoder_block1.conv_block1.bn2.weight"], expected)
    same = "encoder_block1.conv_block1.bn1.weight"
    assert torch.equal(converted[same], weights[same])


def test_an_input_too_short_to_be_reflected_is_padded() -> None:
    options = SEPARATION["resunet-decouple-plus"]["16 kHz mono"]
    torch.manual_seed(0)
    module = build_separation("resunet-decouple-plus", options).eval()
    short = 0.1 * torch.randn(1, 1, options["n_fft"] // 2)
    with torch.no_grad():
        longer = module(torch.nn.functional.pad(short, (0, 1)))
        assert torch.allclose(module(short), longer[..., :-1], atol=1e-6)
        assert longer.abs().max() > 1e-4


def test_sizes_that_do_not_fit_are_refused_with_ones_that_do() -> None:
    with pytest.raises(ConfigError, match="subbands 2"):
        build_separation("resunet-decouple-plus", {"subbands": 2})
    with pytest.raises(ConfigError, match="n_fft 1000 is not a multiple of 512") as caught:
        build_separation("resunet-decouple-plus", {"n_fft": 1000, "subbands": 4})
    assert caught.value.hint == "use 512"
