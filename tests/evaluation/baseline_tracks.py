"""Synthetic tracks laid out as the evaluation does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from majl_cli.data.manifest import Stem, Track
from majl_cli.evaluation.prepared import PreparedTrack

Floats = NDArray[np.float32]


def lay_out(
    folder: Path, rate: int, *, mixture: Floats | None = None, track: Track | None = None, **stems: Floats
) -> PreparedTrack:
    """Stems (T, C) as float WAV files in ``folder``, the mixture being their sum unless given."""
    mixture = sum(stems.values()) if mixture is None else mixture
    paths = {}
    for name, audio in {"mixture": mixture, **stems}.items():
        paths[name] = folder / f"{name}.wav"
        soundfile.write(paths[name], audio, rate, subtype="FLOAT")
    samples, channels = mixture.shape
    whole = Stem(path=paths["mixture"])
    fields = {"sample_rate": rate, "channels": channels, "duration": samples / rate, "mixture": whole}
    return PreparedTrack(
        track=track or Track(id="t", corpus="c", labels="mixture", **fields),
        mixture=paths.pop("mixture"),
        references=paths,
        sample_rate=rate,
        channels=channels,
        samples=samples,
    )


def voice(samples: int, rate: int, channels: int = 1, low: float = 220.0, high: float = 220.0) -> Floats:
    """A tone with five harmonics that glides from ``low`` to ``high`` Hz: (samples, channels)."""
    phase = 2 * np.pi * np.cumsum(low * (high / low) ** (np.arange(samples) / samples)) / rate
    tone = sum(0.1 / k * np.sin(k * phase) for k in range(1, 6))
    return np.repeat(np.float32(tone)[:, None], channels, axis=1)


def noise(samples: int, channels: int = 1, seed: int = 0) -> Floats:
    return np.float32(0.1 * np.random.default_rng(seed).standard_normal((samples, channels)))
