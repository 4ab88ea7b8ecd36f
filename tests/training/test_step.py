"""One step's losses: which module hears what, which gradients there are none of, and batches cut into parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_losses import RATE, tiny_batch, tiny_joint

from majl_cli.models.joint import JointModel, JointOutput
from majl_cli.training.dwhs import Weighting, WeightingConfig
from majl_cli.training.losses import LossConfig, pitch_loss, separation_loss
from majl_cli.training.step import Batch, JointLosses, count_labels, joint_losses

UNIFORM = Weighting(WeightingConfig(variant="uniform"))


def losses_of(joint: JointModel, batch: Batch, config: LossConfig | None = None, **options: Any) -> JointLosses:
    return joint_losses(joint, batch, joint, config or LossConfig(), UNIFORM, **options)


def gradients(module: torch.nn.Module) -> torch.Tensor:
    """All of a module's gradients in one row, 0 where there are none."""
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in module.parameters()]
    )


def gradients_of(joint: JointModel, losses: JointLosses) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the separation and of the pitch module."""
    joint.zero_grad()
    losses.total.backward()
    return gradients(joint.separation), gradients(joint.pitch)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal up to the rounding of float32 sums."""
    return bool((one - other).norm() <= 1e-4 * other.norm())


def some_labels(batch: Batch) -> Batch:
    """Each example is labelled in other parts."""
    for n in range(len(batch["track"])):
        batch["sources_known"][n, : 7 * n] = 0
        batch["pitch_known"][n, 5 + 11 * n :] = 0
    return batch


def test_with_clean_pitch_the_loss_is_what_its_parts_sum_to_by_hand() -> None:
    joint, batch = tiny_joint().eval(), some_labels(tiny_batch(size=3))
    losses = losses_of(joint, batch, LossConfig(omega_mss=2.0, omega_pe=0.3, clean_pitch=0.5))
    with torch.no_grad():
        estimate = joint.separate(batch["mixture"])[:, 0]
        target = batch["sources"][:, 0]
        heard, clean = (
            pitch_loss(joint.pitch(joint.hand_over(audio)), batch["f0"], joint.pitch.grid)
            for audio in (estimate, target)
        )
        frames = batch["f0"].shape[1]
        separation = separation_loss(
            estimate, target, batch["mixture"], batch["bandwidth"], RATE, LossConfig(), frames=frames
        )
    pitch, sources = batch["pitch_known"] > 0, batch["sources_known"] > 0
    assert 0 < (pitch & sources).sum() < pitch.sum()
    expected = 2.0 * separation[sources].mean() + 0.3 * (heard[pitch].mean() + 0.5 * clean[pitch & sources].mean())
    assert losses.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses.pitch.item() == pytest.approx(heard[pitch].mean().item(), rel=1e-5)
    assert losses.separation.item() == pytest.approx(separation[sources].mean().item(), rel=1e-5)


def test_clean_pitch_teaches_the_pitch_module_alone_and_needs_the_sources() -> None:
    joint, batch = tiny_joint().eval(), tiny_batch()
    plain, clean = (gradients_of(joint, losses_of(joint, batch, LossConfig(clean_pitch=x))) for x in (0.0, 1.0))
    assert close(clean[0], plain[0])
    assert not close(clean[1], plain[1])
    unknown = tiny_batch(sources_known=0.0)
    plain, clean = (gradients_of(joint, losses_of(joint, unknown, LossConfig(clean_pitch=x))) for x in (0.0, 1.0))
    assert close(clean[0], plain[0]) and close(clean[1], plain[1])


def test_independent_modules_do_not_know_of_each_other() -> None:
    joint, batch = tiny_joint().eval(), tiny_batch()
    pitch_only = LossConfig(omega_mss=0.0, omega_pe=1.0)
    separation, pitch = gradients_of(joint, losses_of(joint, batch, pitch_only, independent=True))
    assert not separation.any() and pitch.any()
    before = losses_of(joint, batch, independent=True)
    with torch.no_grad():
        for parameter in joint.separation.parameters():
            parameter.mul_(1.5)
    after = losses_of(joint, batch, independent=True)
    assert after.pitch == before.pitch
    assert after.separation != before.separation
    assert losses_of(joint, batch).pitch != before.pitch  # the cascade hears the estimate


