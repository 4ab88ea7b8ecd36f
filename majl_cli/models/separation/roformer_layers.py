"""What the two band-split RoFormers share: layers, and the way from audio to masked spectra and back.

Written from the papers (Lu et al., arXiv 2309.02612; Wang et al., arXiv 2310.01809) and checked number by number
against the BS-RoFormer package, version 0.3, whose parameter names published checkpoints use. The spectrum's bins are
gathered into bands, every band of every frame becomes one vector, transformers attend along time and along bands in
turn, and one small network per band and stem gives the complex masks.

Letters: B batch, S stems, C channels, T samples, N frames, F bins, K bands, D features, R rows of L vectors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.contracts import SeparationModule

Pairs = Iterable[tuple[nn.Module, nn.Module]]
ROTARY_BASE = 10000.0
# Vectors a transformer works on at a time in evaluation on a CPU: what is in flight then stays in its caches.
CPU_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class RoformerConfig:
    """Sizes both RoFormers have.

    ``dim`` features per band and frame; ``depth`` pairs of a transformer along time and one along bands, with
    ``heads`` of ``dim_head`` features and a hidden layer of ``ff_mult`` * dim; the mask networks' hidden layers have
    ``mlp_expansion`` * dim features. ``n_fft`` is the window's length too. ``dropout`` is for training only.
    """

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("vocals",)
    dim: int = 384
    depth: int = 6
    heads: int = 8
    dim_head: int = 64
    ff_mult: int = 4
    n_fft: int = 2048
    hop_length: int = 441
    mask_estimator_depth: int = 2
    mlp_expansion: int = 4
    dropout: float = 0.0
    segment: float = 8.0

    def __post_init__(self) -> None:
        if self.dim_head % 2:
            raise ConfigError(f"roformer: dim_head {self.dim_head} is odd", f"use {self.dim_head + 1}")
        if self.mask_estimator_depth < 1:
            raise ConfigError(f"roformer: mask_estimator_depth {self.mask_estimator_depth}", "use 1 or more")

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1


def rotary_frequencies(dim_head: int, device: torch.device) -> Tensor:
    """(dim_head / 2,): radians per position, as in Su et al. (RoFormer, arXiv 2104.09864)."""
    return 1.0 / ROTARY_BASE ** (torch.arange(0, dim_head, 2, device=device).float() / dim_head)


def rotary_table(length: int, dim_head: int, device: torch.device) -> Tensor:
    """(L, 1, dim_head / 2) complex: the rotations at positions 0 to L - 1."""
    positions = torch.arange(length, device=device).float()
    angles = torch.outer(positions, rotary_frequencies(dim_head, device))
    return torch.polar(torch.ones_like(angles), angles).unsqueeze(1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """(R, L, H, dim_head), each pair of neighbouring features turned by its angle in the table (L, 1, dim_head / 2)."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    """(..., D) to the same, each vector brought to the length sqrt(D), then scaled by ``gamma``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = dim**0.5
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * (self.scale / length.clamp_min(1e-12)) * self.gamma


class FeedForward(nn.Module):
    """(R, L, D) to the same."""

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        hidden = config.dim * config.ff_mult
        self.net = nn.Sequential(
            RMSNorm(config.dim),
            nn.Linear(config.dim, hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, config.dim),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x)
        return features


