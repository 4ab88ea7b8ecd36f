"""Model.separate and Model.estimate_pitch on files and arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_modules import FakePitch, FakeSeparation, Half, fake_model, noise
from torch import Tensor

from majl_cli.errors import AudioError, Cancelled, CheckpointError, UsageError
from majl_cli.inference import outputs, source


@pytest.fixture
def song(tmp_path: Path) -> Callable[..., Path]:
    """Writes noise as ``song.wav`` and gives its path."""

    def write(samples: int = 3000, channels: int = 2, subtype: str = "PCM_16", name: str = "song.wav") -> Path:
        path = tmp_path / name
        soundfile.write(path, noise(samples, channels), 1000, subtype=subtype)
        return path

    return write


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("shape", [(3001,), (3001, 1), (3001, 2), (1,), (1, 2), (500, 8)])
def test_arrays_in_arrays_out(shape: tuple[int, ...]) -> None:
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, shape)
    result = fake_model(FakeSeparation(channels=2)).separate(audio, sample_rate=1100)
    assert result.stems is not None and result.files == {}
    expected = audio.reshape(len(audio), -1)
    assert all(stem.shape == expected.shape for stem in result.stems.values())
    assert np.abs(sum(result.stems.values()) - expected).max() < 1e-4
    assert (result.sample_rate, result.seconds) == (1100, len(audio) / 1100)
    assert result.real_time_factor == result.elapsed / result.seconds > 0
    assert result.clipped == {"vocals": 0, "accompaniment": 0}


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_files_keep_rate_channels_length_and_depth(song: Callable[..., Path], tmp_path: Path, subtype: str) -> None:
    path = song(3001, subtype=subtype)
    result = fake_model(Half()).separate(path, out=tmp_path / "stems")
    assert result.stems is None
    assert below(tmp_path / "stems") == ["song", "song/accompaniment.wav", "song/vocals.wav"]
    assert result.files == {stem: tmp_path / "stems" / "song" / f"{stem}.wav" for stem in ("vocals", "accompaniment")}
    for file in result.files.values():
        info = soundfile.info(file)
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (1000, 2, 3001, subtype)
    mixture = soundfile.read(path)[0]
    total = sum(soundfile.read(file)[0] for file in result.files.values())
    assert np.abs(total - mixture).max() < (1e-6 if subtype == "FLOAT" else 2 / 32768)


def test_file_and_array_give_the_same(song: Callable[..., Path], tmp_path: Path) -> None:
    path = song(subtype="FLOAT")
    model = fake_model(FakeSeparation(channels=2))
    files = model.separate(path, out=tmp_path / "stems", subtype="FLOAT").files
    arrays = model.separate(soundfile.read(path)[0], sample_rate=1000).stems
    from_file = model.separate(str(path)).stems
    assert arrays is not None and from_file is not None
    for stem, file in files.items():
        written = soundfile.read(file)[0]
        assert np.abs(written - arrays[stem]).max() < 1e-6
        assert np.abs(written - from_file[stem]).max() < 1e-6


def test_array_can_be_written_and_name_format_and_stems_chosen(tmp_path: Path) -> None:
    result = fake_model().separate(
        noise(3000), sample_rate=8000, stems=["vocals", "vocals"], out=str(tmp_path), format="flac", subtype="PCM_24",
        filename="{stem} of {track}.{ext}",
    )  # fmt: skip
    assert result.files == {"vocals": tmp_path / "vocals of audio.flac"}
    assert soundfile.info(result.files["vocals"]).subtype == "PCM_24"
    assert below(tmp_path) == ["vocals of audio.flac"]


BAND = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, BAND),
        ("all", BAND),
        ("drums", ("drums",)),
        (["no_drums", "drums"], ("no_drums", "drums")),
        (("accompaniment", "all"), ("accompaniment", *BAND)),
    ],
)
def test_stems_of_a_band_are_those_asked_for(asked: object, given: tuple[str, ...], tmp_path: Path) -> None:
    model = fake_model(FakeSeparation(channels=2, stems=BAND))
    audio = noise(2000, 2)
    arrays = model.separate(audio, sample_rate=1100, stems=asked).stems
    files = model.separate(audio, sample_rate=1100, stems=asked, out=tmp_path).files
    assert arrays is not None
    assert tuple(arrays) == tuple(files) == given
    for stem, file in files.items():
        assert np.abs(soundfile.read(file)[0] - arrays[stem]).max() < 1e-6
    if "no_drums" in arrays:
        assert np.abs(arrays["drums"] + arrays["no_drums"] - audio).max() < 1e-6


def test_the_pitch_of_a_band_is_that_of_its_vocals() -> None:
    audio = noise(3000, 2)
    model = fake_model(FakeSeparation(channels=2, stems=BAND))
    vocals = model.separate(audio, sample_rate=1000).stems["vocals"]
    expected = model.estimate_pitch(vocals, sample_rate=1000, input="vocals")
    assert np.allclose(model.estimate_pitch(audio, sample_rate=1000, input="mixture").frequency, expected.frequency)


def test_clipped_samples_are_counted_per_stem(tmp_path: Path) -> None:
    audio = np.zeros((1000, 1), np.float32)
    audio[10:15] = 2.5
    model = fake_model(Half())
    clipped = model.separate(audio, sample_rate=1000, out=tmp_path, subtype="PCM_16").clipped
    assert clipped == {"vocals": 5, "accompaniment": 5}
    assert model.separate(audio, sample_rate=1000, out=tmp_path).clipped == {"vocals": 0, "accompaniment": 0}


def test_progress_never_falls_and_ends_with_one(song: Callable[..., Path], tmp_path: Path) -> None:
    model = fake_model()
    for work in (
        lambda progress: model.separate(song(), progress=progress),
        lambda progress: model.separate(song(), out=tmp_path / "stems", progress=progress),
        lambda progress: model.estimate_pitch(song(), progress=progress),
        lambda progress: model.estimate_pitch(song(), input="auto", progress=progress),
    ):
        fractions: list[float] = []
        work(fractions.append)
        assert len(fractions) > 3
        assert fractions == sorted(fractions)
        assert fractions[0] >= 0 and fractions[-1] == 1.0 and fractions.count(1.0) == 1


def test_progress_of_a_file_that_does_not_say_how_long_it_is_approaches_one(
    song: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(source.AudioReader):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.info = dataclasses.replace(self.info, frames=None)

    monkeypatch.setattr(source, "AudioReader", Endless)
    fractions: list[float] = []
    fake_model().separate(song(100_000), progress=fractions.append)
    assert fractions == sorted(set(fractions))
    assert fractions[-2] == pytest.approx(100 / 160) and fractions[-1] == 1.0


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_cancelling_leaves_nothing_behind(song: Callable[..., Path], tmp_path: Path, at: float) -> None:
    path = song()
    before = below(tmp_path)
    with pytest.raises(Cancelled, match="song: cancelled at"):
        fake_model().separate(path, out=tmp_path / "new" / "stems", progress=lambda fraction: fraction < at)
    assert below(tmp_path) == before


def test_cancelling_leaves_older_files_as_they_were(song: Callable[..., Path], tmp_path: Path) -> None:
    model, path = fake_model(), song()
    files = model.separate(path, out=tmp_path / "stems").files
    old = {file: file.read_bytes() for file in files.values()}
    soundfile.write(path, noise(5000, 2, seed=1), 1000)
    before = below(tmp_path)
    with pytest.raises(Cancelled):
        model.separate(path, out=tmp_path / "stems", progress=lambda fraction: fraction < 0.9)
    assert {file: file.read_bytes() for file in files.values()} == old
    assert below(tmp_path) == before


def test_none_from_the_callback_does_not_cancel() -> None:
    fake_model().separate(noise(2000), sample_rate=1000, progress=lambda fraction: None)


def test_pitch_can_be_cancelled(song: Callable[..., Path]) -> None:
    with pytest.raises(Cancelled):
        fake_model().estimate_pitch(song(), progress=lambda fraction: False)


def test_interrupt_while_writing_leaves_nothing_behind(song: Callable[..., Path], tmp_path: Path) -> None:
    path = song()
    before = below(tmp_path)

    def interrupt(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fake_model().separate(path, out=tmp_path / "stems", progress=interrupt)
    assert below(tmp_path) == before


def test_if_one_stem_cannot_be_written_none_is(
    song: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = song()
    before = below(tmp_path)
    writers = []

    class FullDisk(outputs.AudioWriter):
        def write(self, block: np.ndarray) -> None:
            writers.append(self.path.name)
            if "accompaniment" in self.path.name and len(writers) > 6:
                raise AudioError("the disk is full")
            super().write(block)

    monkeypatch.setattr(outputs, "AudioWriter", FullDisk)
    with pytest.raises(AudioError, match="the disk is full"):
        fake_model().separate(path, out=tmp_path / "stems")
    assert len(writers) > 6
    assert below(tmp_path) == before


def test_if_one_stem_cannot_take_its_name_none_does(
    song: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = song()
    before = below(tmp_path)
    rename = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if Path(target).name == "accompaniment.wav":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(AudioError, match="accompaniment.wav: cannot be written: Permission denied"):
        fake_model().separate(path, out=tmp_path / "stems")
    assert below(tmp_path) == before


def test_a_file_where_a_folder_should_be_is_an_error(song: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "stems").write_text("x")
    for out in (tmp_path / "stems", tmp_path / "stems" / "deep"):
        with pytest.raises(AudioError):
            fake_model().separate(song(), out=out)
    assert below(tmp_path) == ["song.wav", "stems"]


def test_existing_files_are_kept_when_asked(song: Callable[..., Path], tmp_path: Path) -> None:
    model, path = fake_model(), song()
    model.separate(path, out=tmp_path)
    with pytest.raises(AudioError, match="vocals.wav: exists"):
        model.separate(path, out=tmp_path, overwrite=False)
    model.separate(path, out=tmp_path)


def test_the_input_is_never_overwritten(song: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="would overwrite the input"):
        fake_model().separate(song(), out=tmp_path, stems=["vocals"], filename="{track}.{ext}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stems": ("kazoo",)}, "no stem 'kazoo'"),
        ({"stems": ()}, "no stem asked for"),
        ({"out": "x", "format": "aiff"}, "no format 'aiff'"),
        ({"out": "x", "filename": "{name}.wav"}, "not a template"),
        ({"out": "x", "filename": "{}.wav"}, "not a template"),
        ({"out": "x", "filename": "{stem.a}.wav"}, "not a template"),
        ({"out": "x", "filename": "../{stem}.wav"}, "not below the folder"),
        ({"out": "x", "filename": "/{stem}.wav"}, "not below the folder"),
        ({"out": "x", "filename": "a.wav"}, "gives several stems one name"),
        ({"format": "wav"}, "format and subtype are for files"),
        ({"overlap": 2.0}, "not a fraction"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    options: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        fake_model().separate(noise(500), sample_rate=1000, **options)
    assert below(tmp_path) == []


@pytest.mark.parametrize(
    ("audio", "rate"),
    [
        (noise(500), None),
        (noise(500), 0),
        (np.zeros((0, 2)), 1000),
        (np.zeros((2, 2, 2)), 1000),
        (np.zeros((2, 5000)), 1000),
        (np.zeros(500, np.int16), 1000),
        (np.full(500, np.nan), 1000),
        (np.full(500, 1e30), 1000),
        ("song.wav", 1000),
        ("missing.wav", None),
    ],
)
def test_what_is_not_audio_is_an_error_with_a_hint(audio: object, rate: int | None) -> None:
    for work in (fake_model().separate, fake_model().estimate_pitch):
        with pytest.raises((AudioError, UsageError)) as error:
            work(audio, sample_rate=rate)
        assert error.value.hint


def test_array_is_not_changed() -> None:
    audio = noise(2000, 2)
    audio.setflags(write=False)
    copy = audio.copy()
    fake_model().separate(audio, sample_rate=1000)
    fake_model().estimate_pitch(audio, sample_rate=1000)
    assert np.array_equal(audio, copy)


def test_pitch_of_a_file_and_of_an_array_agree(song: Callable[..., Path]) -> None:
    path = song(subtype="FLOAT")
    model = fake_model()
    from_file = model.estimate_pitch(path, input="mixture")
    from_array = model.estimate_pitch(soundfile.read(path)[0], sample_rate=1000, input="mixture")
    assert (from_file.seconds, from_array.seconds) == (3.0, 3.0)
    assert from_file.input == "mixture"
    assert np.allclose(from_file.frequency, from_array.frequency)
    assert len(from_file.times) == 3000 // 2 // 5 + 1


def test_auto_says_what_it_decided(song: Callable[..., Path]) -> None:
    model = fake_model(Half(), FakePitch())
    path = song()
    assert model.detect_input(path) == ("mixture", pytest.approx(-6.02, abs=0.01))
    track = model.estimate_pitch(path)
    assert track.input == "mixture"
    assert np.array_equal(track.frequency, model.estimate_pitch(path, input="mixture").frequency)


def test_a_model_that_fails_on_a_file_says_on_which(song: Callable[..., Path]) -> None:
    class Broken(FakeSeparation):
        def forward(self, mixture: Tensor) -> Tensor:
            return super().forward(mixture) * float("inf")

    for work in (fake_model(Broken()).separate, fake_model(Broken()).estimate_pitch):
        with pytest.raises(CheckpointError, match=r"song\.wav: the model's output is not finite"):
            work(song())


def test_a_pitch_track_lasts_as_long_as_the_audio() -> None:
    track = fake_model().estimate_pitch(noise(2987), sample_rate=1100)
    assert track.seconds == 2987 / 1100


def test_wrong_kind_of_input_is_refused() -> None:
    with pytest.raises(UsageError, match="no kind of input 'song'"):
        fake_model().estimate_pitch(noise(10), sample_rate=1000, input="song")
