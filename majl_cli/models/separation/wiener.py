"""Multichannel Wiener filtering of spectrogram estimates by expectation-maximisation.

Nugraha, Liutkus and Vincent, "Multichannel audio source separation with deep neural networks" (TASLP 2016): stem s has
in frame n and bin f a zero-mean complex Gaussian across channels, of covariance v(n, f) R(f), power times a spatial
covariance. Both are measured on the present estimates, and the stems' posterior means given the mixture are the next
ones. The constants are those of the open-unmix package, whose estimates these are.

Letters: B batch, S stems, C channels, N frames, F bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

_POWER_FLOOR = 1e-10
# The variance of the noise which the mixture is taken to contain.
_NOISE = 1e-5
# The loudest bin is brought down to this magnitude, so that float32 has room for the determinants.
_LOUDEST = 10.0


def filter_estimates(estimates: Tensor, mixture: Tensor, *, iterations: int, frames: int) -> Tensor:
    """Complex estimates (B, S, C, N, F) of the mixture (B, C, N, F) to filtered ones, C 1 or 2.

    Excerpts of so many ``frames`` are filtered each on its own: a stem may move from one to the next.
    """
    parts = zip(estimates.split(frames, dim=3), mixture.split(frames, dim=2), strict=True)
    return torch.cat([_filter_excerpt(part, excerpt, iterations) for part, excerpt in parts], dim=3)


def _filter_excerpt(estimates: Tensor, mixture: Tensor, iterations: int) -> Tensor:
    scale = (mixture.abs().amax(dim=(1, 2, 3), keepdim=True) / _LOUDEST).clamp_min(1.0)
    mixture = mixture / scale
    estimates = estimates / scale[:, None]
    for _ in range(iterations):
        estimates = _posterior_mean(estimates, mixture)
    return estimates * scale[:, None]


def _posterior_mean(estimates: Tensor, mixture: Tensor) -> Tensor:
    """One iteration: v R applied to the inverse of the mixture's covariance times the mixture."""
    channels = range(estimates.shape[2])
    power = (estimates.real.square() + estimates.imag.square()).mean(dim=2)
    products = [(estimates * estimates[:, :, c : c + 1].conj()).sum(dim=3) for c in channels]
    # (B, S, C, C, 1, F)
    spatial = torch.stack(products, dim=3) / (power.sum(dim=2) + _POWER_FLOOR)[:, :, None, None]
    spatial = spatial[..., None, :]
    covariance = torch.zeros((), device=mixture.device)
    for of_stem, at in zip(spatial.unbind(dim=1), power.unbind(dim=1), strict=True):
        covariance = covariance + of_stem * at[:, None, None]
    white = _whitened(covariance, mixture)
    return power[:, :, None] * sum(spatial[:, :, :, c] * white[:, None, None, c] for c in channels)


def _whitened(covariance: Tensor, mixture: Tensor) -> Tensor:
    """The inverse of covariance (B, C, C, N, F) plus noise, times the mixture (B, C, N, F)."""
    first = covariance[:, 0, 0].real
    if mixture.shape[1] == 1:
        return mixture / (first + _NOISE)[:, None]
    second = covariance[:, 1, 1].real
    cross = covariance[:, 0, 1]
    # The noise is added last: where the channels are alike it is all that is left of the differences before it.
    determinant = (first * second - (cross.real.square() + cross.imag.square())).clamp_min(0.0)
    determinant = determinant + _NOISE * (first + second) + _NOISE**2
    left, right = mixture.unbind(dim=1)
    solved = torch.stack((second * left - cross * right, first * right - cross.conj() * left), dim=1)
    return (solved + _NOISE * mixture) / determinant[:, None]
