"""Augmentations of a training segment. All chance comes from the numpy Generator that is passed in.

Audio here is (channels, samples) float32.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.effects import CODECS, coded, compressed, equalised, saturated, widened
from majl_cli.errors import ConfigError

Audio = NDArray[np.float32]
SILENT_RMS = 1e-3
COLOUR_BANDS = 8


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges are (lowest, highest).

    ``remix_probability``: vocals of one track over the accompaniment of another. ``snr_db``: vocals over
    accompaniment, RMS over the segment. ``level_db``: RMS of the mixture in dBFS. ``resample_cents``: one source
    played faster or slower by up to this much, pitch labels moved along. ``*_pan_db``: level difference between left
    and right. ``second_accompaniment``: another one on top; ``second_vocals``: a backing voice, ``second_vocals_db``
    against the lead, whose pitch stays the label. ``reverb``: the voice in a synthetic room of ``reverb_seconds`` (time
    to decay by 60 dB), ``reverb_db`` against the dry voice. ``stutter``: a slice of ``stutter_seconds`` of the voice,
    repeated, as in electronic music (its pitch then counts as unknown). The ``*_absent`` cases teach what silence is.

    Off by default, for voice and accompaniment each: ``colour``, an equaliser of eight bands of up to ``colour_db``;
    ``compression``, which makes ``compression_ratio`` dB one from ``compression_depth_db`` below the loudest moment
    upwards; ``saturation``, tanh with the peak at ``saturation_drive``; ``width`` of the stereo, 0 for mono. ``codec``:
    both stems through MP3 or Vorbis at one ``codec_compression`` (0 best, 0.95 worst), each by itself, so that they
    still add up to the mixture; up to a tenth of a second for a second of stereo.

    ``scale`` multiplies all probabilities: 0 leaves only levels, polarity and channel swap.
    """

    remix_probability: float = 0.7
    snr_db: tuple[float, float] = (-8.0, 8.0)
    level_db: tuple[float, float] = (-32.0, -12.0)
    polarity: bool = True
    channel_swap: bool = True
    resample_probability: float = 0.3
    resample_cents: float = 200.0
    pan_probability: float = 0.3
    vocals_pan_db: float = 2.0
    accompaniment_pan_db: float = 6.0
    second_accompaniment_probability: float = 0.1
    second_vocals_probability: float = 0.05
    second_vocals_db: tuple[float, float] = (-15.0, -3.0)
    reverb_probability: float = 0.1
    reverb_seconds: tuple[float, float] = (0.3, 2.5)
    reverb_db: tuple[float, float] = (-18.0, -3.0)
    stutter_probability: float = 0.0
    stutter_seconds: tuple[float, float] = (0.08, 0.5)
    vocals_absent_probability: float = 0.04
    accompaniment_absent_probability: float = 0.08
    colour_probability: float = 0.0
    colour_db: float = 8.0
    compression_probability: float = 0.0
    compression_ratio: tuple[float, float] = (2.0, 8.0)
    compression_depth_db: tuple[float, float] = (6.0, 24.0)
    saturation_probability: float = 0.0
    saturation_drive: tuple[float, float] = (1.0, 4.0)
    width_probability: float = 0.0
    width: tuple[float, float] = (0.0, 1.6)
    codec_probability: float = 0.0
    codec_compression: tuple[float, float] = (0.6, 0.9)
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale >= 0:
            raise ConfigError(f"augment.scale {self.scale} will not do", "use 0 for none, 1 for what is configured")
        if not 0 <= self.codec_compression[0] <= self.codec_compression[1] <= 0.95:
            raise ConfigError(
                f"augment.codec_compression {list(self.codec_compression)}: not a range",
                "use [0.6, 0.9], within 0 to 0.95",
            )


def scaled(config: AugmentConfig) -> AugmentConfig:
    """The configuration with its probabilities times its ``scale``, up to 1."""
    names = [item.name for item in fields(config) if item.name.endswith("_probability")]
    return replace(config, scale=1.0, **{name: min(1.0, config.scale * getattr(config, name)) for name in names})


def happens(probability: float, generator: np.random.Generator) -> bool:
    """Whether it happens this time; what never happens draws nothing, so that everything else stays as it was."""
    return probability > 0 and generator.random() < probability


def draw_speed(config: AugmentConfig, generator: np.random.Generator) -> float:
    """A playback speed: above 1 is faster and higher."""
    if generator.random() >= config.resample_probability:
        return 1.0
    return float(2.0 ** (generator.uniform(-config.resample_cents, config.resample_cents) / 1200.0))


def without_rumble(audio: Audio, sample_rate: int, lowest_hz: float) -> Audio:
    """The audio without what lies below ``lowest_hz``, with a slope over the half octave above it; no delay."""
    if lowest_hz <= 0:
        return audio
    samples = audio.shape[-1]
    frequencies = np.fft.rfftfreq(samples, 1.0 / sample_rate)
    slope = np.clip(2.0 * np.log2(np.maximum(frequencies, 1e-3) / lowest_hz), 0.0, 1.0)
    return np.fft.irfft(np.fft.rfft(audio) * slope, samples).astype(np.float32)


