"""Several processes that together do what one process does with the whole batch."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class GlobalBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes, on any device (torch's SyncBatchNorm is for GPUs only).

    (B, C, ...) to the same shape. Backpropagation passes through the sums of the other processes too.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """It stands for batch norms of one, two and three dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        wide = x.float()
        number = _over_all(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
        mean = _over_all(wide.sum(dim=axes)) / number
        centred = wide - mean.view(shape)
        variance = _over_all(centred.square().sum(dim=axes)) / number
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * number / (number - 1), share)
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)


class _SumOverAll(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


def _over_all(values: Tensor) -> Tensor:
    return cast(Tensor, _SumOverAll.apply(values))


def share_batch_norms(model: nn.Module) -> None:
    """Make every batch norm of ``model`` see all processes. Its parameters and their names stay."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = GlobalBatchNorm


def gather(values: Tensor) -> Tensor:
    """(B, ...) of this process to (all B, ...) of all processes, in their order."""
    parts = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