class Attention(nn.Module):
    """(R, L, D) to the same: rotary attention along L, each head's output scaled by a gate in [0, 1]."""

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        inner = config.heads * config.dim_head
        self.norm = RMSNorm(config.dim)
        self.to_qkv = nn.Linear(config.dim, 3 * inner, bias=False)
        self.to_gates = nn.Linear(config.dim, config.heads)
        self.to_out = nn.Sequential(nn.Linear(inner, config.dim, bias=False), nn.Dropout(config.dropout))

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = self.norm(x)
        query, key, value = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        out = functional.scaled_dot_product_attention(
            rotate(query, table).transpose(1, 2),
            rotate(key, table).transpose(1, 2),
            value.transpose(1, 2),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out = out.transpose(1, 2) * self.to_gates(x).sigmoid().unsqueeze(-1)
        features: Tensor = self.to_out(out.flatten(2))
        return features


class Transformer(nn.Module):
    """(R, L, D) to the same: attention, then a feed-forward network, each added to its input."""

    def __init__(self, config: RoformerConfig, *, norm_output: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleList([Attention(config), FeedForward(config)])])
        self.norm = RMSNorm(config.dim) if norm_output else nn.Identity()

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return self._transform(x, table)
        rows = max(1, CPU_BLOCK // x.shape[1])
        return torch.cat([self._transform(part, table) for part in x.split(rows)])

    def _transform(self, x: Tensor, table: Tensor) -> Tensor:
        for attention, feed_forward in cast(Pairs, self.layers):
            x = x + attention(x, table)
            x = x + feed_forward(x)
        features: Tensor = self.norm(x)
        return features


class BandSplit(nn.Module):
    """(B, N, sum of ``widths``) to (B, N, K, D): each band's values become one vector."""

    def __init__(self, dim: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.to_features = nn.ModuleList(nn.Sequential(RMSNorm(width), nn.Linear(width, dim)) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(x.split(self.widths, dim=-1), self.to_features, strict=True)
        return torch.stack([to_features(part) for part, to_features in parts], dim=2)


def _mask_network(dim: int, hidden: int, layers: int, width: int) -> nn.Sequential:
    sizes = [dim, *[hidden] * layers]
    blocks: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        blocks += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(nn.Sequential(*blocks, nn.Linear(sizes[-1], 2 * width)), nn.GLU(dim=-1))


class MaskEstimator(nn.Module):
    """(B, N, K, D) to (B, N, sum of ``widths``): one network with ``layers`` hidden layers per band."""

    def __init__(self, dim: int, hidden: int, layers: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.to_freqs = nn.ModuleList(_mask_network(dim, hidden, layers, width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        bands = zip(x.unbind(dim=2), self.to_freqs, strict=True)
        return torch.cat([to_mask(band) for band, to_mask in bands], dim=-1)


class BandRoformer(SeparationModule):
    """(B, C, T) to (B, S, C, T). Silence in gives silence out; edges are mirrored.

    An input of half a window or less is zero-padded to a window. The bin at 0 Hz is masked like every other; later
    versions of the reference may silence it instead. A child says how bins are gathered into bands and how the bands'
    masks are spread over the bins again.
    """

    window: Tensor

    def __init__(self, config: RoformerConfig, bands: Sequence[int], *, hidden_layers: int, norm_output: bool) -> None:
        """``bands``: the number of bins in each."""
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.context = None
        self.stride = config.hop_length
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        widths = [2 * config.channels * band for band in bands]
        self.band_split = BandSplit(config.dim, widths)
        self.layers = nn.ModuleList(
            nn.ModuleList(Transformer(config, norm_output=norm_output) for _ in range(2)) for _ in range(config.depth)
        )
        hidden = config.dim * config.mlp_expansion
        self.mask_estimators = nn.ModuleList(
            MaskEstimator(config.dim, hidden, hidden_layers, widths) for _ in config.stems
        )

    @abstractmethod
    def gather_bins(self, spectrum: Tensor) -> Tensor:
        """(B, N, F, C, 2) to (B, N, sum of the bands' bins, C, 2)."""

    @abstractmethod
    def spread_masks(self, masks: Tensor) -> Tensor:
        """(B, S, N, sum of the bands' bins, C, 2) to (B, S, N, F, C, 2)."""

    def normalise(self, features: Tensor) -> Tensor:
        """(B, N, K, D) after the last transformer; the default leaves them as they are."""
        return features

    def forward(self, mixture: Tensor) -> Tensor:
        samples = mixture.shape[-1]
        spectrum = self._stft(mixture.float())
        values = torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4)
        # Float32 whatever the layers compute in: residuals are added to it throughout.
        features = self.band_split(self.gather_bins(values).flatten(2)).float()
        features = self.normalise(self._transform(features))
        masks = torch.stack([estimator(features) for estimator in self.mask_estimators], dim=1).float()
        masks = self.spread_masks(masks.unflatten(-1, (-1, self.channels, 2)))
        complex_masks = torch.view_as_complex(masks.contiguous()).permute(0, 1, 4, 3, 2)
        return self._istft(complex_masks * spectrum.unsqueeze(1), samples)

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without the rotary frequencies, which the reference repeats in every layer; others than ours are kept."""
        frequencies = rotary_frequencies(self.config.dim_head, torch.device("cpu"))

        def ours(name: str, tensor: Tensor) -> bool:
            if not name.endswith(".rotary_embed.freqs") or tensor.shape != frequencies.shape:
                return False
            return torch.allclose(tensor.float().cpu(), frequencies, rtol=1e-2, atol=0.0)  # files in bfloat16 too

        return {name: tensor for name, tensor in weights.items() if not ours(name, tensor)}

    def _transform(self, x: Tensor) -> Tensor:
        """(B, N, K, D) to the same."""
        batch, frames, bands, _ = x.shape
        along_time = rotary_table(frames, self.config.dim_head, x.device)
        along_bands = along_time[:bands] if bands <= frames else rotary_table(bands, self.config.dim_head, x.device)
        for time, band in cast(Pairs, self.layers):
            x = time(x.transpose(1, 2).flatten(0, 1), along_time).unflatten(0, (batch, bands)).transpose(1, 2)
            x = band(x.flatten(0, 1), along_bands).unflatten(0, (batch, frames))
        return x

    def _stft(self, mixture: Tensor) -> Tensor:
        """(B, C, T) to (B, C, F, N); frame n is centred on n * hop."""
        config = self.config
        if mixture.shape[-1] <= config.n_fft // 2:  # too short to be mirrored
            mixture = functional.pad(mixture, (0, config.n_fft - mixture.shape[-1]))
        spectrum = torch.stft(
            mixture.flatten(0, 1), config.n_fft, config.hop_length, window=self.window, return_complex=True
        )
        return spectrum.unflatten(0, mixture.shape[:2])

    def _istft(self, spectrum: Tensor, samples: int) -> Tensor:
        """(B, S, C, F, N) to (B, S, C, T)."""
        config = self.config
        audio = torch.istft(spectrum.flatten(0, 2), config.n_fft, config.hop_length, window=self.window, length=samples)
        return audio.unflatten(0, spectrum.shape[:3])
