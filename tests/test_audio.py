"""Audio files as streams: what goes in comes out, and what is wrong is said in one line."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from majl_cli.audio import (
    AudioInfo,
    AudioReader,
    AudioWriter,
    StreamResampler,
    matching_subtype,
    probe,
    read_audio,
    resample,
    resampled_length,
    to_channels,
)
from majl_cli.errors import AudioError


def noise(samples: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((samples, channels))).astype(np.float32)


def write_with_av(path: Path, audio: np.ndarray, rate: int, codec: str) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        layout = "mono" if audio.shape[1] == 1 else "stereo"
        stream.layout = layout
        stream.bit_rate = 128000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T), format="fltp", layout=layout)
        frame.rate = rate
        for piece in av.AudioResampler(format=stream.format, layout=layout, rate=rate).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("x.wav", "PCM_16", 2**-15),
        ("x.wav", "PCM_24", 2**-23),
        ("x.wav", "FLOAT", 0.0),
        ("x.flac", "PCM_16", 2**-15),
        ("x.flac", "PCM_24", 2**-23),
        ("päth ☃.wav", "PCM_16", 2**-15),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("samples", [1, 7, 70001])
def test_lossless_round_trip(
    tmp_path: Path, name: str, subtype: str, tolerance: float, channels: int, samples: int
) -> None:
    audio = noise(samples, channels)
    with AudioWriter(tmp_path / name, sample_rate=48000, channels=channels, subtype=subtype) as writer:
        for start in range(0, samples, 1001):
            writer.write(audio[start : start + 1001])
    with AudioReader(tmp_path / name) as reader:
        assert (reader.sample_rate, reader.channels, reader.info.subtype) == (48000, channels, subtype)
        back = np.concatenate(list(reader.blocks(4096)))
    assert back.shape == audio.shape
    assert np.abs(back - audio).max() <= tolerance
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.ogg", "x.mp3"])
def test_lossy_files_keep_length_and_place(tmp_path: Path, name: str) -> None:
    """In one piece or in blocks: read in blocks by python-soundfile, an MP3 has a glitch at every edge."""
    time = np.arange(5 * 44100) / 44100
    audio = np.repeat((0.3 * np.sin(2 * np.pi * 500 * time))[:, None], 2, axis=1).astype(np.float32)
    with AudioWriter(tmp_path / name, sample_rate=44100, channels=2) as writer:
        writer.write(audio)
    back, rate = read_audio(tmp_path / name)
    assert rate == 44100
    assert back.shape == audio.shape
    assert np.corrcoef(back[5000:-5000, 0], audio[5000:-5000, 0])[0, 1] > 0.9999
    with AudioReader(tmp_path / name) as reader:
        blocks = list(reader.blocks(3001))
    assert all(len(block) == 3001 for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), back)


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("x.m4a", "aac", 44100), ("x.webm", "libopus", 48000), ("x.wma", "wmav2", 44100)]
)
def test_files_that_soundfile_refuses_go_through_av(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    time = np.arange(rate) / rate
    audio = (0.3 * np.sin(2 * np.pi * 500 * time))[:, None].astype(np.float32)
    path = write_with_av(tmp_path / name, np.repeat(audio, 2, axis=1), rate, codec)
    back, back_rate = read_audio(path)
    assert back_rate == rate
    assert back.shape[1] == 2
    assert abs(len(back) - rate) < 0.1 * rate
    spectrum = np.abs(np.fft.rfft(back[:rate, 0], rate))
    assert abs(int(spectrum.argmax()) - 500) <= 1
    streamed = np.concatenate(list(AudioReader(path).blocks(1000)))
    np.testing.assert_array_equal(streamed, back)


def test_part_of_a_file_is_that_part(tmp_path: Path) -> None:
    audio = noise(5000)
    soundfile.write(tmp_path / "x.wav", audio, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", start=123, frames=777)[0], audio[123:900])
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", start=4900, frames=777)[0], audio[4900:])
    assert len(read_audio(tmp_path / "x.wav", start=9000, frames=7)[0]) == 0


def test_clipping_is_counted_and_clamped_but_float_keeps_it(tmp_path: Path) -> None:
    audio = np.array([[0.5], [1.5], [-2.0], [1.0]], np.float32)
    for subtype, clipped, largest in (("PCM_16", 2, 1.0), ("FLOAT", 0, 2.0)):
        with AudioWriter(tmp_path / "x.wav", sample_rate=8000, channels=1, subtype=subtype) as writer:
            writer.write(audio)
        assert writer.clipped == clipped
        assert np.abs(read_audio(tmp_path / "x.wav")[0]).max() == pytest.approx(largest, abs=1e-4)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "x.wav").write_bytes(b"old")
    with pytest.raises(error), AudioWriter(tmp_path / "x.wav", sample_rate=8000, channels=1) as writer:
        writer.write(noise(1000, 1))
        raise error
    assert (tmp_path / "x.wav").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(AudioError, match="file: is not a folder"),
        AudioWriter(tmp_path / "file" / "x.wav", sample_rate=8000, channels=1),
    ):
        pass
    with pytest.raises(AudioError, match="cannot write this kind of file"):
        AudioWriter(tmp_path / "x.xyz", sample_rate=8000, channels=1)
    with (
        pytest.raises(AudioError, match="cannot write 300 channels"),
        AudioWriter(tmp_path / "x.mp3", sample_rate=8000, channels=300),
    ):
        pass
    for code, message in ((errno.ENOSPC, "the disk is full"), (errno.EROFS, "cannot write here")):

        def refuse(*_: object, code: int = code, **__: object) -> None:
            raise OSError(code, "refused")

        with monkeypatch.context() as patch:
            patch.setattr(soundfile.SoundFile, "write", refuse)
            with (
                pytest.raises(AudioError, match=message),
                AudioWriter(tmp_path / "y.wav", sample_rate=8000, channels=1) as writer,
            ):
                writer.write(noise(10, 1))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"This is not audio at all.\n" * 50, "not readable as audio"),
        ("picture.png", bytes(range(256)) * 20, "has no audio in it|not readable as audio"),
    ],
)
def test_files_that_are_not_audio_say_so(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=message) as caught:
        probe(tmp_path / name)
    assert name in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_missing_files_folders_and_files_without_samples_say_so(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="there is no such file"):
        probe(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        probe(tmp_path)
    soundfile.write(tmp_path / "zero.wav", np.zeros((0, 2)), 44100)
    with pytest.raises(AudioError, match="no audio at all"):
        probe(tmp_path / "zero.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused_with_their_time(tmp_path: Path, bad: float) -> None:
    audio = noise(3000, 1)
    audio[1600] = bad
    soundfile.write(tmp_path / "x.wav", audio, 16000, subtype="FLOAT")
    with (
        pytest.raises(AudioError, match=r"not a number at 0\.100 s \(sample 1600\)"),
        AudioReader(tmp_path / "x.wav") as reader,
    ):
        list(reader.blocks(1000))


@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
def test_a_cut_off_file_is_read_to_where_it_ends_and_reported(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    audio = noise(50000, 1)
    soundfile.write(tmp_path / name, audio, 16000, subtype="PCM_16")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING), AudioReader(tmp_path / name) as reader:
        back = np.concatenate(list(reader.blocks()))
    assert 15000 < len(back) < 30000
    assert np.abs(back - audio[: len(back)]).max() < 1e-4 or name == "x.flac"


@pytest.mark.parametrize(
    ("old", "new"),
    [(44100, 48000), (48000, 44100), (44100, 16000), (16000, 44100), (22050, 44100), (44100, 44100), (11025, 96000)],
)
@pytest.mark.parametrize("samples", [1, 2, 99, 44100, 50001])
def test_streamed_resampling_equals_one_shot_and_has_the_exact_length(old: int, new: int, samples: int) -> None:
    audio = noise(samples)
    stream = StreamResampler(old, new, 2)
    pieces = [stream.push(audio[start : start + 777]) for start in range(0, samples, 777)]
    streamed = np.concatenate([*pieces, stream.push(audio[:0], last=True)])
    assert len(streamed) == resampled_length(samples, old, new)
    assert abs(len(streamed) - samples * new / old) <= 0.5
    np.testing.assert_allclose(streamed, resample(audio, old, new), atol=1e-6)


def test_resampling_keeps_an_impulse_in_its_place() -> None:
    audio = np.zeros((44100, 1), np.float32)
    audio[22050] = 1.0
    assert int(np.abs(resample(audio, 44100, 16000)).argmax()) == 8000
    assert resample(audio, 44100, 44100) is audio
    assert soxr.__version__


def test_channels_are_mapped_as_documented() -> None:
    block = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_allclose(to_channels(block, 1)[:, 0], block.mean(axis=1))
    np.testing.assert_allclose(to_channels(block, 2)[0], [1.0, 2.0])
    np.testing.assert_allclose(to_channels(block[:, :1], 2), np.repeat(block[:, :1], 2, axis=1))
    with pytest.raises(AudioError, match="2 channels cannot become 5"):
        to_channels(block[:, :2], 5)


@pytest.mark.parametrize(
    ("given", "format", "expected"),
    [
        ("PCM_24", "WAV", "PCM_24"),
        ("FLOAT", "WAV", "FLOAT"),
        ("FLOAT", "FLAC", "PCM_24"),
        ("VORBIS", "WAV", "PCM_16"),
        ("PCM_U8", "WAV", "PCM_16"),
    ],
)
def test_depth_of_the_input_is_kept(given: str, format: str, expected: str) -> None:
    info = AudioInfo(path=Path("x"), sample_rate=1, channels=1, frames=1, format="WAV", subtype=given)
    assert matching_subtype(info, format) == expected
    assert info.duration == 1.0
