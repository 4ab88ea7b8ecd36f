"""Losses per frame, before any weighting.

Order of operations everywhere: mask what has no label, weight by omega, then mean over what is left. A frame
without a pitch label therefore has exactly zero pitch gradient, and one without sources no separation gradient.

Letters: B batch, S sources, C channels, T samples, N frames, K pitch bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.convert import REFERENCE_HZ, PitchGrid

USUAL_CENTS_PER_BIN = 20.0


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """``omega_mss`` and ``omega_pe`` weigh the two tasks; the separation loss is ``waveform_weight`` times L1 on the
    waveform plus ``stft_weight`` times L1 on STFT magnitudes, averaged over ``stft_sizes`` (hop a quarter), both
    divided by the mixture's mean level so that soft examples count; ``pitch_sigma_cents`` blurs the pitch targets.
    ``clean_pitch`` times omega_pe weighs the pitch loss on the *target* source, which the cascade alone never hears (0:
    it does not, as in the paper)."""

    omega_mss: float = 1.0
    omega_pe: float = 0.02
    waveform_weight: float = 1.0
    stft_weight: float = 0.5
    stft_sizes: tuple[int, ...] = (2048, 512)
    pitch_sigma_cents: float = 25.0
    clean_pitch: float = 0.0


def separation_loss(
    estimate: Tensor,
    reference: Tensor,
    mixture: Tensor,
    bandwidth: Tensor,
    sample_rate: int,
    config: LossConfig,
    *,
    frames: int,
) -> Tensor:
    """Loss (B, N) of the target and, through mixture - target, of the accompaniment; all audio (B, C, T).

    The segment is cut into N = ``frames`` pieces; the mean over them is the segment's loss. ``bandwidth`` (B,) in Hz:
    above it the labels of an example are unknown (a band-limited recording), so neither waveform nor spectrum
    is compared there.
    """
    level = mixture.abs().mean(dim=(1, 2)) + 1e-4
    # The accompaniment's waveform error is the target's with the sign turned: counted once.
    error = _band_limit(estimate - reference, bandwidth, sample_rate)
    loss = config.waveform_weight * _pieces(error.abs().mean(dim=1), frames) / level[:, None]
    if not config.stft_weight:
        return loss
    for n_fft in config.stft_sizes:
        # The STFT is linear: the accompaniment's spectra are differences of these three.
        estimated, true, whole = (_stft(x, n_fft) for x in (estimate, reference, mixture))
        known = _bins_below(bandwidth, n_fft, sample_rate)
        scale = (_magnitude(whole) * known).mean(dim=(1, 2, 3)) + 1e-4
        difference = (_magnitude(estimated) - _magnitude(true)).abs()
        difference = difference + (_magnitude(whole - estimated) - _magnitude(whole - true)).abs()
        difference = _pieces((difference * known).mean(dim=(1, 2)) / 2, frames)
        loss = loss + config.stft_weight * difference / scale[:, None] / len(config.stft_sizes)
    return loss


def pitch_targets(f0: Tensor, grid: PitchGrid, sigma_cents: float) -> Tensor:
    """Gaussian targets (B, N, K) around f0 (B, N) in Hz; all zero where f0 is 0 (unvoiced)."""
    voiced = f0 > 0
    cents = 1200.0 * torch.log2(torch.where(voiced, f0, torch.full_like(f0, REFERENCE_HZ)) / REFERENCE_HZ)
    bins = torch.as_tensor(grid.cents, dtype=torch.float32, device=f0.device)
    targets = torch.exp(-0.5 * ((cents[..., None] - bins) / sigma_cents) ** 2)
    return targets * voiced[..., None]


def pitch_loss(logits: Tensor, f0: Tensor, grid: PitchGrid, sigma_cents: float = 25.0) -> Tensor:
    """Binary cross-entropy summed over the bins of each frame: (B, N, K) and (B, N) Hz to (B, N).

    As if bins lay 20 cents apart: a finer grid has more bins under the same target, and must not weigh more.
    """
    targets = pitch_targets(f0, grid, sigma_cents)
    loss = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").sum(dim=-1)
    return loss * (grid.cents_per_bin / USUAL_CENTS_PER_BIN)


def weighted_sum(values: Tensor, known: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """Sum of weights * values over the elements where ``known`` is not 0; the others have no gradient at all."""
    kept = torch.where(known > 0, values, torch.zeros_like(values))
    return (kept * weights * known).sum()


def _pieces(values: Tensor, count: int) -> Tensor:
    """Means (B, count) of ``count`` pieces of (B, n), nearly equal and without gaps."""
    # On MPS adaptive pooling wants lengths that divide; there, interpolation comes near enough.
    if values.device.type == "mps" and values.shape[1] % count:
        return functional.interpolate(values[:, None], count, mode="linear", align_corners=False)[:, 0]
    return functional.adaptive_avg_pool1d(values[:, None], count)[:, 0]


def _band_limit(audio: Tensor, bandwidth: Tensor, sample_rate: int) -> Tensor:
    """(B, C, T) with everything above each example's bandwidth removed; unlimited batches pass untouched."""
    if bool((bandwidth >= sample_rate / 2).all()):
        return audio
    samples = audio.shape[-1]
    spectrum = torch.fft.rfft(audio.float())
    frequencies = torch.fft.rfftfreq(samples, 1.0 / sample_rate, device=audio.device)
    keep = (frequencies[None] <= bandwidth[:, None]).to(spectrum.real.dtype)
    return torch.fft.irfft(spectrum * keep[:, None], n=samples)


def _bins_below(bandwidth: Tensor, n_fft: int, sample_rate: int) -> Tensor:
    """1 for STFT bins up to each example's bandwidth, else 0; (B, 1, F, 1)."""
    frequencies = torch.fft.rfftfreq(n_fft, 1.0 / sample_rate, device=bandwidth.device)
    return (frequencies[None] <= bandwidth[:, None]).float()[:, None, :, None]


def _stft(audio: Tensor, n_fft: int) -> Tensor:
    """(B, C, T) to a complex spectrum (B, C, F, N); hop a quarter of the window."""
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(
        audio.flatten(0, 1), n_fft, n_fft // 4, window=window, pad_mode="constant", return_complex=True
    )
    return spectrum.view(*audio.shape[:2], *spectrum.shape[1:])


def _magnitude(spectrum: Tensor) -> Tensor:
    # abs() has no gradient at 0; the floor keeps that of the root finite in silence.
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-7)
