"""The centred STFT, with reflected edges (as several published networks have it) or zeros around, and its inverse.

Letters: C channels, T samples, N frames, F bins; further axes go before them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def reflected_stft(audio: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """(..., C, T) to complex (..., C, N, F), N = T // hop + 1; frame n is centred on n * hop, the FFT as long as the
    window. Where there is less input than half a window, which a reflection needs, zeros follow it."""
    n_fft = len(window)
    frames = audio.shape[-1] // hop_length + 1
    missing = n_fft // 2 + 1 - audio.shape[-1]
    padded = functional.pad(audio.float(), (0, max(0, missing)))
    flat = padded.reshape(-1, padded.shape[-1])
    spectrum = torch.stft(flat, n_fft, hop_length, window=window, pad_mode="reflect", return_complex=True)
    return spectrum.transpose(1, 2)[:, :frames].unflatten(0, audio.shape[:-1])


def zero_padded_stft(audio: Tensor, window: Tensor, hop_length: int, frames: int) -> Tensor:
    """(..., C, T) to complex (..., C, N, F), N = ``frames``, which is T // hop + 1 or more; frame n is centred on
    n * hop, the FFT as long as the window."""
    padded = functional.pad(audio.float(), (0, max(0, (frames - 1) * hop_length - audio.shape[-1])))
    flat = padded.reshape(-1, padded.shape[-1])
    spectrum = torch.stft(flat, len(window), hop_length, window=window, pad_mode="constant", return_complex=True)
    return spectrum.transpose(1, 2).unflatten(0, audio.shape[:-1])


def inverse_stft(spectrum: Tensor, window: Tensor, hop_length: int, samples: int) -> Tensor:
    """Complex (..., N, F) to (..., samples), the inverse of both."""
    flat = spectrum.reshape(-1, *spectrum.shape[-2:]).transpose(1, 2)
    audio = torch.istft(flat, len(window), hop_length, window=window, length=samples)
    return audio.unflatten(0, spectrum.shape[:-2])
