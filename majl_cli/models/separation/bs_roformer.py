"""BS-RoFormer: bands of neighbouring bins that do not overlap (Lu et al., arXiv 2309.02612).

Parameter names are those of the BS-RoFormer package, version 0.3, so that published checkpoints load.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from majl_cli.errors import ConfigError
from majl_cli.models.separation.roformer_layers import BandRoformer, RMSNorm, RoformerConfig

BANDS = (*(2,) * 24, *(4,) * 12, *(12,) * 8, *(24,) * 8, *(48,) * 8, 128, 129)


@dataclass(frozen=True, kw_only=True)
class BSRoformerConfig(RoformerConfig):
    """``bands``: bins in each, from 0 Hz up. The mask networks have ``mask_estimator_depth`` - 1 hidden layers."""

    dim: int = 512
    depth: int = 12
    bands: tuple[int, ...] = BANDS

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.bands, default=0) < 1 or sum(self.bands) != self.bins:
            raise ConfigError(
                f"bs-roformer: bands of {sum(self.bands)} bins in all, n_fft {self.n_fft} gives {self.bins}",
                f"give bands of 1 bin or more that add up to {self.bins}",
            )


class BSRoformer(BandRoformer):
    """(B, C, T) to (B, S, C, T)."""

    def __init__(self, config: BSRoformerConfig) -> None:
        super().__init__(config, config.bands, hidden_layers=config.mask_estimator_depth - 1, norm_output=False)
        self.final_norm = RMSNorm(config.dim)

    def gather_bins(self, spectrum: Tensor) -> Tensor:
        return spectrum

    def spread_masks(self, masks: Tensor) -> Tensor:
        return masks

    def normalise(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.final_norm(features)
        return normalised
