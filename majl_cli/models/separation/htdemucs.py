"""Hybrid Transformer Demucs: two U-Nets joined by a transformer whose layers attend within and across the domains.

Rouard, Massa, Défossez, "Hybrid transformers for music source separation" (ICASSP 2023). Loads what the demucs
package publishes (``htdemucs``, ``htdemucs_ft``, ``htdemucs_6s``), whose parameter names are kept.

Letters: B batch, S stems, C channels, T samples or positions of the waveform's features, N frames, F bins, L positions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.errors import ConfigError
from majl_cli.models.separation.demucs_layers import KERNEL, STRIDE, LayerScale, LayerShape
from majl_cli.models.separation.hybrid_unets import HybridUNets

BRANCH_SCALE, TRANSFORMER_SCALE = 1e-3, 1e-4
LONGEST_PERIOD = 10000.0


@dataclass(frozen=True, kw_only=True)
class HTDemucsConfig:
    """Sizes, by default those of ``htdemucs``.

    ``width`` channels at the outermost of ``depth`` levels, twice as many at each further one; the transformer has
    ``transformer_width`` channels (0: as many as the innermost level); ``compress`` says how much narrower the
    residual branches are, ``decoder_branches`` whether decoders have them too. ``segment``: in evaluation, shorter
    input is filled up with zeros to that many seconds, the only length the published models have seen.
    """

    sample_rate: int = 44100
    channels: int = 2
    stems: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    n_fft: int = 4096
    width: int = 48
    depth: int = 4
    compress: int = 8
    decoder_branches: bool = True
    transformer_width: int = 512
    transformer_layers: int = 5
    heads: int = 8
    dropout: float = 0.0
    segment: float = 7.8

    def __post_init__(self) -> None:
        bins = self.n_fft // 2
        if bins % STRIDE**self.depth or bins // STRIDE ** (self.depth - 1) <= KERNEL:
            raise ConfigError(
                f"htdemucs: {self.depth} levels do not fit n_fft {self.n_fft}", "use n_fft 4096 with depth 4"
            )
        if self.attended_width % 4 or self.attended_width % self.heads:
            raise ConfigError(
                f"htdemucs: {self.heads} heads cannot share {self.attended_width} channels",
                "use a transformer_width that is a multiple of the heads and of 4",
            )

    @property
    def innermost_width(self) -> int:
        return self.width * 2 ** (self.depth - 1)

    @property
    def attended_width(self) -> int:
        return self.transformer_width or self.innermost_width


def _sinusoids(positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Sines and cosines, each (L, K), of L positions at K frequencies in radians per position."""
    phase = positions[:, None] * frequencies
    return phase.sin(), phase.cos()


def _waveform_positions(count: int, width: int, device: torch.device) -> Tensor:
    """(L, C): all cosines, then all sines."""
    half = width // 2
    exponents = torch.arange(half, device=device) / (half - 1)
    sine, cosine = _sinusoids(torch.arange(count, device=device), LONGEST_PERIOD**-exponents)
    return torch.cat((cosine, sine), dim=-1)


def _spectrogram_positions(frames: int, bins: int, width: int, device: torch.device) -> Tensor:
    """(N, F, C): half the channels tell the frame, half the bin; sines and cosines take turns."""
    half = width // 2
    frequencies = LONGEST_PERIOD ** -(torch.arange(0, half, 2, device=device) / half)
    along_time, along_frequency = (
        torch.stack(_sinusoids(torch.arange(count, device=device), frequencies), dim=-1).flatten(1)
        for count in (frames, bins)
    )
    shape = (frames, bins, half)
    return torch.cat((along_time[:, None].expand(shape), along_frequency.expand(shape)), dim=-1)


