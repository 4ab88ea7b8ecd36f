"""Layers that Hybrid Demucs and Hybrid Transformer Demucs share, of their spectrogram and of their waveform U-Net.

Written from Défossez, "Hybrid spectrogram and waveform source separation" (MDX workshop at ISMIR 2021), and checked
against the numbers of the demucs package, whose parameter names are kept.

Letters: B batch, C channels, T samples or positions of a waveform layer, N frames, F bins.
"""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL, STRIDE = 8, 4
NORM_GROUPS = 4
EMBEDDING_SCALE, EMBEDDING_GAIN = 10.0, 0.2


class LayerScale(nn.Module):
    """A learned gain per channel, small at first (Touvron et al., ICCV 2021), of what is added to a residual path."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor, change: Tensor) -> Tensor:
        """x + gain * change, both (B, C, T)."""
        return torch.addcmul(x, change, self.scale[:, None])


class WindowedLSTM(nn.Module):
    """x + a bidirectional LSTM over time; a long input is cut into half overlapping windows. (B, C, T)."""

    width = 200

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=2, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        positions = x.shape[-1]
        if positions <= self.width:
            return x + self._run(x)
        step = self.width // 2
        count = -(-positions // step)
        padded = functional.pad(x, (0, (count + 1) * step - positions))
        windows = padded.unfold(-1, self.width, step).transpose(1, 2)
        y = self._run(windows.flatten(0, 1)).unflatten(0, (-1, count))
        edge = step // 2
        middle = y[..., edge:-edge].transpose(1, 2).flatten(2)
        whole = torch.cat((y[:, 0, :, :edge], middle, y[:, -1, :, -edge:]), dim=-1)
        return x + whole[..., :positions]

    def _run(self, x: Tensor) -> Tensor:
        return self.linear(self.lstm(x.permute(2, 0, 1))[0]).permute(1, 2, 0)


class LocalAttention(nn.Module):
    """x + attention over time, with a penalty that grows with distance at a slope each query chooses. (B, C, T)."""

    heads, decays = 4, 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, self.heads * self.decays, 1)
        self.proj = nn.Conv1d(channels, channels, 1)
        # Almost no penalty at first: the attention begins with a wide view.
        nn.init.constant_(self.query_decay.bias, -2.0)  # type: ignore[arg-type]
        with torch.no_grad():
            self.query_decay.weight.mul_(0.01)

    def forward(self, x: Tensor) -> Tensor:
        query, key, content = (
            layer(x).unflatten(1, (self.heads, -1)) for layer in (self.query, self.key, self.content)
        )
        rates = torch.arange(1, self.decays + 1, device=x.device) / (2 * math.sqrt(self.decays))
        openness = torch.sigmoid(self.query_decay(x)).unflatten(1, (self.heads, self.decays))
        slope = torch.einsum("bhdt,d->bht", openness, rates.to(openness.dtype))
        positions = torch.arange(x.shape[-1], device=x.device)
        penalty = -(positions[:, None] - positions).abs() * slope[..., None]
        # No position attends to itself, unless it is the only one.
        penalty.diagonal(dim1=-2, dim2=-1).fill_(-100.0)
        result = functional.scaled_dot_product_attention(
            query.transpose(2, 3), key.transpose(2, 3), content.transpose(2, 3), attn_mask=penalty.to(query.dtype)
        )
        return x + self.proj(result.transpose(2, 3).flatten(1, 2))


class Pointwise(nn.Conv1d):
    """A convolution of kernel 1 as a batched product: much faster than the general one for many short, narrow rows."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, C', T)."""
        bias = typing.cast(Tensor, self.bias)[:, None]
        return torch.baddbmm(bias, self.weight[:, :, 0].expand(len(x), -1, -1), x)