def test_independent_training_takes_no_pitch_from_a_segment_without_sources() -> None:
    """And such a segment in the batch does not make the others count less."""
    joint, batch = tiny_joint().eval(), tiny_batch()
    batch["sources_known"][1] = 0
    alone = {key: value[:1] for key, value in batch.items()}
    both = losses_of(joint, batch, independent=True)
    expected = gradients_of(joint, losses_of(joint, alone, independent=True))
    found = gradients_of(joint, both)
    assert close(found[0], expected[0])
    assert close(found[1], expected[1])


def test_a_detached_cascade_hears_the_estimate_and_does_not_teach_it() -> None:
    joint = tiny_joint().eval()
    joint.detach_pitch = True
    batch = tiny_batch()
    pitch_only = LossConfig(omega_mss=0.0, omega_pe=1.0)
    separation, pitch = gradients_of(joint, losses_of(joint, batch, pitch_only))
    assert not separation.any() and pitch.any()
    before = losses_of(joint, batch).pitch
    with torch.no_grad():
        for parameter in joint.separation.parameters():
            parameter.mul_(1.5)
    assert losses_of(joint, batch).pitch != before
    joint.detach_pitch = False
    assert gradients_of(joint, losses_of(joint, batch, pitch_only))[0].any()


@pytest.mark.parametrize("granularity", ["segment", "frame"])
def test_frames_without_a_label_have_exactly_no_gradient_under_dwhs(granularity: str) -> None:
    """Of the modules' outputs: logits frame by frame, the estimate where no window reaches a known frame."""
    joint, batch = tiny_joint(), tiny_batch()
    samples, frames = RATE // 2, batch["f0"].shape[1]
    batch["sources_known"][0, 20:] = 0
    batch["sources_known"][1] = 0
    batch["pitch_known"][0, :30] = 0
    batch["pitch_known"][1, 10:15] = 0
    generator = torch.Generator().manual_seed(3)
    estimates = (0.1 * torch.randn(2, 1, 1, samples, generator=generator)).requires_grad_()
    logits = torch.randn(2, frames, joint.pitch.grid.bins, generator=generator).requires_grad_()

    def model(*_: object) -> JointOutput:
        return JointOutput(estimates=estimates, logits=logits)

    weighting = Weighting(WeightingConfig(granularity=granularity))
    losses = joint_losses(model, batch, joint, LossConfig(), weighting)  # type: ignore[arg-type]
    losses.total.backward()
    assert estimates.grad is not None and logits.grad is not None
    assert torch.equal(logits.grad.abs().amax(dim=-1) > 0, batch["pitch_known"] > 0)
    reach = 20 * samples // frames + 2048 + 512
    assert estimates.grad[0, ..., : 19 * samples // frames].abs().amin() > 0
    assert reach < samples - 1000 and not estimates.grad[0, ..., reach:].any()
    assert not estimates.grad[1].any()


@pytest.mark.parametrize(
    ("clean", "independent"), [(0.0, False), (1.0, False), (0.0, True)], ids=["cascade", "clean pitch", "independent"]
)
def test_two_accumulated_halves_are_one_whole_batch(clean: float, independent: bool) -> None:
    joint, batch = tiny_joint().eval(), some_labels(tiny_batch(size=4))
    config = LossConfig(omega_pe=1.0, clean_pitch=clean)
    whole = gradients_of(joint, losses_of(joint, batch, config, independent=independent))
    halves = [{key: value[part] for key, value in batch.items()} for part in (slice(0, 2), slice(2, 4))]
    known = [half["sources_known"].sum() for half in halves]
    assert known[0] != known[1], "halves of equal weight prove nothing"
    counts = count_labels(halves)
    joint.zero_grad()
    for half in halves:  # Accelerate divides by the number of batches
        (losses_of(joint, half, config, counts=counts, independent=independent).total / 2).backward()
    assert close(gradients(joint.separation), whole[0])
    assert close(gradients(joint.pitch), whole[1])
