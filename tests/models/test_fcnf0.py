"""FCNF0++ against the reference network filled with the same weights, and what its salience means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pitch_golden import GOLDEN, filled, sampled, signal
from tiny import PITCH
from torch import Tensor

from majl_cli.convert import frequency_to_cents
from majl_cli.models.pitch.decode import decode_salience
from majl_cli.models.pitch.fcnf0 import Fcnf0, Fcnf0Config, salience_logits
from majl_cli.models.registry import build_pitch


@pytest.fixture(scope="module")
def module() -> Fcnf0:
    module = Fcnf0(Fcnf0Config(batch_frames=200)).eval()
    names = {name.removeprefix("layers."): value.shape for name, value in module.state_dict().items()}
    assert len(names) == 26 and sum(p.numel() for p in module.parameters()) == 8934624
    module.load_state_dict(module.convert_weights(filled(names, 1.0)))
    return module


def test_the_filled_reference_network_is_reproduced(module: Fcnf0) -> None:
    """Its frames were centred on half a hop: with half a hop of zeros before the audio, ours are one later. The first
    six see the audio's edge, which those zeros change."""
    golden = np.load(GOLDEN / "fcnf0.npz")
    activations: dict[str, Tensor] = {}
    for name, layer in (("0", "layers.0.3"), ("2", "layers.2"), ("5", "layers.5")):
        module.get_submodule(layer).register_forward_hook(
            lambda _module, _inputs, output, name=name: activations.__setitem__(name, output[1:])
        )
    with torch.inference_mode():
        logits = module.posterior_logits(torch.nn.functional.pad(signal(8000, 8000), (40, 0)))[0, 1:].numpy()
    assert logits.shape == (100, 1440)
    assert np.abs(logits[20::20] - golden["logits"][1:]).max() < 1e-4
    edge = 6 * 11 // 4 + 1
    for name, activation in activations.items():
        reference = golden[f"act/{name}"]
        error = np.abs(sampled(activation, 4) - reference)[edge:]
        assert len(error) > 200 and error.max() < 1e-4, name


def test_decoding_gives_the_references_f0_and_periodicity(module: Fcnf0) -> None:
    golden = np.load(GOLDEN / "fcnf0.npz")
    logits = torch.from_numpy(golden["syn_logits"])
    salience = torch.sigmoid(salience_logits(logits)).numpy()
    frequency, confidence = decode_salience(salience, module.grid)
    assert np.abs(frequency_to_cents(frequency) - frequency_to_cents(golden["syn_pitch"])).max() < 0.5
    assert np.abs(confidence - golden["syn_periodicity"]).max() < 1e-4
    assert np.array_equal(salience.argmax(axis=1), logits.argmax(dim=1))


def test_confidence_goes_from_0_for_any_pitch_to_1_for_one() -> None:
    uniform, single = torch.zeros(1, 1440), torch.full((1, 1440), -200.0)
    single[0, 700] = 200.0
    half = torch.full((1, 1440), -200.0)
    half[0, 700:738] = 0.0  # log(38) / log(1440) is 0.5
    for logits, confidence in ((uniform, 0.0), (single, 1.0), (half, 1 - math.log(38) / math.log(1440))):
        salience = torch.sigmoid(salience_logits(logits))
        assert salience.max().item() == pytest.approx(confidence, abs=1e-5)


def test_gradients_are_finite_where_the_posterior_is_uniform_or_certain() -> None:
    logits = torch.zeros(2, 1440)
    logits[1, 3] = 300.0
    logits.requires_grad_()
    salience_logits(logits).square().sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_the_salience_can_be_trained_towards_a_pitch_and_towards_none() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1440, requires_grad=True)
    target = torch.zeros(2, 1440)
    target[0] = torch.exp(-0.5 * ((torch.arange(1440) - 600) / 5.0) ** 2)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(
            salience_logits(logits), target, reduction="sum"
        ).backward()
        optimiser.step()
    voiced, unvoiced = torch.sigmoid(salience_logits(logits.detach()))
    assert abs(int(voiced.argmax()) - 600) <= 1 and voiced.max() > 0.5
    assert unvoiced.max() < 0.05


def test_batches_of_frames_do_not_matter() -> None:
    torch.manual_seed(0)
    options = PITCH["fcnf0"]["tiny"]
    whole, split = (build_pitch("fcnf0", {**options, "batch_frames": size}).eval() for size in (1000, 7))
    split.load_state_dict(whole.state_dict())
    audio = torch.cat((signal(4000, 8000), signal(4000, 8000).flip(1)))
    with torch.inference_mode():
        assert (whole(audio) - split(audio)).abs().max() < 1e-4
