"""Streams of a container: each is its own, and a part of one is exactly that part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from stem_files import write_streams

from majl_cli.audio import AudioReader, probe, read_audio
from majl_cli.containers import ContainerStream
from majl_cli.errors import AudioError

RATE = 44100


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five streams of 2 s: tones of 300, 400, ... Hz with some noise."""
    time = np.arange(2 * RATE) / RATE
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(time))
    tones = [0.3 * np.sin(2 * np.pi * (300 + 100 * n) * time) + noise for n in range(5)]
    streams = [np.repeat(tone[:, None], 2, axis=1).astype(np.float32) for tone in tones]
    return write_streams(tmp_path_factory.mktemp("stems") / "song.stem.mp4", streams, RATE)


def test_each_stream_is_read_by_its_number(stems: Path) -> None:
    for number in range(5):
        audio, rate = read_audio(stems, stream=number)
        assert (rate, audio.shape[1]) == (RATE, 2)
        assert np.abs(np.fft.rfft(audio[:RATE, 0])).argmax() == 300 + 100 * number
        assert probe(stems, stream=number).duration == pytest.approx(2.0, abs=0.03)
    np.testing.assert_array_equal(read_audio(stems)[0], read_audio(stems, stream=0)[0])


@pytest.mark.parametrize("start", [0, 1, 1023, 8192, 8193, 30000, 51200, 60001, 88000])
@pytest.mark.parametrize("frames", [1, 3000, None])
def test_a_part_of_a_stream_is_exactly_that_part_of_the_whole(stems: Path, start: int, frames: int | None) -> None:
    whole, _ = read_audio(stems, stream=3)
    part, _ = read_audio(stems, stream=3, start=start, frames=frames)
    expected = whole[start:] if frames is None else whole[start : start + frames]
    assert part.shape == expected.shape
    np.testing.assert_allclose(part, expected, atol=1e-6)


def test_a_part_in_the_middle_is_not_decoded_from_the_start(stems: Path) -> None:
    reader = ContainerStream(stems, 3, on_damage=lambda error: pytest.fail(str(error)))
    _, first = reader.blocks_near(60000)
    reader.close()
    assert 60000 - 10000 < first <= 60000


def test_noise_that_the_decoder_makes_up_is_the_same_each_time(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal((2 * RATE, 2)).astype(np.float32)
    path = write_streams(tmp_path / "x.m4a", [noise], RATE, bit_rate=96000)
    parts = [read_audio(path, start=50000, frames=4000)[0] for _ in range(2)]
    np.testing.assert_array_equal(*parts)
    whole = read_audio(path)[0]
    match = [np.corrcoef(parts[0][:, 0], whole[at : at + 4000, 0])[0, 1] for at in range(49000, 51000)]
    assert int(np.argmax(match)) == 1000


def test_beyond_the_end_there_is_nothing(stems: Path) -> None:
    assert len(read_audio(stems, stream=1, start=10 * RATE, frames=100)[0]) == 0
    assert len(read_audio(stems, stream=1, start=87000, frames=50000)[0]) == len(read_audio(stems)[0]) - 87000


@pytest.mark.parametrize("name", ["x.webm", "x.mkv"])
def test_other_containers_and_codecs_give_the_same_samples_from_the_start(tmp_path: Path, name: str) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal((48000, 2)).astype(np.float32)
    path = write_streams(tmp_path / name, [0 * noise, noise], 48000, "libopus")
    whole, _ = read_audio(path, stream=1)
    part, _ = read_audio(path, stream=1, start=30000, frames=5000)
    np.testing.assert_array_equal(part, whole[30000:35000])


def test_a_stream_that_is_not_there_is_refused(stems: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"song\.stem\.mp4: has no audio stream 5, only 5 \(from 0\)"):
        AudioReader(stems, stream=5)
    soundfile.write(tmp_path / "x.wav", np.zeros(10), 8000)
    assert len(read_audio(tmp_path / "x.wav", stream=0)[0]) == 10
    with pytest.raises(AudioError, match="has no audio stream 1, only 1"):
        read_audio(tmp_path / "x.wav", stream=1)
