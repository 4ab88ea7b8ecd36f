"""What studios, players and coders do to sound: colour, compression, saturation, width, lossy coding.

Audio here is (channels, samples) float32. No effect moves sound in time, so that labels stay where they are; none
changes the number of samples; silence stays silence. Nothing here is left to chance.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import soundfile
from numpy.typing import NDArray

Audio = NDArray[np.float32]
LOWEST_BAND_HZ = 20.0
STEP_SECONDS = 0.005  # between two values of a compressor's gain
ATTACK_SECONDS, RELEASE_SECONDS = 0.01, 0.15
CODECS = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS")}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# 576 samples of the encoder and 529 of the decoder. At low rates the frame that would tell the decoder does not fit.
MP3_DELAY = 1105
CODER_PEAK = 0.5  # what is coded is no louder, as a decoder may overshoot


def equalised(audio: Audio, sample_rate: int, bands_db: Sequence[float] | NDArray[np.float64]) -> Audio:
    """The audio through gains at places evenly spaced in log frequency, from LOWEST_BAND_HZ to half the sample rate,
    and straight lines in dB between them; no delay."""
    samples = audio.shape[-1]
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1.0 / sample_rate), LOWEST_BAND_HZ)
    places = np.log(frequencies / LOWEST_BAND_HZ) / np.log(sample_rate / 2 / LOWEST_BAND_HZ) * (len(bands_db) - 1)
    gain = 10.0 ** (np.interp(places, np.arange(len(bands_db)), bands_db) / 20.0)
    return np.fft.irfft(np.fft.rfft(audio) * gain, samples).astype(np.float32)


def saturated(audio: Audio, drive: float) -> Audio:
    """The audio through tanh, its peak driven to ``drive``: soft sounds stay as they are, loud ones are rounded off."""
    gain = np.float32(drive / max(float(np.abs(audio).max(initial=0.0)), 1e-6))
    return np.tanh(audio * gain) / gain


def compressed(audio: Audio, sample_rate: int, *, ratio: float, depth_db: float) -> Audio:
    """The audio with its level, where it is above ``depth_db`` below the loudest moment, brought down so that ``ratio``
    dB become one. Channels share a gain; it falls within ATTACK_SECONDS and comes back within RELEASE_SECONDS."""
    step = max(1, round(STEP_SECONDS * sample_rate))
    steps = -(-audio.shape[1] // step)
    power = np.square(audio).mean(axis=0)
    power = np.pad(power, (0, steps * step - len(power))).reshape(steps, step).mean(axis=1)
    level_db = 10.0 * np.log10(power + 1e-12)
    over_db = np.maximum(0.0, level_db - (level_db.max(initial=-120.0) - depth_db))
    target_db = (1.0 / ratio - 1.0) * over_db
    rise, fall = (1.0 - np.exp(-STEP_SECONDS / seconds) for seconds in (RELEASE_SECONDS, ATTACK_SECONDS))
    gain_db, now = np.empty(steps), 0.0
    for n, target in enumerate(target_db):
        now += (fall if target < now else rise) * (target - now)
        gain_db[n] = now
    places = (np.arange(steps) + 0.5) * step
    gain = 10.0 ** (np.interp(np.arange(audio.shape[1]), places, gain_db) / 20.0)
    return (audio * gain).astype(np.float32)


def widened(audio: Audio, width: float) -> Audio:
    """Stereo with the difference of its channels times ``width``: 0 is mono, 1 as it is; their mean stays."""
    if len(audio) != 2:
        return audio
    middle = audio.mean(axis=0, keepdims=True)
    return (middle + np.float32(width) * (audio - middle)).astype(np.float32)


def coded(audio: Audio, sample_rate: int, codec: str, compression: float) -> Audio:
    """The audio coded and decoded; ``codec`` is a key of CODECS, ``compression`` from 0 (best) to 0.95. At 44.1 kHz and
    in stereo 0.6 and 0.9 are 130 and 56 kbit/s of MP3, 130 and 77 of Vorbis. A rate that MP3 lacks is left to Vorbis.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    if peak == 0.0:
        return audio
    gain = np.float32(CODER_PEAK / peak)
    format, subtype = CODECS["vorbis" if codec == "mp3" and sample_rate not in MP3_RATES else codec]
    file = io.BytesIO()
    soundfile.write(
        file,
        (audio * gain).T,
        sample_rate,
        format=format,
        subtype=subtype,
        compression_level=compression,
        bitrate_mode="CONSTANT" if format == "MP3" else None,
    )
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32", always_2d=True)[0].T
    samples = audio.shape[1]
    if decoded.shape[1] > samples:  # delay and padding are in it
        decoded = decoded[:, MP3_DELAY:]
    decoded = np.pad(decoded, ((0, 0), (0, max(0, samples - decoded.shape[1]))))[:, :samples]
    return np.ascontiguousarray(decoded / gain)
