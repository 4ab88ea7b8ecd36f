"""Audio files as streams: what goes in comes out, and what is wrong is said in one line."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from majl_cli.audio import AudioInfo, AudioReader, AudioWriter, matching_subtype, probe, read_audio
from majl_cli.errors import AudioError
from majl_cli.resample import StreamResampler, resample, resampled_length, to_channels


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


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize("samples", [0, 1, 2])
def test_next_to_nothing_can_be_written(tmp_path: Path, name: str, samples: int) -> None:
    with AudioWriter(tmp_path / name, sample_rate=44100, channels=1) as writer:
        writer.write(noise(samples, 1))
    assert (tmp_path / name).exists()


def test_a_wav_that_would_be_too_long_for_its_header_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("majl_cli.audio.WAV_LIMIT", 10000)
    with (
        pytest.raises(AudioError, match=r"x\.wav: a WAV file cannot be longer than 4 GiB"),
        AudioWriter(tmp_path / "x.wav", sample_rate=8000, channels=1) as writer,
    ):
        for _ in range(10):
            writer.write(noise(1000, 1))
    assert list(tmp_path.iterdir()) == []


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
        pytest.raises(AudioError, match=r"x\.wav: cannot be written: .*file is not a folder"),
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
    for code, message in ((errno.ENOSPC, "the disk is full"), (errno.EROFS, r"y\.wav: cannot be written: refused")):

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


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize("limit", [0, 100, 4096])
def test_what_libsndfile_cannot_write_and_does_not_say_is_found(tmp_path: Path, name: str, limit: int) -> None:
    """A file may not grow beyond a limit: writing fails as on a full disk, at the last on closing."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with (
            pytest.raises(AudioError, match=rf"{name}: cannot be written: File too large"),
            AudioWriter(tmp_path / name, sample_rate=44100, channels=2) as writer,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            writer.write(noise(40000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
def test_a_full_disk_is_found_on_a_small_one(tmp_path: Path, name: str) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        for samples in (20000, 2000000 if name in ("x.ogg", "x.mp3") else 100000):
            with (
                pytest.raises(AudioError, match=rf"{name}: the disk is full"),
                AudioWriter(tmp_path / name, sample_rate=44100, channels=2) as writer,
            ):
                (tmp_path / "rest").write_bytes(b"1" * 65536)
                writer.write(noise(samples))
            assert [path.name for path in tmp_path.iterdir()] == ["rest"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


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


def test_a_header_with_thousands_of_channels_is_no_audio(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(5000), 44100, subtype="PCM_24")
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[22:24] = b"\x02\x65"
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(AudioError), AudioReader(tmp_path / "x.wav") as reader:
        list(reader.blocks())


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


@pytest.mark.parametrize("level", [1e30, -1e7])
def test_an_absurd_level_is_refused_with_its_time(tmp_path: Path, level: float) -> None:
    audio = noise(3000, 1)
    audio[1600] = level
    soundfile.write(tmp_path / "x.wav", audio, 16000, subtype="FLOAT")
    expected = r"x\.wav: level out of range \(1e\+\d\d times full scale\) at 0\.100 s \(sample 1600\)"
    with pytest.raises(AudioError, match=expected), AudioReader(tmp_path / "x.wav") as reader:
        list(reader.blocks(1000))


@pytest.mark.parametrize(
    ("name", "warning"), [("x.wav", "cut off: 24989 of 50000 samples are there"), ("x.flac", "damaged from here on")]
)
def test_a_cut_off_file_is_read_to_where_it_ends_and_reported_once(
    tmp_path: Path, name: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    audio = noise(50000, 1)
    soundfile.write(tmp_path / name, audio, 16000, subtype="PCM_16")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING), AudioReader(tmp_path / name) as reader:
        back = np.concatenate(list(reader.blocks()))
    assert 15000 < len(back) < 30000
    assert np.abs(back - audio[: len(back)]).max() < 1e-4 or name == "x.flac"
    assert len(caplog.messages) == 1
    assert f"{name}: {warning}" in caplog.messages[0]


def test_a_wav_from_a_pipe_whose_size_nobody_knew_is_not_called_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(tmp_path / "x.wav", noise(5000, 1), 16000, subtype="PCM_16")
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "x.wav").write_bytes(content)
    with caplog.at_level(logging.WARNING), AudioReader(tmp_path / "x.wav") as reader:
        assert sum(map(len, reader.blocks())) == 5000
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["take.raw", "12:30 live.wav", "a" * 251 + ".wav"])
def test_the_name_does_not_matter_for_what_a_file_holds(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "x.wav", noise(5000), 16000, subtype="PCM_16")
    (tmp_path / "x.wav").rename(tmp_path / name)
    assert read_audio(tmp_path / name)[0].shape == (5000, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
@pytest.mark.parametrize("extension", ["wav", "mp3", "flac"])
def test_a_name_that_is_no_text_can_be_read_and_written(tmp_path: Path, extension: str) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff." + extension.encode())
    with AudioWriter(path, sample_rate=44100, channels=2) as writer:
        writer.write(noise(5000))
    assert read_audio(path)[0].shape == (5000, 2)


def test_a_long_name_in_another_script_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("歌" * 80 + ".wav")
    with AudioWriter(path, sample_rate=8000, channels=1) as writer:
        writer.write(noise(100, 1))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_colon_in_a_name_names_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_with_av(tmp_path / "x.m4a", noise(44100), 44100, "aac").rename(tmp_path / "http:x.m4a")
    assert probe("http:x.m4a").sample_rate == 44100


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(100), 16000)
    (tmp_path / "x.wav").chmod(0)
    with pytest.raises(AudioError, match=r"x\.wav: cannot be read: Permission denied"):
        probe(tmp_path / "x.wav")


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    soundfile.write(tmp_path / "x.wav", noise(100), 16000)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"x\.wav: cannot be read: Permission denied"):
        probe(tmp_path / "x.wav")