def place(audio: Audio, pan_db: float, config: AugmentConfig, generator: np.random.Generator) -> Audio:
    """Change the width, swap channels, pan and turn the polarity, each by chance."""
    if happens(config.width_probability, generator):
        audio = widened(audio, generator.uniform(*config.width))
    if config.channel_swap and len(audio) == 2 and generator.random() < 0.5:
        audio = audio[::-1]
    if len(audio) == 2 and generator.random() < config.pan_probability:
        side = 10.0 ** (generator.uniform(-pan_db, pan_db) / 40.0)
        audio = audio * np.array([[side], [1.0 / side]], dtype=np.float32)
    if config.polarity and generator.random() < 0.5:
        audio = -audio
    return audio


def produced(audio: Audio, sample_rate: int, config: AugmentConfig, generator: np.random.Generator) -> Audio:
    """A stem coloured, compressed and saturated, each by chance."""
    if happens(config.colour_probability, generator):
        bands_db = generator.uniform(-config.colour_db, config.colour_db, COLOUR_BANDS)
        audio = equalised(audio, sample_rate, bands_db)
    if happens(config.compression_probability, generator):
        ratio, depth_db = generator.uniform(*config.compression_ratio), generator.uniform(*config.compression_depth_db)
        audio = compressed(audio, sample_rate, ratio=ratio, depth_db=depth_db)
    if happens(config.saturation_probability, generator):
        audio = saturated(audio, generator.uniform(*config.saturation_drive))
    return audio


def through_codec(
    voice: Audio, music: Audio, sample_rate: int, config: AugmentConfig, generator: np.random.Generator
) -> tuple[Audio, Audio]:
    """Both stems through the same coder, by chance. A coder's noise belongs to no stem; coding each of them alone gives
    it one, and the highs it leaves out are missing in the mixture as they are in the stems."""
    if not happens(config.codec_probability, generator):
        return voice, music
    codec, compression = str(generator.choice(sorted(CODECS))), generator.uniform(*config.codec_compression)
    return coded(voice, sample_rate, codec, compression), coded(music, sample_rate, codec, compression)


def add_reverb(audio: Audio, sample_rate: int, config: AugmentConfig, generator: np.random.Generator) -> Audio:
    """The voice with the sound of a room: noise that decays exponentially, another one in each channel (Moorer 1979),
    its highs sooner than its lows, after a delay of up to 40 ms."""
    decay = generator.uniform(*config.reverb_seconds)
    samples = min(round(0.7 * decay * sample_rate), audio.shape[1])
    time = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
    room = generator.standard_normal((len(audio), samples), dtype=np.float32)
    room *= np.exp(np.float32(-6.9 / decay) * time)
    room[:, : round(generator.uniform(0.0, 0.04) * sample_rate)] = 0.0
    size = 1 << (audio.shape[1] + samples - 1).bit_length()
    spectrum = np.fft.rfft(audio, size) * np.fft.rfft(room, size)
    damping = generator.uniform(1500.0, 8000.0)
    spectrum /= 1.0 + (np.fft.rfftfreq(size, 1.0 / sample_rate) / damping) ** 2
    wet = np.fft.irfft(spectrum, size)[:, : audio.shape[1]].astype(np.float32)
    return add_below(audio, wet, generator.uniform(*config.reverb_db))


def stutter(audio: Audio, sample_rate: int, config: AugmentConfig, generator: np.random.Generator) -> Audio:
    """One slice of the voice again and again, with gaps of up to its length and 5 ms of fade at either end."""
    samples = min(round(generator.uniform(*config.stutter_seconds) * sample_rate), audio.shape[1])
    loudest = int(np.argmax(np.square(audio).sum(axis=0)))
    first = min(max(0, loudest - int(generator.integers(samples))), audio.shape[1] - samples)
    edge = np.minimum(np.arange(samples) + 1, np.arange(samples, 0, -1)) / (0.005 * sample_rate)
    part = (audio[:, first : first + samples] * np.minimum(1.0, edge)).astype(np.float32)
    period = samples + int(generator.integers(samples + 1))
    repeats = -(-audio.shape[1] // period)
    return np.tile(np.pad(part, ((0, 0), (0, period - samples))), repeats)[:, : audio.shape[1]]


def add_below(lead: Audio, other: Audio, level_db: float) -> Audio:
    """``lead`` plus ``other`` brought to ``level_db`` against it; unchanged where either is silent."""
    if min(rms(lead), rms(other)) < 1e-6:
        return lead
    gain = rms(lead) / rms(other) * 10.0 ** (level_db / 20.0)
    return lead + np.float32(gain) * other


def rms(audio: Audio) -> float:
    """Root mean square over all samples."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0


def balance(vocals: Audio, accompaniment: Audio, config: AugmentConfig, generator: np.random.Generator) -> Audio:
    """The accompaniment at a random level below the vocals; a rest of the singer counts as a soft voice."""
    snr_db = generator.uniform(*config.snr_db)
    gain = max(rms(vocals), 10 * SILENT_RMS) / max(rms(accompaniment), SILENT_RMS) * 10.0 ** (-snr_db / 20.0)
    return (accompaniment * np.float32(gain)).astype(np.float32)


def level_gain(mixture: Audio, config: AugmentConfig, generator: np.random.Generator) -> float:
    """A gain that brings the mixture to a random level without passing full scale."""
    gain = 10.0 ** (generator.uniform(*config.level_db) / 20.0) / max(rms(mixture), SILENT_RMS)
    return min(gain, 0.99 / max(float(np.abs(mixture).max(initial=0.0)), 1e-6))
