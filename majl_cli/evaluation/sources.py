"""The audio of a track for scoring: target, accompaniment, and a mixture of them at a chosen level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import read_audio
from majl_cli.data.manifest import Stem, Track, accompaniment_stems, check_rate
from majl_cli.resample import to_channels


def load_sources(track: Track, *, target: str = "vocals") -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Target and accompaniment of a track, each (samples, channels), and the sample rate in Hz."""
    vocals = _read(track, track.stems[target])
    others = [(sign, _read(track, stem)) for sign, stem in accompaniment_stems(track, target)]
    channels = max(audio.shape[1] for audio in (vocals, *(audio for _, audio in others)))
    vocals = to_channels(vocals, channels)
    accompaniment = np.zeros_like(vocals)
    for sign, audio in others:
        audio = to_channels(audio, channels)[: len(vocals)]
        accompaniment[: len(audio)] += np.float32(sign) * audio
    return vocals, accompaniment, track.sample_rate


def mix_at(
    vocals: NDArray[np.float32], accompaniment: NDArray[np.float32], snr_db: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vocals and accompaniment with the accompaniment scaled so that their energies differ by ``snr_db``
    (None: as they are)."""
    if snr_db is None:
        return vocals, accompaniment
    energies = [float(np.square(x, dtype=np.float64).sum()) for x in (vocals, accompaniment)]
    if min(energies) == 0:
        return vocals, accompaniment
    gain = math.sqrt(energies[0] / energies[1] / 10 ** (snr_db / 10))
    return vocals, (accompaniment * gain).astype(np.float32)


def _read(track: Track, stem: Stem) -> NDArray[np.float32]:
    audio, rate = read_audio(stem.path, stream=stem.stream)
    check_rate(track, stem, rate)
    return audio if stem.channel is None else audio[:, stem.channel : stem.channel + 1]