class Attention(nn.Module):
    """Multi-head attention of (B, L, C) to itself or to another sequence."""

    def __init__(self, config: HTDemucsConfig) -> None:
        super().__init__()
        width = config.attended_width
        self.heads, self.dropout = config.heads, config.dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        width = x.shape[-1]
        if other is None:
            parts = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            query = functional.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width])
            memory = functional.linear(other, self.in_proj_weight[width:], self.in_proj_bias[width:])
            parts = (query, *memory.chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        dropout = self.dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """x + attention, x + two linear layers, each normed before and scaled after; then a norm over all positions.

    ``crosses``: the attention is to the other domain.
    """

    def __init__(self, config: HTDemucsConfig, *, crosses: bool) -> None:
        super().__init__()
        width = config.attended_width
        self.crosses = crosses
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        if crosses:
            self.cross_attn = Attention(config)
            self.norm3 = nn.LayerNorm(width)
        else:
            self.self_attn = Attention(config)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.gamma_1 = LayerScale(width, TRANSFORMER_SCALE)
        self.gamma_2 = LayerScale(width, TRANSFORMER_SCALE)
        self.norm_out = nn.GroupNorm(1, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """(B, L, C) and the other domain's (B, L', C) to (B, L, C)."""
        if self.crosses:
            attended, norm = self.cross_attn(self.norm1(x), self.norm2(other)), self.norm3
        else:
            attended, norm = self.self_attn(self.norm1(x)), self.norm2
        x = torch.addcmul(x, self.dropout(attended), self.gamma_1.scale)
        hidden = self.dropout(functional.gelu(self.linear1(norm(x))))
        x = torch.addcmul(x, self.dropout(self.linear2(hidden)), self.gamma_2.scale)
        flat = functional.layer_norm(x, x.shape[1:], eps=self.norm_out.eps)
        return torch.addcmul(self.norm_out.bias, flat, self.norm_out.weight)


class CrossTransformer(nn.Module):
    """(B, C, F, N) and (B, C, T) to the same shapes; even layers attend within a domain, odd ones across."""

    def __init__(self, config: HTDemucsConfig) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(config.attended_width)
        self.norm_in_t = nn.LayerNorm(config.attended_width)
        crossing = [level % 2 == 1 for level in range(config.transformer_layers)]
        self.layers = nn.ModuleList(TransformerLayer(config, crosses=crosses) for crosses in crossing)
        self.layers_t = nn.ModuleList(TransformerLayer(config, crosses=crosses) for crosses in crossing)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        _, width, bins, frames = x.shape
        positions = _spectrogram_positions(frames, bins, width, x.device).flatten(0, 1)
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + positions
        y = self.norm_in_t(y.transpose(1, 2)) + _waveform_positions(y.shape[-1], width, y.device)
        for layer, waveform_layer in zip(self.layers, self.layers_t, strict=True):
            x, y = layer(x, y), waveform_layer(y, x)
        return x.unflatten(1, (frames, bins)).permute(0, 3, 2, 1), y.transpose(1, 2)


def _levels(config: HTDemucsConfig) -> tuple[list[LayerShape], list[LayerShape]]:
    """Of the spectrogram's and of the waveform's U-Net, outermost first."""
    spectrogram, waveform = [], []
    outer_in, outer_out = config.channels, len(config.stems) * config.channels
    for level in range(config.depth):
        parts = 2 if level == 0 else 1
        shape = LayerShape(
            outer_in=outer_in,
            outer_out=outer_out,
            inner=config.width * 2**level,
            compress=config.compress,
            branch_scale=BRANCH_SCALE,
            decoder_branch=config.decoder_branches,
            frequency=False,
        )
        waveform.append(shape)
        spectrogram.append(replace(shape, frequency=True, outer_in=parts * outer_in, outer_out=parts * outer_out))
        outer_in = outer_out = shape.inner
    return spectrogram, waveform


class HTDemucs(HybridUNets):
    """(B, C, T) to (B, S, C, T). Edges are mirrored; levels and silence as ``HybridUNets`` says.

    In evaluation, input shorter than the segment is filled up with zeros and so judged; longer input is taken as it is.
    """

    def __init__(self, config: HTDemucsConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.channels = config.channels
        self.stems = config.stems
        self.segment = config.segment
        self.context = None
        self._build(config.n_fft, *_levels(config))
        inner, width = config.innermost_width, config.transformer_width
        if width:
            self.channel_upsampler = nn.Conv1d(inner, width, 1)
            self.channel_downsampler = nn.Conv1d(width, inner, 1)
            self.channel_upsampler_t = nn.Conv1d(inner, width, 1)
            self.channel_downsampler_t = nn.Conv1d(width, inner, 1)
        self.crosstransformer = CrossTransformer(config)

    def _padded(self, mixture: Tensor) -> Tensor:
        missing = round(self.segment * self.sample_rate) - mixture.shape[-1]
        return mixture if self.training else functional.pad(mixture, (0, max(0, missing)))

    def _between(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.config.transformer_width:
            return self.crosstransformer(x, y)
        bins = x.shape[2]
        x = self.channel_upsampler(x.flatten(2)).unflatten(2, (bins, -1))
        x, y = self.crosstransformer(x, self.channel_upsampler_t(y))
        x = self.channel_downsampler(x.flatten(2)).unflatten(2, (bins, -1))
        return x, self.channel_downsampler_t(y)


# What the reference class calls our options; the stems, the segment and the decoders' branches are converted below.
_OPTIONS = {
    "samplerate": "sample_rate",
    "audio_channels": "channels",
    "nfft": "n_fft",
    "channels": "width",
    "depth": "depth",
    "dconv_comp": "compress",
    "bottom_channels": "transformer_width",
    "t_layers": "transformer_layers",
    "t_heads": "heads",
    "t_dropout": "dropout",
}
# What it can vary and no published model does: the values that the network above amounts to.
_FIXED = {
    "channels_time": None,
    "growth": 2,
    "wiener_iters": 0,
    "end_iters": 0,
    "cac": True,
    "rewrite": True,
    "multi_freqs": None,
    "freq_emb": 0.2,
    "emb_scale": 10,
    "kernel_size": 8,
    "stride": 4,
    "context": 1,
    "context_enc": 0,
    "norm_starts": 4,
    "dconv_depth": 2,
    "t_emb": "sin",
    "t_hidden_scale": 4.0,
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_max_period": 10000.0,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_weight_pos_embed": 1.0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_cross_first": False,
    "use_train_segment": True,
}
# What only training uses, and what speaks of variants that are off.
_WITHOUT_EFFECT = {
    "wiener_residual",
    "multi_freqs_depth",
    "emb_smooth",
    "time_stride",
    "norm_groups",
    "dconv_init",
    "rescale",
    "t_weight_decay",
    "t_lr",
    "t_max_positions",
    "t_sin_random_shift",
    "t_cape_mean_normalize",
    "t_cape_augment",
    "t_cape_glob_loc_scale",
    "t_mask_type",
    "t_mask_random_seed",
    "t_sparse_attn_window",
    "t_global_window",
    "t_sparsity",
    "t_auto_sparsity",
}
# Where a file is silent, the reference class's own defaults hold; these differ from ours.
_REFERENCE_DEFAULTS = {"bottom_channels": 0, "dconv_mode": 1, "segment": 10}


def options_from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of a published safetensors file to options of ``HTDemucsConfig``.

    ``klass`` is the reference's class, ``args`` and ``kwargs`` its arguments as JSON. Raises ConfigError for another
    class and for a variant of the network that this module is not.
    """
    try:
        class_name = metadata["klass"].rpartition(".")[2]
        positional = json.loads(metadata["args"])
        arguments = (
            _REFERENCE_DEFAULTS | dict(zip(("sources",), positional, strict=False)) | json.loads(metadata["kwargs"])
        )
        stems = arguments.pop("sources")
        if not (isinstance(stems, list) and all(isinstance(stem, str) for stem in stems)):
            raise TypeError(f"sources = {stems!r}")
        segment = _seconds(arguments.pop("segment"))
        branches = arguments.pop("dconv_mode")
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise ConfigError(
            f"htdemucs: not the metadata of a published file: {error!r}", "use a safetensors file of demucs 4.1"
        ) from error
    if class_name != "HTDemucs":
        raise ConfigError(f"htdemucs: the file holds a {class_name}", "use a file of class HTDemucs")
    if branches not in (1, 3):
        raise _unknown_variant("dconv_mode", branches)
    options = {"stems": tuple(stems), "segment": segment, "decoder_branches": branches == 3}
    for name, value in arguments.items():
        if name in _OPTIONS:
            options[_OPTIONS[name]] = value
        elif name in _FIXED:
            if value != _FIXED[name] and (value or _FIXED[name]):
                raise _unknown_variant(name, value)
        elif name not in _WITHOUT_EFFECT:
            raise _unknown_variant(name, value)
    return options


def _seconds(segment: Any) -> float:
    if isinstance(segment, dict):
        return float(Fraction(segment["numerator"], segment["denominator"]))
    return float(Fraction(segment))


def _unknown_variant(name: str, value: Any) -> ConfigError:
    return ConfigError(f"htdemucs: {name} = {value!r} is not supported", "use a file of htdemucs, htdemucs_ft or _6s")