class ResidualUnit(nn.Sequential):
    """x + a dilated convolution into ``hidden`` channels and back through a gate, scaled. (B, C, T).

    ``recurrent``: with an LSTM and local attention in between.
    """

    def __init__(
        self, channels: int, hidden: int, *, dilation: int, initial_scale: float, recurrent: bool = False
    ) -> None:
        super().__init__(
            nn.Conv1d(channels, hidden, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(1, hidden),
            nn.GELU(),
            *([WindowedLSTM(hidden), LocalAttention(hidden)] if recurrent else []),
            Pointwise(hidden, 2 * channels),
            nn.GroupNorm(1, 2 * channels),
            nn.GLU(dim=1),
            LayerScale(channels, initial_scale),
        )

    def forward(self, x: Tensor) -> Tensor:
        *layers, scale = self
        change = x
        for layer in layers:
            change = layer(change)
        return scale(x, change)


class ResidualBranch(nn.Module):
    """Two residual units over time; (B, C, T) or (B, C, F, N), whose bins are as separate as examples are."""

    def __init__(self, channels: int, *, compress: int, initial_scale: float, recurrent: bool = False) -> None:
        super().__init__()
        hidden = channels // compress
        self.layers = nn.Sequential(
            *(
                ResidualUnit(channels, hidden, dilation=dilation, initial_scale=initial_scale, recurrent=recurrent)
                for dilation in (1, 2)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return self.layers(x)
        y = self.layers(x.transpose(1, 2).flatten(0, 1))
        return y.unflatten(0, (len(x), -1)).transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """Sizes of one level: ``inner`` channels inside, strided along frequency or along time.

    ``outer_in`` channels come into the encoder's layer, ``outer_out`` leave the decoder's. ``compress``: how much
    narrower the residual branch is. ``whole``: the kernel covers all bins that are left. ``bare``: nothing but the
    strided convolution, where the waveform's U-Net joins the other. ``deep`` levels have group norms, and an LSTM and
    attention in their branch.
    """

    outer_in: int
    outer_out: int
    inner: int
    frequency: bool
    compress: int
    branch_scale: float
    decoder_branch: bool = False
    kernel: int = KERNEL
    stride: int = STRIDE
    whole: bool = False
    bare: bool = False
    deep: bool = False

    @property
    def padding(self) -> int:
        return 0 if self.whole else self.kernel // 4

    def norm(self, channels: int) -> nn.Module:
        return nn.GroupNorm(NORM_GROUPS, channels) if self.deep else nn.Identity()

    def branch(self) -> ResidualBranch:
        return ResidualBranch(self.inner, compress=self.compress, initial_scale=self.branch_scale, recurrent=self.deep)


class EncoderLayer(nn.Module):
    """Strided convolution, residual branch, gated 1x1 convolution."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.inner
        if shape.frequency:
            self.conv: nn.Module = nn.Conv2d(
                shape.outer_in, inner, (shape.kernel, 1), (shape.stride, 1), (shape.padding, 0)
            )
        else:
            self.conv = nn.Conv1d(shape.outer_in, inner, shape.kernel, shape.stride, shape.padding)
        if shape.bare:
            return
        self.norm1 = shape.norm(inner)
        self.dconv = shape.branch()
        self.rewrite = (nn.Conv2d if shape.frequency else nn.Conv1d)(inner, 2 * inner, 1)
        self.norm2 = shape.norm(2 * inner)

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """(B, C, F, N) or (B, C, T), F or T divided by the stride; ``inject`` (B, C', N) joins after the stride."""
        if not self.shape.frequency:
            x = x.flatten(1, -2)
            x = functional.pad(x, (0, -x.shape[-1] % self.shape.stride))
        x = self.conv(x)
        if self.shape.bare:
            return x
        if inject is not None:
            x = x + inject[:, :, None]
        x = self.dconv(functional.gelu(self.norm1(x)))
        return functional.glu(self.norm2(self.rewrite(x)), dim=1)


class DecoderLayer(nn.Module):
    """Gated convolution with its neighbours, residual branch, transposed convolution. ``last``: no activation."""

    def __init__(self, shape: LayerShape, *, last: bool) -> None:
        super().__init__()
        self.shape = shape
        self.last = last
        inner = shape.inner
        if shape.frequency:
            self.conv_tr: nn.Module = nn.ConvTranspose2d(
                inner, shape.outer_out, (shape.kernel, 1), (shape.stride, 1), (shape.padding, 0)
            )
        else:
            self.conv_tr = nn.ConvTranspose1d(inner, shape.outer_out, shape.kernel, shape.stride)
        self.norm2 = shape.norm(shape.outer_out)
        if shape.bare:
            return
        self.rewrite = (nn.Conv2d if shape.frequency else nn.Conv1d)(inner, 2 * inner, 3, padding=1)
        self.norm1 = shape.norm(2 * inner)
        self.dconv = shape.branch() if shape.decoder_branch else nn.Identity()

    def forward(self, x: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """The input with its skip added, to ``length`` positions for the next layer; and what was inside."""
        inside = x
        if not self.shape.bare:
            inside = self.dconv(functional.glu(self.norm1(self.rewrite(x)), dim=1))
        y = self.norm2(self.conv_tr(inside))
        if not self.shape.frequency:
            y = y[..., self.shape.padding : self.shape.padding + length]
        return y if self.last else functional.gelu(y), inside


class FrequencyEmbedding(nn.Module):
    """A learned vector per bin, so that convolutions along frequency may differ from bin to bin; smooth at first."""

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, channels)
        counts = torch.arange(1, bins + 1)[:, None]
        with torch.no_grad():
            self.embedding.weight.copy_(self.embedding.weight.cumsum(dim=0) / counts.sqrt() / EMBEDDING_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, N) to the same shape."""
        return x + (EMBEDDING_GAIN * EMBEDDING_SCALE) * self.embedding.weight.t()[..., None]
