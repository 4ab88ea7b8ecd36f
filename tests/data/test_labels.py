"""Label files and their alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.audio import read_audio
from majl_cli.data.corpora.mir1k import mir1k, split_of
from majl_cli.data.labels import frames_from_labels, read_confidence, read_csv, read_pitch, read_pv
from majl_cli.errors import DataError


def test_line_k_of_a_pv_file_is_centred_at_k_plus_one_times_20_ms(tmp_path: Path) -> None:
    path = tmp_path / "x.pv"
    path.write_text("0\n69\n57.5\n")
    times, frequencies, known = read_pv(path)
    np.testing.assert_allclose(times, [0.02, 0.04, 0.06])
    np.testing.assert_allclose(frequencies, [0.0, 440.0, 440 * 2 ** (-11.5 / 12)])
    assert known.all()


@pytest.mark.data
def test_real_mir1k_labels_agree_with_the_voice_at_that_alignment_only(shared_data: Path) -> None:
    """An autocorrelation tracker on the voice agrees with the labels, and less so when they are read 20 ms early."""
    import librosa

    shares = []
    tracks = [t for t in mir1k(shared_data / "mir1k") if t.split == "validation"][::40]
    for track in tracks:
        audio, rate = read_audio(track.stems["vocals"].path)
        f0 = librosa.yin(audio[:, 1], fmin=60, fmax=900, sr=rate, frame_length=1024, hop_length=160)
        times = np.arange(len(f0)) * 0.01
        assert track.pitch is not None
        label_times, frequencies, known = read_pv(track.pitch)
        row = []
        for shift in (0.0, -0.02):
            reference, _ = frames_from_labels((label_times + shift, frequencies, known), times)
            voiced = reference > 0
            row.append(np.mean(np.abs(1200 * np.log2(f0[voiced] / reference[voiced])) < 50))
        shares.append(row)
    right, early = np.mean(shares, axis=0)
    assert right > 0.9
    assert early < right - 0.04


def test_csv_reads_crepe_columns_machine_columns_and_no_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,frequency,confidence,voiced\n0.0,220,0.9,1\n0.01,221,0.2,0\n")
    np.testing.assert_allclose(read_csv(path)[1], [220, 0])
    path.write_text("time_s,f0_hz,agree\n0.00,0.00,1\n0.01,100.0,0\n")
    assert read_csv(path)[2].tolist() == [True, False]
    path.write_text("0.0,110\n0.01,-110\n")
    np.testing.assert_allclose(read_csv(path)[1], [110, 0])
    path.write_text("time\tf0\n0\t110\n0.01\t0\n")
    np.testing.assert_allclose(read_csv(path)[:2], [[0, 0.01], [110, 0]])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "hop"), [("mirex05/train01REF.txt", 0.01), ("vocadito/vocadito_1_f0.csv", 256 / 44100)]
)
def test_real_melody_labels_of_other_corpora_are_read(shared_data: Path, name: str, hop: float) -> None:
    times, frequencies, known = read_csv(shared_data / name)
    assert np.median(np.diff(times)) == pytest.approx(hop, abs=1e-6)
    assert known.all() and 0.2 < np.mean(frequencies > 0) < 1.0
    assert 60 < np.median(frequencies[frequencies > 0]) < 1000


@pytest.mark.parametrize(
    ("text", "message"), [("", "no labels|not readable"), ("a,b\nc,d\n", "not readable"), ("1\n2\n", "one column")]
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_broken_label_files_say_so(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_csv(path)


def test_frames_interpolate_inside_a_note_and_jump_between_notes() -> None:
    times = np.array([0.02, 0.04, 0.06, 0.08])
    frequencies = np.array([200.0, 206.0, 400.0, 0.0])
    f0, known = frames_from_labels((times, frequencies, np.ones(4, bool)), np.arange(13) * 0.01)
    assert f0[3] == pytest.approx(np.sqrt(200 * 206))
    assert f0[4] == pytest.approx(206)
    assert f0[6] == pytest.approx(400)
    assert f0[8] == 0
    assert known[:11].all()
    assert not known[11:].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,confidence\n", "not times and confidences"),
        ("time,confidence\n0,0.5,1\n", "not times and confidences"),
        ("time,confidence\n1,0.5\n0,0.5\n", "not times and confidences"),
        ("time,confidence\n0,1.5\n", "a confidence outside [0, 1]"),
        ("time,confidence\n0,nan\n", "a confidence outside [0, 1]"),
        ("time,confidence\na,b\n", "not readable"),
    ],
)
def test_what_is_not_a_confidence_says_how_to_make_it_again(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "confidence.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_confidence(path)
    assert caught.value.message.startswith(f"{path}: {message}")
    assert caught.value.hint == "run majl pseudolabel again"


def test_singers_are_in_one_split_only_and_shared_backings_stand_apart() -> None:
    assert split_of("amy_1_01") == "train"
    assert split_of("annar_1_01") == "validation"
    assert split_of("annar_4_07") == split_of("abjones_2_01") == "validation-overlap"
    assert split_of("heycat_3_02") == "test"


@pytest.mark.data
def test_real_mir1k_splits_have_the_counts_of_its_readme(shared_data: Path) -> None:
    tracks = mir1k(shared_data / "mir1k")
    counts = {split: sum(t.split == split for t in tracks) for split in ("train", "validation", "validation-overlap")}
    assert counts == {"train": 683, "validation": 153, "validation-overlap": 21}
    singers = {split: {t.artist for t in tracks if t.split == split} for split in ("train", "validation")}
    assert not singers["train"] & singers["validation"]


@pytest.mark.parametrize("kind", ["wav", "ogg"])
def test_mir1k_clips_have_the_accompaniment_left_and_the_voice_right(tmp_path: Path, kind: str) -> None:
    (tmp_path / "Wavfile").mkdir()
    (tmp_path / "PitchLabel").mkdir()
    time = np.arange(16000) / 16000
    audio = 0.3 * np.stack((np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 220 * time)), axis=1)
    soundfile.write(tmp_path / "Wavfile" / f"amy_1_01.{kind}", audio, 16000)
    (tmp_path / "PitchLabel" / "amy_1_01.pv").write_text("57\n" * 49)
    (track,) = mir1k(tmp_path)
    assert (track.labels, track.split, track.artist, track.duration) == ("full", "train", "amy", 1.0)
    for name, frequency in (("accompaniment", 1000), ("vocals", 220)):
        stem = track.stems[name]
        channel = soundfile.read(stem.path, always_2d=True)[0][:, stem.channel]
        assert np.abs(np.fft.rfft(channel)).argmax() == frequency
    times, frequencies, known = read_pitch(track)
    assert times[[0, 1]] == pytest.approx([0.02, 0.04])
    assert frequencies == pytest.approx(220.0) and known.all()


def test_mir1k_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder Wavfile"):
        mir1k(tmp_path)
    (tmp_path / "Wavfile").mkdir()
    with pytest.raises(DataError, match="no folder PitchLabel"):
        mir1k(tmp_path)
    (tmp_path / "PitchLabel").mkdir()
    with pytest.raises(DataError, match="no .wav, .ogg or .flac file"):
        mir1k(tmp_path)
    (tmp_path / "Wavfile" / "amy_1_01.wav").write_bytes(b"x")
    with pytest.raises(DataError, match="no label amy_1_01.pv"):
        mir1k(tmp_path)
