"""From parts to a record: rooms, tone, compression, level. Audio is (2, samples) float32 at 44.1 kHz."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from majl_cli.data.synth.soundfont import RATE

Audio = NDArray[np.float32]
TONE_TAPS = 2049
BLOCK = 512  # samples between two values of the compressor's gain


def placed(audio: Audio, pan: float, gain_db: float) -> Audio:
    """The audio between left (-1) and right (1), at constant power."""
    angle = (pan + 1.0) * np.pi / 4.0
    sides = np.sqrt(2.0) * 10.0 ** (gain_db / 20.0) * np.array([[np.cos(angle)], [np.sin(angle)]])
    return audio * sides.astype(np.float32)


def draw_room(generator: np.random.Generator) -> Audio:
    """An impulse response of energy 1: noise that decays exponentially, its highs sooner, another in each channel."""
    decay = float(np.exp(generator.uniform(np.log(0.25), np.log(3.0))))
    samples = round(min(0.8 * decay, 2.0) * RATE)
    time = np.arange(samples, dtype=np.float32) / np.float32(RATE)
    noise = generator.standard_normal((2, samples), dtype=np.float32) * np.exp(np.float32(-6.9 / decay) * time)
    noise[:, : round(generator.uniform(0.0, 0.03) * RATE)] = 0.0
    damping = generator.uniform(2000.0, 10000.0)
    spectrum = np.fft.rfft(noise) / (1.0 + (np.fft.rfftfreq(samples, 1.0 / RATE) / damping) ** 2)
    room = np.fft.irfft(spectrum, samples).astype(np.float32)
    return room / np.sqrt(np.square(room).sum(axis=1, keepdims=True))


def reverberated(send: Audio, room: Audio) -> Audio:
    """The room's answer, as long as ``send``."""
    return oaconvolve(send, room, axes=1)[:, : send.shape[1]].astype(np.float32, copy=False)


def toned(audio: Audio, tilt_db: float, bump_db: float, bump_hz: float) -> Audio:
    """Tilted by ``tilt_db`` an octave around 1 kHz, within 3 octaves, with a bump two octaves wide."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(TONE_TAPS - 1, 1.0 / RATE), 20.0) / 1000.0)
    bump = bump_db * np.exp(-((octaves - np.log2(bump_hz / 1000.0)) ** 2))
    gain = 10.0 ** ((tilt_db * np.clip(octaves, -3.0, 3.0) + bump) / 20.0)
    response = np.roll(np.fft.irfft(gain), TONE_TAPS // 2) * np.hanning(TONE_TAPS - 1)
    return oaconvolve(audio, response[None].astype(np.float32), mode="same", axes=1).astype(np.float32, copy=False)


def compressed(audio: Audio, threshold_db: float, ratio: float) -> Audio:
    """Levels above ``threshold_db`` (against the piece's own) lowered by ``ratio``, smoothly in time."""
    blocks = -(-audio.shape[1] // BLOCK)
    padded = np.pad(audio, ((0, 0), (0, blocks * BLOCK - audio.shape[1])))
    power = np.square(padded).reshape(2, blocks, BLOCK).mean(axis=(0, 2))
    smooth = np.convolve(power, np.hanning(11) / np.hanning(11).sum(), mode="same") + 1e-12
    over = 10.0 * np.log10(smooth / (power.mean() + 1e-12)) - threshold_db
    gain = 10.0 ** (-np.clip(over, 0.0, None) * (1.0 - 1.0 / ratio) / 20.0)
    return audio * np.interp(np.arange(audio.shape[1]) / BLOCK - 0.5, np.arange(blocks), gain).astype(np.float32)


def mastered(audio: Audio, generator: np.random.Generator) -> Audio:
    """A piece at a random level with a peak of at most 0.95, more or less coloured, compressed and driven."""
    audio = toned(audio, generator.normal(0.0, 0.7), generator.normal(0.0, 2.5), np.exp(generator.uniform(4.5, 9.0)))
    if generator.random() < 0.6:
        audio = compressed(audio, generator.uniform(-6.0, 6.0), generator.uniform(1.5, 6.0))
    peak = max(float(np.abs(audio).max(initial=0.0)), 1e-6)
    if generator.random() < 0.6:
        drive = np.float32(10.0 ** (generator.uniform(0.0, 12.0) / 20.0) / peak)
        audio = np.tanh(audio * drive)
        peak = max(float(np.abs(audio).max(initial=0.0)), 1e-6)
    return audio * np.float32(0.95 * 10.0 ** (generator.uniform(-9.0, 0.0) / 20.0) / peak)
