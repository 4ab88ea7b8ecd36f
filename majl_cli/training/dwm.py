"""The learned variant of DWHS: a dynamic weight module (DWM), a small network from what a frame shows to weights.

It is trained beside the joint model on omega * loss - log(omega), the form that uncertainty weighting gives a loss
(Kendall, Gal and Cipolla, "Multi-task learning using uncertainty", CVPR 2018): omega -> 0 costs without bound, so
switching a sample off is never the optimum. Losses enter divided by their mean, so the objective does not care for
their scale. Letters: B batch, N frames.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from majl_cli.training.dwhs import Evidence, Gather, Weighting, WeightingConfig, alone

HIGHEST_LOSS = 10.0  # times the mean: what a single frame can pull
WIDTH = 16


class WeightNetwork(nn.Module):
    """Features (..., 6) to two log-weights (..., 2) within +-``bound``; all weights 1 at the start."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.hidden = nn.Linear(6, WIDTH)
        self.out = nn.Linear(WIDTH, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        # Bounded by a tangent: no learning rate can carry a weight to 0 or beyond the bound.
        return self.bound * torch.tanh(self.out(torch.tanh(self.hidden(features))) / self.bound)


class DynamicWeights(Weighting):
    """Weights from a :class:`WeightNetwork`; every call in training also takes one step of its own optimiser."""

    def __init__(self, config: WeightingConfig, *, device: torch.device, gather: Gather = alone) -> None:
        super().__init__(config, gather=gather)
        self.network = WeightNetwork(math.log(config.highest)).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)

    def raw(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """The network's weights (B, N), after a step on this evidence (of all processes: they stay equal)."""
        names = [field.name for field in dataclasses.fields(Evidence)]
        everything = Evidence(**{name: self.gather(getattr(evidence, name)) for name in names})
        scales = [
            _mean(everything.separation_loss, everything.sources_known).clamp_min(1e-8),
            _mean(everything.pitch_loss, everything.pitch_known).clamp_min(1e-8),
        ]
        with torch.enable_grad():
            self._step(everything, scales)
        with torch.no_grad():
            weights = self.network(_features(evidence, scales)).exp()
        return weights[..., 0], weights[..., 1]

    def _step(self, evidence: Evidence, scales: list[Tensor]) -> None:
        log_weights = self.network(_features(evidence, scales))
        losses = (evidence.separation_loss, evidence.pitch_loss)
        objective = log_weights.new_zeros(())
        for n, known in enumerate((evidence.sources_known, evidence.pitch_known)):
            relative = (losses[n] / scales[n]).clamp(0.0, HIGHEST_LOSS)
            objective = objective + _mean(log_weights[..., n].exp() * relative - log_weights[..., n], known)
        self.optimizer.zero_grad()
        objective.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self.network.load_state_dict(values["network"])
        self.optimizer.load_state_dict(values["optimizer"])
        for group in self.optimizer.param_groups:  # that of this run's configuration
            group["lr"] = self.config.learning_rate


def _features(evidence: Evidence, scales: list[Tensor]) -> Tensor:
    """(B, N, 6): both rightnesses, voicing, confidence, and either loss on a logarithmic scale around its mean; 0 where
    a label is missing."""
    compared = evidence.compared
    columns = [evidence.predicted * compared, evidence.target * compared, evidence.voiced, evidence.confidence]
    losses = (evidence.separation_loss, evidence.pitch_loss)
    for loss, scale, known in zip(losses, scales, (evidence.sources_known, evidence.pitch_known), strict=True):
        columns.append(torch.log((loss / scale).clamp(0.01, HIGHEST_LOSS)) * known)
    return torch.stack(columns, dim=-1)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known > 0, values, torch.zeros_like(values)).sum() / known.sum().clamp_min(1.0)
