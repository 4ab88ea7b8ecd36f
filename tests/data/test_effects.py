"""Effects: physics of each, and that none of them moves sound in time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from majl_cli.data.augment import rms
from majl_cli.data.effects import CODECS, coded, compressed, equalised, saturated, widened

RATE = 44100
Audio = NDArray[np.float32]


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> Audio:
    """(1, T), of amplitude 0.3."""
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[None]


def music(seconds: float = 2.0, rate: int = RATE, channels: int = 2) -> Audio:
    """Gliding harmonics and a little noise, different in each channel."""
    generator = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * 180 * time + 2 * np.sin(2 * np.pi * 0.7 * time)
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = generator.standard_normal((channels, len(time))) * (time % 0.25 < 0.05)
    audio = harmonics * (1.2 + np.sin(2 * np.pi * 3 * time)) + 0.5 * noise
    return (0.4 * audio / np.abs(audio).max()).astype(np.float32)


def lag(first: Audio, second: Audio) -> int:
    """Samples by which ``second`` is late, where the two correlate best."""
    size = 2 * first.shape[1]
    spectrum = np.fft.rfft(first[0], size).conj() * np.fft.rfft(second[0], size)
    best = int(np.fft.irfft(spectrum).argmax())
    return best if best < size // 2 else best - size


def level_db(audio: Audio) -> float:
    return 20 * float(np.log10(rms(audio)))


def test_a_flat_equaliser_changes_the_level_alone() -> None:
    audio = music()
    np.testing.assert_allclose(equalised(audio, RATE, [0.0] * 8), audio, atol=1e-6)
    np.testing.assert_allclose(equalised(audio, RATE, [20.0] * 8), 10 * audio, atol=1e-5)


def test_equaliser_bands_lie_evenly_in_log_frequency_with_straight_lines_between() -> None:
    bands = [0.0, 6.0, -6.0, 3.0]
    places = 20.0 * (RATE / 2 / 20.0) ** (np.arange(4) / 3)
    for frequency, expected in [*zip(places[1:3], bands[1:3], strict=True), (np.sqrt(places[1] * places[2]), 0.0)]:
        audio = tone(round(frequency))
        assert level_db(equalised(audio, RATE, bands)) - level_db(audio) == pytest.approx(expected, abs=0.1)


def test_saturation_rounds_off_peaks_and_keeps_polarity_and_soft_sounds() -> None:
    audio = music()
    driven = saturated(audio, 4.0)
    crest, driven_crest = (np.abs(a).max() / rms(a) for a in (audio, driven))
    assert driven_crest < 0.7 * crest
    assert (np.sign(driven) == np.sign(audio)).all()
    soft = np.abs(audio) < 0.002
    np.testing.assert_allclose(driven[soft], audio[soft], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(saturated(audio, 0.01), audio, rtol=1e-4, atol=1e-6)


def test_compressor_turns_four_decibels_above_its_threshold_into_one() -> None:
    loud, soft = tone(500), tone(500) * np.float32(10 ** (-20 / 20))
    audio = np.concatenate((soft, loud, soft), axis=1)
    squeezed = compressed(audio, RATE, ratio=4.0, depth_db=12.0)
    assert squeezed.shape == audio.shape
    middle = slice(RATE + RATE // 2, 2 * RATE - 1000)
    assert level_db(squeezed[:, middle]) - level_db(audio[:, middle]) == pytest.approx(-9.0, abs=0.3)
    np.testing.assert_allclose(squeezed[:, : RATE - 1000], audio[:, : RATE - 1000], rtol=1e-5)
    assert level_db(squeezed[:, -RATE // 4 :]) - level_db(soft[:, -RATE // 4 :]) == pytest.approx(0.0, abs=0.2)
    assert lag(audio, squeezed) == 0


def test_compressor_leaves_channels_where_they_are() -> None:
    audio = music()
    audio[1] *= 0.1
    squeezed = compressed(audio, RATE, ratio=8.0, depth_db=24.0)
    np.testing.assert_allclose(squeezed[0] * audio[1], squeezed[1] * audio[0], atol=1e-7)


def test_width_zero_is_mono_and_any_width_keeps_the_middle() -> None:
    audio = music()
    mono = widened(audio, 0.0)
    np.testing.assert_array_equal(mono[0], mono[1])
    for width in (0.0, 0.5, 1.6):
        wide = widened(audio, width)
        np.testing.assert_allclose(wide.mean(axis=0), audio.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(wide[0] - wide[1], width * (audio[0] - audio[1]), atol=1e-6)
    assert widened(audio[:1], 0.0) is not None and np.array_equal(widened(audio[:1], 0.0), audio[:1])


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("compression", [0.5, 0.9])
def test_coding_keeps_length_level_and_place(codec: str, rate: int, channels: int, compression: float) -> None:
    audio = music(1.0, rate, channels)[:, : rate - 123]
    decoded = coded(audio, rate, codec, compression)
    assert decoded.shape == audio.shape and decoded.dtype == np.float32
    assert lag(audio, decoded) == 0
    assert level_db(decoded) == pytest.approx(level_db(audio), abs=1.5)
    noise = level_db(decoded - audio) - level_db(audio)
    assert -40 < noise < -8  # something was lost, but not the music
    assert rms(decoded[:, -500:]) > 0.3 * rms(audio[:, -500:])


def test_coding_as_mp3_at_its_lowest_rate_still_stays_in_place() -> None:
    audio = music(rate=RATE)
    assert lag(audio, coded(audio, RATE, "mp3", 0.95)) == 0


def test_a_rate_that_mp3_lacks_is_coded_as_vorbis() -> None:
    audio = music(rate=20000)
    np.testing.assert_array_equal(coded(audio, 20000, "mp3", 0.7), coded(audio, 20000, "vorbis", 0.7))


def test_silence_stays_silent() -> None:
    silence = np.zeros((2, 5000), np.float32)
    assert not equalised(silence, RATE, [3.0, -3.0]).any()
    assert not compressed(silence, RATE, ratio=4.0, depth_db=12.0).any()
    assert not saturated(silence, 4.0).any()
    assert not coded(silence, RATE, "mp3", 0.7).any()
