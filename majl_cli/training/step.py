"""One training step's losses: batch -> joint model -> losses per frame -> weights -> one number.

Letters: B batch, C channels, T samples, N frames, K pitch bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from majl_cli.models.joint import JointModel, JointOutput
from majl_cli.training.dwhs import Evidence, Weighting, Weights, rightness
from majl_cli.training.losses import LossConfig, pitch_loss, separation_loss, weighted_sum

Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """Labelled frames in everything one optimiser step sees: all processes, all accumulated batches; ``shares`` is how
    many batches that are. Dividing by these makes the step that of one big batch, however it is cut up. (Cut up in
    time, by accumulation, batch norms and DWHS still see one batch after the other.)"""

    sources: Tensor
    pitch: Tensor
    both: Tensor
    shares: int = 1


@dataclass(frozen=True, kw_only=True)
class JointLosses:
    """``separation`` and ``pitch`` are this batch's means before weighting (scalars, 0 where nothing is labelled);
    ``per_example`` (B,) is their unreduced sum, for naming the track a NaN came from; ``log`` are further numbers."""

    total: Tensor
    separation: Tensor
    pitch: Tensor
    per_example: Tensor
    log: dict[str, float] = field(default_factory=dict)


def count_labels(batches: Iterable[Batch]) -> LabelCounts:
    """What is labelled in these batches."""
    batches = list(batches)
    return LabelCounts(
        sources=torch.stack([batch["sources_known"].sum() for batch in batches]).sum(),
        pitch=torch.stack([batch["pitch_known"].sum() for batch in batches]).sum(),
        both=torch.stack([(batch["pitch_known"] * batch["sources_known"]).sum() for batch in batches]).sum(),
        shares=len(batches),
    )


def joint_losses(
    model: nn.Module,
    batch: Batch,
    joint: JointModel,
    config: LossConfig,
    weighting: Weighting,
    counts: LabelCounts | None = None,
    *,
    independent: bool = False,
) -> JointLosses:
    """Both losses of one batch; ``model`` is ``joint``, possibly wrapped for several processes. ``counts`` None: the
    batch is all there is. ``independent``: the pitch module hears the target source, as if trained alone; a segment
    without sources then has no pitch loss."""
    counts = counts or count_labels([batch])
    hears = "reference" if independent else "both" if config.clean_pitch else "estimate"
    rows = _with_sources(batch)
    output: JointOutput = model(batch["mixture"], batch["sources"][rows, 0], hears)
    estimate = output.estimates[:, joint.separation.stems.index(joint.target)].float()
    frames = min(output.logits.shape[1], batch["f0"].shape[1])
    logits, f0 = output.logits[:, :frames], batch["f0"][:, :frames]
    if independent:
        logits = _spread(logits, rows, len(f0))
    sources_known, pitch_known = batch["sources_known"][:, :frames], batch["pitch_known"][:, :frames]
    if independent:
        pitch_known = pitch_known * sources_known
    with torch.autocast(estimate.device.type, enabled=False):
        separation = separation_loss(
            estimate,
            batch["sources"][:, 0],
            batch["mixture"],
            batch["bandwidth"],
            joint.separation.sample_rate,
            config,
            frames=frames,
        )
        pitch = pitch_loss(logits, f0, joint.pitch.grid, config.pitch_sigma_cents)
    reference = None
    if output.reference_logits is not None:
        reference = _spread(output.reference_logits[:, :frames], rows, len(f0))
    weights = _weights(batch, joint, weighting, logits.detach(), separation.detach(), pitch.detach(), reference)
    separation_sum = weighted_sum(separation, sources_known, weights.mss) / counts.sources.clamp_min(1.0)
    heard = counts.both if independent else counts.pitch
    pitch_sum = weighted_sum(pitch, pitch_known, weights.pe) / heard.clamp_min(1.0)
    total = config.omega_mss * separation_sum + config.omega_pe * pitch_sum
    if reference is not None:
        clean = pitch_loss(reference, f0, joint.pitch.grid, config.pitch_sigma_cents)
        clean_sum = weighted_sum(clean, pitch_known * sources_known) / counts.both.clamp_min(1.0)
        total = total + config.omega_pe * config.clean_pitch * clean_sum
    with torch.no_grad():
        kept = weighted_sum(separation, sources_known), weighted_sum(pitch, pitch_known)
        per_example = (separation * (sources_known > 0)).sum(dim=1) + (pitch * (pitch_known > 0)).sum(dim=1)
    return JointLosses(
        total=total * counts.shares,  # gradients are averaged over the shares
        separation=kept[0] / sources_known.sum().clamp_min(1.0),
        pitch=kept[1] / pitch_known.sum().clamp_min(1.0),
        per_example=per_example,
        log=weights.log,
    )


@torch.no_grad()
def _weights(
    batch: Batch,
    joint: JointModel,
    weighting: Weighting,
    logits: Tensor,
    separation: Tensor,
    pitch: Tensor,
    reference: Tensor | None,
) -> Weights:
    """``reference`` (B, N, K): what P makes of the target source, if it was heard already."""
    frames = logits.shape[1]
    f0 = batch["f0"][:, :frames]
    predicted = target = torch.ones_like(f0)
    if weighting.compares and reference is None:
        rows = _with_sources(batch)
        with frozen_statistics(joint.pitch):
            reference = joint.pitch(joint.hand_over(batch["sources"][rows, 0]))[:, :frames]
        reference = _spread(reference, rows, len(f0))
    # Not in bfloat16: a weight is a mean over thousands of frames, and the dwm's own weights are of this very step.
    with torch.autocast(f0.device.type, enabled=False):
        if weighting.compares:
            assert reference is not None
            predicted = rightness(logits, f0, joint.pitch.grid, weighting.config)
            target = rightness(reference, f0, joint.pitch.grid, weighting.config)
        return weighting(
            Evidence(
                predicted=predicted,
                target=target,
                voiced=(f0 > 0).float(),
                pitch_known=batch["pitch_known"][:, :frames],
                sources_known=batch["sources_known"][:, :frames],
                separation_loss=separation,
                pitch_loss=pitch,
                confidence=batch["confidence"][:, :frames],
                pseudo=batch["pseudo"][:, None].expand_as(f0),
            )
        )


def _with_sources(batch: Batch) -> Tensor:
    """The examples (R,) that have sources: the silence that stands for others must not enter a batch norm. All of
    them if none has."""
    known = batch["sources_known"].any(dim=1)
    return torch.nonzero(known if bool(known.any()) else torch.ones_like(known))[:, 0]


def _spread(logits: Tensor, rows: Tensor, size: int) -> Tensor:
    """Logits (R, N, K) of some examples in their places among all (B, N, K)."""
    if len(rows) == size:
        return logits
    return logits.new_zeros(size, *logits.shape[1:]).index_put((rows,), logits)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise by the batch, as in training, but their running statistics stay as they are."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
