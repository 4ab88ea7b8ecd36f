"""REPET-SIM: what repeats is accompaniment, the rest is voice (Rafii and Pardo, ISMIR 2012), by librosa."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import read_audio
from majl_cli.evaluation.baselines.families import ACCOMPANIMENT, VOCALS, Separator, estimate_writers
from majl_cli.evaluation.prepared import PreparedTrack

N_FFT = 2048  # and a hop of a quarter: librosa's defaults, at every rate
APART_SECONDS = 2.0  # frames nearer than this do not count as a repetition
MARGINS = {VOCALS: 10.0, ACCOMPANIMENT: 2.0}
PIECE_SECONDS = 60.0
OVERLAP_SECONDS = 1.0


class NearestNeighbourFilter(Separator):
    """librosa's "vocal separation" example: the magnitudes of each frame's nearest neighbours (cosine) give what
    repeats, by their median; soft masks with margins 10 (vocals) and 2 (accompaniment), channel by channel.

    Comparing all frames with all takes memory and time that grow with the square of the length, so a file is cut into
    equal pieces of at most 60 s, which overlap and are cross-faded for 1 s. The two stems need not add up to the
    mixture. In less than one frame nothing repeats, and everything is accompaniment.
    """

    name = "nn-filter"
    description = "REPET-SIM: librosa's vocal separation by nearest neighbours"

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        rate = prepared.sample_rate
        overlap = round(OVERLAP_SECONDS * rate)
        cuts = _pieces(prepared.samples, round(PIECE_SECONDS * rate), overlap)
        rising = (np.arange(overlap, dtype=np.float32)[:, None] + 0.5) / max(1, overlap)
        held: dict[str, NDArray[np.float32]] = {}
        with estimate_writers(prepared, folder, self.stems) as (files, writers):
            for start, stop in cuts:
                audio, _ = read_audio(prepared.mixture, start=start, frames=stop - start)
                for stem, estimate in _separate(audio, rate).items():
                    if start:
                        estimate[:overlap] *= rising
                        estimate[:overlap] += held[stem] * (1 - rising)
                    end = len(estimate) if stop == prepared.samples else len(estimate) - overlap
                    writers[stem].write(estimate[:end])
                    held[stem] = estimate[end:]
        return files


def _pieces(samples: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """(start, stop) of the fewest equal pieces of at most ``longest`` samples that overlap by ``overlap``."""
    count = max(1, math.ceil((samples - overlap) / (longest - overlap)))
    starts = [i * (samples - overlap) // count for i in range(count)]
    return [*zip(starts, [start + overlap for start in starts[1:]], strict=False), (starts[-1], samples)]


def _separate(audio: NDArray[np.float32], rate: int) -> dict[str, NDArray[np.float32]]:
    """Vocals and accompaniment (n, C) of a piece (n, C)."""
    channels = [_separate_channel(channel, rate) for channel in audio.T]
    return {stem: np.stack([channel[stem] for channel in channels], axis=1) for stem in MARGINS}


def _separate_channel(audio: NDArray[np.float32], rate: int) -> dict[str, NDArray[np.float32]]:
    """Vocals and accompaniment (n,) of one channel (n,)."""
    import librosa

    if len(audio) < N_FFT:
        return {VOCALS: np.zeros_like(audio), ACCOMPANIMENT: audio.copy()}
    spectrum = librosa.stft(audio, n_fft=N_FFT)
    magnitude = np.abs(spectrum)
    # librosa refuses a width that leaves no neighbour to a frame.
    width = min(int(librosa.time_to_frames(APART_SECONDS, sr=rate)), (magnitude.shape[1] - 1) // 2 - 1)
    repeating = librosa.decompose.nn_filter(magnitude, aggregate=np.median, metric="cosine", width=width)
    repeating = np.minimum(magnitude, repeating)
    other = {VOCALS: (magnitude - repeating, repeating), ACCOMPANIMENT: (repeating, magnitude - repeating)}
    stems = {}
    for stem, (wanted, unwanted) in other.items():
        mask = librosa.util.softmask(wanted, MARGINS[stem] * unwanted, power=2)
        stems[stem] = librosa.istft(mask * spectrum, n_fft=N_FFT, length=len(audio))
    return stems
