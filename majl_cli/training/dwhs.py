"""Dynamic Weights on Hard Samples (DWHS): how much each sample counts in either loss.

After every forward pass the pitch found in the *predicted* source is compared with the pitch found in the *target*
source; both are right or wrong against the label, which makes four cases (Wei et al., MAJL, arXiv 2501.03689; the
table is our reading of it, see docs/paper-map.md):

    case  predicted  target  reading                                              omega_mss   omega_pe
    1     right      right   easy                                                 1           1
    2     wrong      right   the separation's error would be taught to P          1           reduced
    3     right      wrong   S pleases P instead of matching the source           raised      1
    4     wrong      wrong   hard for P itself; on pseudo-labels maybe wrong      1           raised, or confidence

Weights move between samples, never between tasks: both are brought to mean 1 over what is labelled, within
[lowest, highest]. Unvoiced frames, and frames that miss a label or a source to compare with, are case 1.

Letters: B batch, N frames, K pitch bins. Nothing here has a gradient into the joint model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from majl_cli.convert import REFERENCE_HZ, PitchGrid
from majl_cli.errors import ConfigError
from majl_cli.models.pitch.decode import neighbouring_bins

VARIANTS = ("uniform", "fixed", "dwhs", "dwm")
GRANULARITIES = ("segment", "frame")

Gather = Callable[[Tensor], Tensor]


def alone(values: Tensor) -> Tensor:
    """What there is over all processes, when there is one process."""
    return values


@dataclass(frozen=True, kw_only=True)
class WeightingConfig:
    """``variant``: uniform (all 1), fixed (``fixed_mss`` and ``fixed_pe`` everywhere), dwhs (the table), dwm (a small
    network that learns the weights).

    ``mss`` and ``pe`` are the table, cases 1 to 4; in case 4 of pseudo-labelled tracks the confidence stands in for the
    last entry of ``pe``. A pitch is right within ``right_cents`` of the label and, where ``soft``, falls smoothly to
    wrong at ``wrong_cents``. ``granularity`` segment gives one omega_mss to a segment, frame one to a frame.
    ``lowest`` and ``highest`` bound every weight. ``learning_rate`` and ``clip_norm`` are those of the dwm.
    """

    variant: str = "dwhs"
    granularity: str = "segment"
    mss: tuple[float, float, float, float] = (1.0, 1.0, 2.0, 1.0)
    pe: tuple[float, float, float, float] = (1.0, 0.5, 1.0, 1.5)
    fixed_mss: float = 1.0
    fixed_pe: float = 1.0
    right_cents: float = 50.0
    wrong_cents: float = 100.0
    soft: bool = True
    lowest: float = 0.1
    highest: float = 4.0
    learning_rate: float = 1e-3
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("variant", self.variant, VARIANTS),
            ("granularity", self.granularity, GRANULARITIES),
        ):
            if value not in known:
                raise ConfigError(f"weighting.{name} {value!r}", f"use one of {', '.join(known)}")
        if not 0 < self.lowest <= 1 <= self.highest:
            raise ConfigError(
                f"weighting.lowest {self.lowest} and highest {self.highest} do not enclose 1",
                "use 0 < lowest <= 1 <= highest: the mean weight is 1",
            )
        if min(*self.mss, *self.pe, self.fixed_mss, self.fixed_pe) < 0:
            raise ConfigError("weighting: a negative weight", "use 0 or more")
        if not 0 < self.right_cents <= self.wrong_cents:
            raise ConfigError(
                f"weighting.wrong_cents {self.wrong_cents} lies below right_cents {self.right_cents}", "use more"
            )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a batch shows, all (B, N) and without gradient.

    ``predicted`` and ``target``: rightness in [0, 1] of the pitch found in the predicted and in the target source;
    ``voiced``, ``pitch_known``, ``sources_known``: 1 or 0; the two losses; ``confidence`` in [0, 1] of the labels;
    ``pseudo`` 1 where a model made one of them.
    """

    predicted: Tensor
    target: Tensor
    voiced: Tensor
    pitch_known: Tensor
    sources_known: Tensor
    separation_loss: Tensor
    pitch_loss: Tensor
    confidence: Tensor
    pseudo: Tensor

    @property
    def compared(self) -> Tensor:
        """1 for the frames that have a case: voiced, with a label and with a source to compare with."""
        return self.voiced * self.pitch_known * self.sources_known

    def cases(self) -> Tensor:
        """Membership in the four cases, (B, N, 4), summing to 1; what cannot be compared is case 1."""
        p, t = self.predicted, self.target
        cases = torch.stack((p * t, (1 - p) * t, p * (1 - t), (1 - p) * (1 - t)), dim=-1)
        compared = self.compared[..., None]
        return cases * compared + torch.eye(4, device=p.device)[0] * (1 - compared)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """``mss`` and ``pe`` (B, N); ``log``: shares of the cases, the weights' means before normalisation (omega_mss,
    omega_pe), their spread and their means per case."""

    mss: Tensor
    pe: Tensor
    log: dict[str, float]


