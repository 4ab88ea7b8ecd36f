"""Real singing with another melody, key, vibrato, speed and throat: analysed once, sung in several takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from majl_cli.audio import read_audio
from majl_cli.data.manifest import Stem, Track
from majl_cli.data.synth.contour import recontoured
from majl_cli.data.synth.world import FRAME_SECONDS, Audio, Floats, analyse, at_places, breathier, reshaped, synthesise

STREAM = 2
FADE = 200


def resing(
    track: Track, stem: Stem, *, seed: int, index: int, seconds: float = 12.0, takes: int = 4
) -> tuple[Audio, Floats]:
    """Piece ``index`` of ``seed``: audio (T,) at the track's rate and the f0 (N,) it was made with, one value every
    FRAME_SECONDS. An excerpt of up to ``seconds`` from somewhere in the track, ``takes`` times, one after another."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, STREAM, index])))
    start = generator.uniform(0.0, max(0.0, track.duration - seconds))
    rate = track.sample_rate
    audio, _ = read_audio(stem.path, start=round(start * rate), frames=round(seconds * rate), stream=stem.stream)
    mono = audio[:, stem.channel] if stem.channel is not None else audio.mean(axis=1)
    voice = analyse(mono, rate)
    parts, labels = [], []
    for _ in range(takes):
        speed = float(np.exp(generator.normal(0.0, 0.12)))
        take = at_places(voice, np.arange(0.0, len(voice.f0) - 1.0, speed))
        take = reshaped(
            take,
            formants=float(np.clip(np.exp(generator.normal(0.0, 0.1)), 0.8, 1.25)),
            sample_rate=rate,
            bandwidth=track.bandwidth or rate / 2,
            tilt_db=generator.uniform(-30.0, -12.0),
        )
        take = breathier(take, generator.uniform(0.0, 0.4) * (generator.random() < 0.4))
        sung = replace(take, f0=recontoured(take.f0, generator))
        parts.append(levelled(synthesise(sung)))
        labels.append(sung.f0)
    return np.concatenate(parts), np.concatenate(labels)


def levelled(audio: Audio) -> Audio:
    """The audio at a peak of 0.5, faded over FADE samples at either end."""
    edge = np.minimum(np.arange(len(audio)), np.arange(len(audio))[::-1]) / np.float32(FADE)
    gain = np.float32(0.5 / max(float(np.abs(audio).max(initial=0.0)), 1e-3))
    return (audio * gain * np.minimum(1.0, edge)).astype(np.float32)


def label_text(f0: Floats) -> str:
    """A pitch label as CSV, ``time,frequency``."""
    return "time,frequency\n" + "".join(f"{k * FRAME_SECONDS:.3f},{hz:.4f}\n" for k, hz in enumerate(f0))
