"""Building blocks shared by the convolutional architectures.

Feature maps are (B, C, N, F): batch, channels, frames, frequency; stored channels-last, which is what makes
bfloat16 convolutions fast on CPUs. Batch norm is used because it folds into the convolutions at inference.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU. ``kernel`` and ``stride`` are (frames, frequency)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2) if stride == (1, 1) else (0, 0)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class FrequencyLinear(nn.Module):
    """A bottleneck across the whole frequency axis, the same for every channel and frame.

    The "TDF" block of Choi et al., "Investigating U-Nets with various intermediate blocks" (ISMIR 2020):
    it relates harmonics that lie too far apart for a 3x3 kernel. (B, C, N, F) to the same shape.
    """

    def __init__(self, channels: int, bins: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(bottleneck, bins) / bins**0.5)
        self.up = nn.Parameter(torch.randn(bins, bottleneck) / bottleneck**0.5)
        self.norm_down = nn.BatchNorm2d(channels)
        self.norm_up = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm_down(self._across(self.down, x)))
        return torch.relu(self.norm_up(self._across(self.up, x)))

    @staticmethod
    def _across(weight: Tensor, x: Tensor) -> Tensor:
        # In channels-last memory (B, N, F, C) is contiguous, so this is one batched product without a copy.
        return torch.matmul(weight, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, then + a frequency-wise linear bottleneck. Shape is kept."""

    def __init__(self, channels: int, bins: int, bottleneck: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(ConvNorm(channels, channels), ConvNorm(channels, channels))
        self.across_frequency = FrequencyLinear(channels, bins, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.convolutions(x)
        return x + self.across_frequency(x)


def patchify(x: Tensor, frames: int, bins: int) -> Tensor:
    """(B, C, N, F) to (B, C * frames * bins, N / frames, F / bins): neighbours become channels."""
    batch, channels, n, f = x.shape
    x = x.reshape(batch, channels, n // frames, frames, f // bins, bins)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(batch, channels * frames * bins, n // frames, f // bins)


def unpatchify(x: Tensor, frames: int, bins: int) -> Tensor:
    """The inverse of :func:`patchify`."""
    batch, channels, n, f = x.shape
    channels //= frames * bins
    x = x.reshape(batch, channels, frames, bins, n, f).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels, n * frames, f * bins)


def patch_convolution(x: Tensor, convolution: nn.Conv2d, frames: int, bins: int) -> Tensor:
    """``convolution(patchify(x, frames, bins))`` as one strided convolution, which spares moving everything first.

    The convolution's kernel is odd and its padding half of that, in patches.
    """
    width, _, high, wide = convolution.weight.shape
    weight = convolution.weight.view(width, x.shape[1], frames, bins, high, wide)
    weight = weight.permute(0, 1, 4, 2, 5, 3).reshape(width, x.shape[1], high * frames, wide * bins)
    return functional.conv2d(
        x.contiguous(memory_format=torch.channels_last),
        weight.contiguous(memory_format=torch.channels_last),
        convolution.bias,
        stride=(frames, bins),
        padding=(high // 2 * frames, wide // 2 * bins),
    )


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution in a Sequential into it: for inference alone, in place.

    A batch norm in evaluation is one factor and one summand per channel (Jacob et al., CVPR 2018, section 3.2), and
    reads all features once more.
    """
    for part in module.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for number in range(len(part) - 1):
            layer, norm = part[number], part[number + 1]
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                part[number] = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
                part[number + 1] = nn.Identity()