class Weighting:
    """From evidence to weights: the table, of which ``uniform`` and ``fixed`` are the trivial cases. ``gather``
    concatenates the tensors (B, ...) of all processes."""

    def __init__(self, config: WeightingConfig, *, gather: Gather = alone) -> None:
        self.config, self.gather = config, gather

    @property
    def compares(self) -> bool:
        """Whether rightness is needed at all: it costs a pass of the pitch module over the target source."""
        return self.config.variant in ("dwhs", "dwm")

    def __call__(self, evidence: Evidence) -> Weights:
        config = self.config
        mss, pe = self.raw(evidence)
        if config.granularity == "segment":
            mss = _segment_mean(mss, evidence.sources_known)
        pairs = {"omega_mss": (mss, evidence.sources_known), "omega_pe": (pe, evidence.pitch_known)}
        means = {name: _mean(weights, known) for name, (weights, known) in pairs.items() if known.any()}
        if config.variant != "fixed":  # two constants stay what they are
            mss = normalise(mss, evidence.sources_known, config.lowest, config.highest, self.gather)
            pe = normalise(pe, evidence.pitch_known, config.lowest, config.highest, self.gather)
        return Weights(mss=mss, pe=pe, log=means | (_log(evidence, mss, pe) if self.compares else {}))

    def raw(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """omega_mss and omega_pe (B, N) before averaging and normalising."""
        config = self.config
        if config.variant == "uniform":
            return torch.ones_like(evidence.predicted), torch.ones_like(evidence.predicted)
        if config.variant == "fixed":
            ones = torch.ones_like(evidence.predicted)
            return ones * config.fixed_mss, ones * config.fixed_pe
        cases = evidence.cases()
        mss = cases @ cases.new_tensor(config.mss)
        last = torch.where(evidence.pseudo > 0, evidence.confidence, cases.new_tensor(config.pe[3]))
        return mss, cases[..., :3] @ cases.new_tensor(config.pe[:3]) + cases[..., 3] * last

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; nothing for the table."""
        return {}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""


def rightness(logits: Tensor, f0: Tensor, grid: PitchGrid, config: WeightingConfig) -> Tensor:
    """How right the pitch found in logits (B, N, K) is, against f0 (B, N) in Hz: 1 within ``right_cents``, 0 from
    ``wrong_cents`` on, half a cosine between (a step where not ``soft``); in [0, 1], 0 where f0 is 0."""
    voiced = f0 > 0
    label = 1200.0 * torch.log2(torch.where(voiced, f0, torch.full_like(f0, REFERENCE_HZ)) / REFERENCE_HZ)
    distance = (pitch_cents(logits, grid) - label).abs()
    if not config.soft or config.wrong_cents == config.right_cents:
        right = (distance <= config.right_cents).float()
    else:
        fall = ((distance - config.right_cents) / (config.wrong_cents - config.right_cents)).clamp(0.0, 1.0)
        right = 0.5 + 0.5 * torch.cos(torch.pi * fall)
    return right * voiced


def pitch_cents(logits: Tensor, grid: PitchGrid) -> Tensor:
    """The pitch (B, N) in cents above 10 Hz that logits (B, N, K) show: mean around the largest bin."""
    top = logits.argmax(dim=-1, keepdim=True)
    neighbours = neighbouring_bins(grid)
    columns = top + torch.arange(-neighbours, neighbours + 1, device=logits.device)
    inside = (columns >= 0) & (columns < logits.shape[-1])
    columns = columns.clamp(0, logits.shape[-1] - 1)
    # The floor is for frames without any salience: their pitch is then the middle of the bins.
    near = logits.float().gather(-1, columns)
    weights = torch.sigmoid(near).clamp_min(1e-12) * inside
    cents = torch.as_tensor(grid.cents, dtype=torch.float32, device=logits.device)[columns]
    return (weights * cents).sum(dim=-1) / weights.sum(dim=-1)


def normalise(weights: Tensor, known: Tensor, lowest: float, highest: float, gather: Gather = alone) -> Tensor:
    """``weights`` (B, N) scaled so that, clipped to [lowest, highest], their mean over ``known`` is 1.

    There is such a scale because the clipped mean rises with it from lowest to highest. Elements that are not known get
    a weight too (clipped, not counted); all 1 where nothing is known.
    """
    counted = gather(known).flatten() > 0
    values = gather(weights).flatten()[counted].cpu().double().clamp_min(1e-8)  # float64 is not for every device
    if not len(values):
        return torch.ones_like(weights)
    scale = len(values) / values.sum()
    if bool((values * scale).min() < lowest) or bool((values * scale).max() > highest):
        scale = _scale_of_clipped_mean_1(values, lowest, highest)
    return (weights.clamp_min(1e-8) * scale.to(weights)).clamp(lowest, highest)


def _scale_of_clipped_mean_1(values: Tensor, lowest: float, highest: float) -> Tensor:
    """The sum of the clipped values over the scale is made of straight lines: it gets steeper by a value where that
    leaves the lower bound, and flatter where it meets the upper one. So: find the line that crosses the count."""
    corners, order = torch.cat((lowest / values, highest / values)).sort()
    slopes = torch.cat((values, -values))[order].cumsum(0)
    rises = slopes[:-1] * corners.diff()
    sums = len(values) * lowest + torch.cat((rises.new_zeros(1), rises.cumsum(0)))
    line = int(torch.searchsorted(sums, float(len(values)), right=True).clamp(1, len(sums) - 1)) - 1
    slope = slopes[line]
    if slope <= 0:  # the sum stands still there
        return corners[line]
    return corners[line] + (len(values) - sums[line]) / slope


def _segment_mean(weights: Tensor, known: Tensor) -> Tensor:
    """(B, N) with every row its mean over the known frames; 1 where there are none."""
    count = known.sum(dim=1, keepdim=True)
    mean = (weights * known).sum(dim=1, keepdim=True) / count.clamp_min(1.0)
    return torch.where(count > 0, mean, torch.ones_like(mean)).expand_as(weights)


def _mean(values: Tensor, known: Tensor) -> float:
    return float((values * known).sum() / known.sum().clamp_min(1.0))


def _spread(values: Tensor, known: Tensor) -> float:
    mean = (values * known).sum() / known.sum().clamp_min(1.0)
    return float(torch.sqrt(((values - mean).square() * known).sum() / known.sum().clamp_min(1.0)))


def _log(evidence: Evidence, mss: Tensor, pe: Tensor) -> dict[str, float]:
    """Shares of the compared frames in each case, the spread of the weights and their mean per case."""
    share = evidence.cases() * evidence.compared[..., None]
    total = share.sum(dim=(0, 1))
    values = {f"case{n + 1}": float(x) for n, x in enumerate(total / evidence.compared.sum().clamp_min(1.0))}
    values["omega_mss_spread"] = _spread(mss, evidence.sources_known)
    values["omega_pe_spread"] = _spread(pe, evidence.pitch_known)
    for name, weights in (("omega_mss", mss), ("omega_pe", pe)):
        means = (share * weights[..., None]).sum(dim=(0, 1)) / total.clamp_min(1e-8)
        values |= {f"{name}_case{n + 1}": float(x) for n, x in enumerate(means) if total[n] > 0}
    return values
