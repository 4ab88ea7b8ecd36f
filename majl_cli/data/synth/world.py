"""Voices taken apart into f0, spectral envelope and aperiodicity, changed, and put together again (WORLD).

Letters: N frames of FRAME_SECONDS, frame k at k * FRAME_SECONDS; F frequency bins; T samples. f0 in Hz, 0 = unvoiced.
The f0 a voice is put together with is its pitch label, exactly, whatever the analysis took for its f0.
Morise, Yokomori, Ozawa 2016, WORLD: a vocoder-based high-quality speech synthesis system.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.errors import DependencyError

FRAME_SECONDS = 0.005
LOWEST_HZ, HIGHEST_HZ = 65.0, 1100.0
ENVELOPE_LOWEST_HZ = 71.0  # sets the FFT size: 2048 at 44.1 kHz, 1024 at 16 and 22.05 kHz
EDGE = 0.93  # of the bandwidth: where a low-pass filter's slope begins
Floats = NDArray[np.float64]
Audio = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """``f0`` (N,); ``log_envelope`` (N, F), natural logarithm of power; ``aperiodicity`` (N, F) in [0, 1]; both
    float32. Bins are ``sample_rate`` / (2 (F - 1)) Hz apart."""

    f0: Floats
    log_envelope: NDArray[np.float32]
    aperiodicity: NDArray[np.float32]
    sample_rate: int


def analyse(audio: NDArray[Any], sample_rate: int) -> Voice:
    """Take a mono recording (T,) of one voice apart."""
    world = _world()
    samples = np.ascontiguousarray(audio, dtype=np.float64)
    # Digital silence has no envelope.
    samples = samples + 1e-6 * np.random.default_rng(0).standard_normal(len(samples))
    rough, times = world.dio(
        samples, sample_rate, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=1000 * FRAME_SECONDS
    )
    f0 = world.stonemask(samples, rough, times, sample_rate)
    envelope = world.cheaptrick(samples, f0, times, sample_rate, f0_floor=ENVELOPE_LOWEST_HZ)
    size = 2 * (envelope.shape[1] - 1)
    # Every other frame: the slowest part, and the one that changes least.
    aperiodicity = world.d4c(samples, f0[::2].copy(), times[::2].copy(), sample_rate, fft_size=size)
    aperiodicity = np.repeat(aperiodicity, 2, axis=0)[: len(f0)]
    return Voice(
        f0=np.where(aperiodicity[:, 1] < 0.9, f0, 0.0),  # what would sound as noise is not voiced
        log_envelope=np.log(envelope).astype(np.float32),
        aperiodicity=aperiodicity.astype(np.float32),
        sample_rate=sample_rate,
    )


def synthesise(voice: Voice) -> Audio:
    """The voice as audio (T,), of N frames' length."""
    audio = _world().synthesize(
        np.ascontiguousarray(voice.f0),
        np.ascontiguousarray(np.exp(voice.log_envelope), dtype=np.float64),
        np.ascontiguousarray(voice.aperiodicity, dtype=np.float64),
        voice.sample_rate,
        1000 * FRAME_SECONDS,
    )
    samples = round(len(voice.f0) * FRAME_SECONDS * voice.sample_rate)
    return np.pad(audio, (0, max(0, samples - len(audio))))[:samples].astype(np.float32)


def at_places(voice: Voice, places: Floats) -> Voice:
    """The voice at fractional frames ``places`` (M,): slower, faster, or to and fro. Voicing is that of the nearest."""
    last = len(voice.f0) - 1
    places = np.clip(places, 0.0, last)
    left = np.minimum(places.astype(int), max(0, last - 1))
    right = np.minimum(left + 1, last)
    share = (places - left).astype(np.float32)[:, None]
    f0_left, f0_right = voice.f0[left], voice.f0[right]
    nearest = np.where(share[:, 0] < 0.5, f0_left, f0_right)
    both = (f0_left > 0) & (f0_right > 0)
    between = np.exp(
        (1 - share[:, 0]) * np.log(np.maximum(f0_left, 1.0)) + share[:, 0] * np.log(np.maximum(f0_right, 1.0))
    )
    return replace(
        voice,
        f0=np.where(both, between, nearest),
        log_envelope=voice.log_envelope[left] * (1 - share) + voice.log_envelope[right] * share,
        aperiodicity=voice.aperiodicity[left] * (1 - share) + voice.aperiodicity[right] * share,
    )


def reshaped(voice: Voice, *, formants: float, sample_rate: int, bandwidth: float, tilt_db: float = -12.0) -> Voice:
    """The voice with its formants moved by a factor, at another rate. Above ``bandwidth`` in Hz of the recording there
    is noise at the level of the band below, ``tilt_db`` an octave."""
    spacing = voice.sample_rate / (2 * (voice.log_envelope.shape[1] - 1))
    size = 2 ** int(np.log2(3 * sample_rate / ENVELOPE_LOWEST_HZ + 1) + 1)
    source = np.arange(size // 2 + 1) * sample_rate / size / formants
    edge = EDGE * min(bandwidth, voice.sample_rate / 2)
    places = np.minimum(source, edge) / spacing
    left = places.astype(int)
    right = np.minimum(left + 1, voice.log_envelope.shape[1] - 1)
    share = (places - left).astype(np.float32)
    envelope = voice.log_envelope[:, left] * (1 - share) + voice.log_envelope[:, right] * share
    aperiodicity = voice.aperiodicity[:, left] * (1 - share) + voice.aperiodicity[:, right] * share
    above = source > edge
    if above.any():
        first, end = round(0.8 * edge / spacing), round(edge / spacing)
        level = voice.log_envelope[:, first:end].mean(axis=1, keepdims=True)
        fall = np.log(10.0) / 10.0 * tilt_db * np.log2(source[above] / edge)
        envelope[:, above] = level + fall.astype(np.float32)
        aperiodicity[:, above] = 1.0
    return replace(voice, log_envelope=envelope, aperiodicity=aperiodicity, sample_rate=sample_rate)


def breathier(voice: Voice, amount: float) -> Voice:
    """More noise in the voiced frames, the highs first; 0 nothing, 1 a whisper above 4 kHz."""
    frequencies = np.linspace(0.0, voice.sample_rate / 2, voice.aperiodicity.shape[1], dtype=np.float32)
    floor = amount * np.clip(frequencies / 4000.0, 0.02, 1.0)
    return replace(voice, aperiodicity=np.maximum(voice.aperiodicity, floor.astype(np.float32)))


def require_world() -> None:
    """Raise DependencyError where pyworld is not installed."""
    _world()


def _world() -> Any:
    try:
        import pyworld
    except ImportError as error:
        raise DependencyError("pyworld is not installed", "pip install 'majl[synth]'") from error
    return pyworld