def test_an_mp3_never_goes_to_libsndfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "x.mp3", noise(44100), 44100)
    monkeypatch.setattr(soundfile, "SoundFile", None)
    assert probe(tmp_path / "x.mp3").format == "MP3"


def test_joined_mp3s_of_other_rates_and_channels_become_like_the_first(tmp_path: Path) -> None:
    time = np.arange(48000 * 2) / 48000
    tone = (0.3 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    soundfile.write(tmp_path / "a.mp3", np.stack((tone, tone), axis=1)[: 44100 * 2], 44100)
    soundfile.write(tmp_path / "b.mp3", tone, 48000)
    (tmp_path / "x.mp3").write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    audio, rate = read_audio(tmp_path / "x.mp3")
    assert rate == 44100
    assert audio.shape[1] == 2
    assert abs(len(audio) - 4 * 44100) < 9000
    part = audio[3 * 44100 : 3 * 44100 + 22050, 0]
    assert int(np.abs(np.fft.rfft(part)).argmax()) == round(500 * 48000 / 44100 * 44100 / 48000 / 2)


def test_24_bits_are_kept_in_a_lossless_file_read_through_av(tmp_path: Path) -> None:
    path = tmp_path / "x.m4a"
    audio = np.random.default_rng(0).integers(-(2**23), 2**23, (2, 8192)).astype(np.int32) * 256
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("alac", rate=44100)
        stream.layout, stream.format = "stereo", "s32p"
        for start in range(0, 8192, 4096):
            frame = av.AudioFrame.from_ndarray(audio[:, start : start + 4096].copy(), format="s32p", layout="stereo")
            frame.rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert matching_subtype(probe(path)) == "PCM_24"
    np.testing.assert_array_equal(read_audio(path)[0], audio.T.astype(np.float32) / 2**31)
    assert matching_subtype(probe(write_with_av(tmp_path / "y.m4a", noise(44100), 44100, "aac"))) == "PCM_16"


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
