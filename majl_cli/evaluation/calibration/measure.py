"""A model on labelled tracks, mixed at several levels and as clean vocals: frames counted by confidence.

A track's sources are held in memory; of what the model hears, counts alone are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.labels import PitchLabels, frames_from_labels, read_pitch
from majl_cli.data.manifest import Track, accompaniment_stems
from majl_cli.evaluation.calibration.tracks import ACCOMPANIMENT, CalibrationTracks, is_unsung
from majl_cli.evaluation.calibration.unsung import Unsung, hear_silence_and_noise, hear_unsung
from majl_cli.evaluation.prepared import sum_blocks
from majl_cli.evaluation.sources import load_sources, mix_at
from majl_cli.inference.session import Model
from majl_cli.inference.workers import Stop, run_on_tracks
from majl_cli.metrics.voicing import VoicingTally, tally_frames

VOCALS, MIXTURE = "vocals", "mixture"
OWN_ACCOMPANIMENTS = "accompaniments of the tracks"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Frames by input, "vocals" or "mixture at X dB", and what became of audio in which nobody sings, by name."""

    tallies: dict[str, VoicingTally]
    unsung: dict[str, Unsung]


def measure(
    model: Model,
    given: CalibrationTracks,
    *,
    jobs: int = 1,
    listener: Callable[[Track], None] = lambda track: None,
) -> Measured:
    """The tracks through the model; ``listener`` gets each that is done.

    The accompaniment of a sung track serves as audio without a voice, too. The first error ends it: figures on a part
    of the tracks would not be what was asked for. Raises MajlError.
    """
    tallies: dict[str, VoicingTally] = {}
    heard = {f"{part.name}/{part.input}": part for part in hear_silence_and_noise(model, Stop())}

    def work(track: Track, stop: Stop) -> Measured:
        if is_unsung(track):
            return _measure_unsung(model, track, stop)
        return _measure_sung(model, track, given.snr_db, stop)

    with run_on_tracks(work, given.tracks, jobs=jobs, threads=model.runtime.threads) as ends:
        for track, result in ends:
            if isinstance(result, Exception):
                raise result
            for name, tally in result.tallies.items():
                tallies[name] = tallies[name] + tally if name in tallies else tally
            for name, part in result.unsung.items():
                heard[name] = heard[name] + part if name in heard else part
            listener(track)
    return Measured(tallies=tallies, unsung=heard)


def mixture_at(snr_db: float) -> str:
    """The name of the input that is a mixture at so many dB."""
    return f"{MIXTURE} at {snr_db:g} dB"


def _measure_sung(model: Model, track: Track, snr_db: Sequence[float], stop: Stop) -> Measured:
    target, label = model.joint.target, read_pitch(track)
    vocals, accompaniment, rate = load_sources(track, target=target)
    tallies = {VOCALS: _tally(model, vocals, rate, VOCALS, label)}
    if not accompaniment_stems(track, target):
        return Measured(tallies=tallies, unsung={})
    for level in snr_db:
        stop.check()
        mixture = np.add(*mix_at(vocals, accompaniment, level))
        tallies[mixture_at(level)] = _tally(model, mixture, rate, MIXTURE, label)
    stop.check()
    unsung = hear_unsung(model, accompaniment, rate, name=OWN_ACCOMPANIMENTS, stop=stop)
    return Measured(tallies=tallies, unsung={OWN_ACCOMPANIMENTS: unsung})


def _measure_unsung(model: Model, track: Track, stop: Stop) -> Measured:
    blocks = stop.guard(sum_blocks(track, [(1, track.stems[ACCOMPANIMENT])], track.channels))
    audio = np.concatenate(list(blocks))
    unsung = hear_unsung(model, audio, track.sample_rate, name=track.id, stop=stop)
    return Measured(tallies={}, unsung={f"track {track.id}": unsung})


def _tally(model: Model, audio: NDArray[np.float32], rate: int, input: str, label: PitchLabels) -> VoicingTally:
    heard = model.estimate_pitch(audio, sample_rate=rate, input=input)
    frequency, known = frames_from_labels(label, heard.times)
    return tally_frames(heard.confidence[known], heard.frequency[known], frequency[known])
