"""Masking, band limits and targets of the losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import PITCH, SEPARATION

from majl_cli.convert import PitchGrid
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.training.dwhs import Weighting, WeightingConfig
from majl_cli.training.losses import LossConfig, pitch_loss, pitch_targets, separation_loss, weighted_sum
from majl_cli.training.step import Batch, JointLosses, joint_losses

RATE = 16000


def tiny_joint() -> JointModel:
    torch.manual_seed(0)
    return JointModel(
        build_separation("unet", SEPARATION["unet"]["16 kHz mono"]),
        build_pitch("salience-cnn", PITCH["salience-cnn"]["tiny"]),
    )


def losses_of(joint: JointModel, batch: Batch, variant: str = "uniform") -> JointLosses:
    return joint_losses(joint, batch, joint, LossConfig(), Weighting(WeightingConfig(variant=variant)))


def tiny_batch(*, sources_known: float = 1.0, pitch_known: float = 1.0, size: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    samples = RATE // 2
    sources = 0.1 * torch.randn(size, 2, 1, samples, generator=generator)
    frames = samples // 160 + 1
    return {
        "mixture": sources.sum(dim=1),
        "sources": sources,
        "sources_known": torch.full((size, frames), sources_known),
        "f0": torch.full((size, frames), 220.0),
        "pitch_known": torch.full((size, frames), pitch_known),
        "confidence": torch.ones(size, frames),
        "pseudo": torch.zeros(size),
        "bandwidth": torch.full((size,), RATE / 2),
        "track": [f"track {i}" for i in range(size)],
    }


def test_separation_only_example_gives_exactly_zero_pitch_gradient() -> None:
    joint = tiny_joint()
    losses = losses_of(joint, tiny_batch(pitch_known=0.0))
    losses.total.backward()
    assert losses.pitch == 0
    assert all(p.grad is None or bool((p.grad == 0).all()) for p in joint.pitch.parameters())
    assert next(joint.separation.parameters()).grad.abs().max() > 0


def test_pitch_only_example_gives_exactly_zero_separation_loss_but_trains_the_cascade() -> None:
    joint = tiny_joint()
    losses = losses_of(joint, tiny_batch(sources_known=0.0))
    losses.total.backward()
    assert losses.separation == 0
    assert next(joint.separation.parameters()).grad.abs().max() > 0


def test_unlabelled_example_changes_nothing_in_the_others_gradient() -> None:
    gradients = []
    for poison in (0.0, 5.0):
        joint = tiny_joint().eval()  # batch norm would couple the examples
        batch = tiny_batch()
        batch["sources_known"][1] = 0.0
        batch["pitch_known"][1] = 0.0
        batch["sources"][1] += poison
        batch["f0"][1] += poison
        losses_of(joint, batch).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in joint.parameters() if p.grad is not None]))
    assert torch.equal(gradients[0], gradients[1])


def test_error_above_the_bandwidth_is_masked() -> None:
    samples = RATE
    time = torch.arange(samples) / RATE
    reference = (0.1 * torch.sin(2 * torch.pi * 440 * time))[None, None]
    mixture = reference + 0.05 * torch.sin(2 * torch.pi * 1000 * time)
    high_error = reference + 0.1 * torch.sin(2 * torch.pi * 6000 * time)
    exact, limited, full = (
        separation_loss(estimate, reference, mixture, torch.tensor([bandwidth]), RATE, LossConfig(), frames=51)
        .mean()
        .item()
        for estimate, bandwidth in ((reference, 8000.0), (high_error, 4000.0), (high_error, 8000.0))
    )
    assert exact == 0
    assert limited < 0.02 * full
    assert full > 0.5


def test_separation_loss_does_not_depend_on_the_level() -> None:
    generator = torch.Generator().manual_seed(0)
    estimate, reference, noise = (torch.randn(1, 1, RATE, generator=generator) for _ in range(3))
    bandwidth = torch.tensor([8000.0])
    loud, soft = (
        separation_loss(g * estimate, g * reference, g * (reference + noise), bandwidth, RATE, LossConfig(), frames=51)
        .mean()
        .item()
        for g in (0.5, 0.05)
    )
    assert soft == pytest.approx(loud, rel=0.02)


def test_pitch_targets_peak_at_the_f0_and_are_zero_when_unvoiced() -> None:
    grid = PitchGrid()
    f0 = torch.tensor([[0.0, float(grid.frequencies[100]), 440.0]])
    targets = pitch_targets(f0, grid, 25.0)
    assert targets[0, 0].abs().max() == 0
    assert targets[0, 1].argmax() == 100
    assert targets[0, 1, 100] == pytest.approx(1.0, abs=1e-4)
    # One standard deviation, 25 cents, is a bin and a quarter.
    assert targets[0, 1, 101] == pytest.approx(np.exp(-0.5 * (20 / 25) ** 2), abs=1e-3)
    assert abs(grid.frequencies[int(targets[0, 2].argmax())] - 440.0) < 440 * (2 ** (10.1 / 1200) - 1)


def test_pitch_loss_is_smallest_at_the_right_answer() -> None:
    grid = PitchGrid()
    f0 = torch.tensor([[220.0, 0.0]])
    right = torch.logit(pitch_targets(f0, grid, 25.0).clamp(1e-4, 1 - 1e-4))
    assert (pitch_loss(right, f0, grid) < pitch_loss(right.roll(30, dims=-1), f0, grid))[0, 0]
    assert (pitch_loss(right, f0, grid) < pitch_loss(right.flip(1), f0, grid)).all()


def test_weighted_sum_masks_before_it_weights() -> None:
    values = torch.tensor([1.0, float("nan"), 3.0])
    known = torch.tensor([1.0, 0.0, 1.0])
    assert weighted_sum(values, known) == 4.0
    assert weighted_sum(values, known, torch.tensor([1.0, 1.0, 3.0])) == 10.0
    assert weighted_sum(values, torch.zeros(3)) == 0.0


def test_a_finer_grid_weighs_no_more() -> None:
    usual = PitchGrid()
    fine = PitchGrid(bins=4 * usual.bins, cents_per_bin=5.0, first_frequency=usual.first_frequency)
    f0 = torch.full((1, 1), 440.0)
    losses = [float(pitch_loss(torch.full((1, 1, grid.bins), -3.0), f0, grid)) for grid in (usual, fine)]
    assert abs(losses[1] / losses[0] - 1) < 0.01
