"""What a model makes of audio in which nobody sings: no frame should be voiced, and nothing get into the vocals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.inference.session import Model
from majl_cli.inference.workers import Stop
from majl_cli.metrics.voicing import VoicingTally, tally_frames

SECONDS, NOISE_DB = 10.0, -60.0


@dataclass(frozen=True, kw_only=True)
class Unsung:
    """``seconds`` of audio without a voice, given to the model as ``input`` ("mixture" or "vocals").

    Mean squares, over ``seconds``, of the audio (``power``) and of the vocals estimated from it (``vocals_power``, nan
    where the audio was given as vocals), and the frames by confidence.
    """

    name: str
    input: str
    seconds: float
    power: float
    vocals_power: float
    tally: VoicingTally

    def __add__(self, more: Unsung) -> Unsung:
        seconds = self.seconds + more.seconds
        return Unsung(
            name=self.name,
            input=self.input,
            seconds=seconds,
            power=(self.power * self.seconds + more.power * more.seconds) / seconds,
            vocals_power=(self.vocals_power * self.seconds + more.vocals_power * more.seconds) / seconds,
            tally=self.tally + more.tally,
        )


def hear_unsung(
    model: Model, audio: NDArray[np.float32], sample_rate: int, *, name: str, stop: Stop, input: str = "mixture"
) -> Unsung:
    """Audio (samples, channels) without a voice through the model. Raises MajlError."""
    target = model.joint.target
    track = model.estimate_pitch(audio, sample_rate=sample_rate, input=input)
    stop.check()
    vocals_power = math.nan
    if input == "mixture":
        stems = model.separate(audio, sample_rate=sample_rate, stems=(target,)).stems
        assert stems is not None
        vocals_power = _power(stems[target])
    return Unsung(
        name=name,
        input=input,
        seconds=len(audio) / sample_rate,
        power=_power(audio),
        vocals_power=vocals_power,
        tally=tally_frames(track.confidence, track.frequency, np.zeros(len(track.times))),
    )


def hear_silence_and_noise(model: Model, stop: Stop) -> list[Unsung]:
    """Ten seconds of digital silence, and of white noise at -60 dB full scale, each as mixture and as vocals."""
    rate, channels = model.joint.separation.sample_rate, model.joint.separation.channels
    shape = (round(SECONDS * rate), channels)
    noise = 10.0 ** (NOISE_DB / 20.0) * np.random.default_rng(0).standard_normal(shape)
    audio = {"silence": np.zeros(shape, np.float32), f"white noise at {NOISE_DB:g} dBFS": noise.astype(np.float32)}
    return [
        hear_unsung(model, samples, rate, name=name, input=input, stop=stop)
        for name, samples in audio.items()
        for input in ("mixture", "vocals")
    ]


def _power(audio: NDArray[np.float32]) -> float:
    return float(np.square(audio, dtype=np.float64).mean()) if audio.size else 0.0
