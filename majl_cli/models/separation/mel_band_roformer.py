"""Mel-band RoFormer: overlapping bands from a mel filter bank (Wang et al., arXiv 2310.01809).

Parameter names are those of the BS-RoFormer package, version 0.3, so that published checkpoints load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majl_cli.errors import ConfigError
from majl_cli.models.separation.roformer_layers import BandRoformer, RoformerConfig


@dataclass(frozen=True, kw_only=True)
class MelBandRoformerConfig(RoformerConfig):
    """``num_bands`` mel bands. The mask networks have ``mask_estimator_depth`` hidden layers."""

    num_bands: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        members = mel_bands(self.sample_rate, self.n_fft, self.num_bands)
        if not (members.any(axis=0).all() and members.any(axis=1).all()):
            raise ConfigError(
                f"mel-band-roformer: {self.num_bands} bands at n_fft {self.n_fft} leave bins or bands empty",
                "use fewer bands (60 at n_fft 2048)",
            )


def mel_edges(sample_rate: int, bands: int) -> NDArray[np.float64]:
    """(bands + 2,): frequencies in Hz at equal distances on Slaney's mel scale, from 0 to half the sample rate.

    The scale is linear up to 1000 Hz (15 mel) and logarithmic above, 27 mel for a factor of 6.4.
    """
    step = np.log(6.4) / 27.0
    highest = sample_rate / 2
    top = 15.0 + np.log(highest / 1000.0) / step if highest >= 1000.0 else highest * 0.015
    mels = np.linspace(0.0, top, bands + 2)
    hertz: NDArray[np.float64] = np.where(mels < 15.0, mels / 0.015, 1000.0 * np.exp(step * (mels - 15.0)))
    return hertz


def mel_bands(sample_rate: int, n_fft: int, bands: int) -> NDArray[np.bool_]:
    """(bands, bins): the bins strictly inside each triangle of a mel filter bank, and the first and last bin."""
    frequencies = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    edges = mel_edges(sample_rate, bands)[:, None]
    members: NDArray[np.bool_] = (frequencies > edges[:-2]) & (frequencies < edges[2:])
    members[0, 0] = members[-1, -1] = True
    return members


class MelBandRoformer(BandRoformer):
    """(B, C, T) to (B, S, C, T)."""

    gathered: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, config: MelBandRoformerConfig) -> None:
        members = mel_bands(config.sample_rate, config.n_fft, config.num_bands)
        bands = members.sum(axis=1).tolist()
        super().__init__(config, bands, hidden_layers=config.mask_estimator_depth, norm_output=True)
        # Triangles overlap by half, so that a bin lies in one band or in two: ``first`` and ``last`` say where among
        # the gathered bins (the same place twice if it is one).
        bins = np.nonzero(members)[1]
        places = [np.nonzero(bins == f)[0] for f in range(config.bins)]
        for name, indices in (("gathered", bins), ("first", [p[0] for p in places]), ("last", [p[-1] for p in places])):
            self.register_buffer(name, torch.as_tensor(np.asarray(indices)), persistent=False)

    def gather_bins(self, spectrum: Tensor) -> Tensor:
        return spectrum.index_select(2, self.gathered)

    def spread_masks(self, masks: Tensor) -> Tensor:
        return (masks.index_select(3, self.first) + masks.index_select(3, self.last)) / 2
