"""Exponential moving average of weights and batch-norm statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def exponential_average(model: nn.Module, decay: float) -> AveragedModel:
    """An averaged copy of ``model``. The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that the
    random start is forgotten early and short runs have a meaningful average."""

    @torch.no_grad()
    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        n = float(count)
        weight = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, weight)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
