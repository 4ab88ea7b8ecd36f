"""f0 and note files of other tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from majl_cli.data.f0_files import read_f0_file
from majl_cli.data.labels import read_csv
from majl_cli.data.note_files import read_note_file
from majl_cli.data.note_labels import Note, note_arrays
from majl_cli.errors import DataError
from majl_cli.inference.pitch import PitchTrack
from majl_cli.report.pitch_files import write_csv, write_npz


def written(folder: Path, text: str, name: str = "f0.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def track() -> PitchTrack:
    return PitchTrack(
        times=np.arange(4) * 0.01,
        frequency=np.array([220.0, 221.0, 400.0, 222.5]),
        confidence=np.array([0.9, 0.5, 0.1, 0.75]),
        voiced=np.array([True, True, False, True]),
        hop_seconds=0.01,
        threshold=0.5,
        input="vocals",
        seconds=0.04,
    )


def test_files_of_majl_come_back(tmp_path: Path, track: PitchTrack) -> None:
    write_csv(track, tmp_path / "a.csv")
    write_csv(track, tmp_path / "raw.csv", raw=True)
    write_npz(track, tmp_path / "a.npz")
    for name, guess in (("a.csv", 0.0), ("raw.csv", -400.0), ("a.npz", -400.0)):
        estimate = read_f0_file(tmp_path / name, threshold=0.95)  # their own decision stands
        np.testing.assert_allclose(estimate.times, track.times)
        np.testing.assert_allclose(estimate.frequency, [220, 221, guess, 222.5])
        np.testing.assert_allclose(estimate.confidence, track.confidence)


def test_crepe_takes_its_voicing_from_a_threshold(tmp_path: Path) -> None:
    path = written(tmp_path, "time,frequency,confidence\n0.00,185.616,0.907112\n0.01,186.764,0.4\n0.02,188.356,nan\n")
    np.testing.assert_allclose(read_f0_file(path).frequency, [185.616, 186.764, 188.356])
    np.testing.assert_allclose(read_f0_file(path, threshold=0.4).frequency, [185.616, 186.764, -188.356])
    np.testing.assert_allclose(read_f0_file(path, threshold=0.5).frequency, [185.616, -186.764, -188.356])
    np.testing.assert_allclose(read_f0_file(path).confidence, [0.907112, 0.4, 0.0])


def test_pesto_writes_milliseconds(tmp_path: Path) -> None:
    path = written(
        tmp_path, "time,frequency,confidence,volume\n0.000,41.4,0.000,0.1\n10.000,220,0.8,1\n20.000,221,0.7,1\n"
    )
    estimate = read_f0_file(path, threshold=0.5)
    np.testing.assert_allclose(estimate.times, [0, 0.01, 0.02])
    np.testing.assert_allclose(estimate.frequency, [-41.4, 220, 221])


def test_swift_f0_says_true_and_false(tmp_path: Path) -> None:
    text = "timestamp,pitch_hz,confidence,voiced\n0.0080,220.00,0.9500,true\n0.0240,110.00,0.2000,false\n"
    estimate = read_f0_file(written(tmp_path, text), threshold=0.1)
    np.testing.assert_allclose(estimate.times, [0.008, 0.024])
    np.testing.assert_allclose(estimate.frequency, [220, -110])


def test_a_table_of_pyin_with_its_index_is_read_by_its_names(tmp_path: Path) -> None:
    text = ",f0,voiced_flag,voiced_prob,time,is\n0,,False,0.1,0.0,a b\n1,220.5,True,0.9,0.01,\n2,nan,True,0.9,0.02,c\n"
    estimate = read_f0_file(written(tmp_path, text))
    np.testing.assert_array_equal(estimate.frequency, [0, 220.5, 0])
    np.testing.assert_array_equal(estimate.confidence, [0.1, 0.9, 0.9])
    assert not np.signbit(estimate.frequency).any()


@pytest.mark.parametrize("text", ["0.0,220\n0.01,-110\n0.02,0\n0.03,nan", "0.0 220\n0.01 -110\n0.02 0\n0.03 NaN\n"])
@pytest.mark.parametrize("comment", ["", "# made by hand\n", "# time of day: noon\n", "# time frequency\n"])
def test_two_columns_need_no_names(tmp_path: Path, text: str, comment: str) -> None:
    estimate = read_f0_file(written(tmp_path, comment + text, "f0.txt"), threshold=0.5)
    np.testing.assert_allclose(estimate.times, [0, 0.01, 0.02, 0.03])
    np.testing.assert_allclose(estimate.frequency, [220, -110, 0, 0])
    assert estimate.confidence is None


def test_names_that_numpy_wrote_as_a_comment_count(tmp_path: Path) -> None:
    rows = np.array([[0.0, 0.9, 220.0], [0.01, 0.1, 221.0]])
    np.savetxt(tmp_path / "f0.csv", rows, delimiter=",", header="time,confidence,frequency")
    np.testing.assert_allclose(read_f0_file(tmp_path / "f0.csv", threshold=0.5).frequency, [220, -221])


def test_rows_left_out_are_silence(tmp_path: Path) -> None:
    path = written(tmp_path, "0.10,220\n0.11,220\n0.12,220\n0.50,330\n0.51,330\n0.53,330\n")
    estimate = read_f0_file(path)
    np.testing.assert_allclose(estimate.times, [0.10, 0.11, 0.12, 0.13, 0.50, 0.51, 0.52, 0.53])
    np.testing.assert_allclose(estimate.frequency, [220, 220, 220, 0, 330, 330, 0, 330])


def test_rounded_times_are_no_gaps(tmp_path: Path) -> None:
    times = np.round(np.arange(500) * 256 / 44100, 3)
    path = written(tmp_path, "".join(f"{time},220\n" for time in times))
    assert len(read_f0_file(path).times) == 500


def test_a_pv_file_is_on_the_grid_of_mir1k(tmp_path: Path) -> None:
    estimate = read_f0_file(written(tmp_path, "0\n69\n", "amy.pv"))
    np.testing.assert_allclose(estimate.times, [0.02, 0.04])
    np.testing.assert_allclose(estimate.frequency, [0, 440])


@pytest.mark.data
@pytest.mark.parametrize("name", ["mirex05/train01REF.txt", "vocadito/vocadito_1_f0.csv"])
def test_real_files_read_as_labels_and_as_estimates_alike(shared_data: Path, name: str) -> None:
    estimate = read_f0_file(shared_data / name)
    times, frequency, _ = read_csv(shared_data / name)
    np.testing.assert_array_equal(estimate.times, times)
    np.testing.assert_array_equal(estimate.frequency, frequency)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f0.csv", "", "no frames in it"),
        ("f0.csv", "time,pitch\n0,60\n", "no column frequency among time, pitch"),
        ("f0.csv", "frequency,confidence\n220,1\n", "no column time among"),
        ("f0.csv", "0,220,0.5\n", "3 columns without names"),
        ("f0.csv", "time,frequency\n0,high\n", "not readable as numbers"),
        ("f0.csv", "time,frequency\n0.01,220\n0,220\n", "0 s comes after 0.01 s"),
        ("f0.csv", "time,frequency\n0.01,220\n0.01,220\n", "0.01 s comes after 0.01 s"),
        ("f0.csv", "time,frequency\n-0.01,220\n0,220\n", "below 0"),
        ("f0.csv", "time,frequency\nnan,220\n", "below 0 or no number"),
        ("f0.csv", "time,frequency\n0,inf\n", "infinite"),
        ("f0.pt", "", "no f0 file ends in '.pt'"),
        ("f0.npz", "no archive", "not readable"),
        ("f0.pv", "", "no labels in it"),
    ],
)
def test_what_is_no_f0_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_f0_file(written(tmp_path, text, name))
    assert caught.value.message.startswith(str(tmp_path / name)) and message in caught.value.message
    assert caught.value.hint


def test_a_missing_file_and_a_foreign_archive_are_named(tmp_path: Path) -> None:
    for name in ("f0.csv", "f0.npz", "f0.pv"):
        with pytest.raises(DataError, match=name):
            read_f0_file(tmp_path / name)
    np.savez(tmp_path / "f0.npz", timesteps=np.zeros(3))
    with pytest.raises(DataError, match="times is not a file in the archive"):
        read_f0_file(tmp_path / "f0.npz")
    np.savez(tmp_path / "f0.npz", times=np.zeros(3), frequency=np.zeros(2), confidence=np.zeros(3), voiced=np.zeros(3))
    with pytest.raises(DataError, match="differ in shape"):
        read_f0_file(tmp_path / "f0.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "f0.npz")
    with pytest.raises(DataError, match="one array only"):
        read_f0_file(tmp_path / "f0.npz")


@pytest.mark.parametrize(
    "text",
    [
        "onset,offset,midi\n1.0,2.5,57\n0.0,1.0,69\n",
        "onset,frequency,duration\n0.0,440,1.0\n1.0,220,1.5\n",
        "start_time_s,end_time_s,pitch_midi,velocity,pitch_bend\n1.0,2.5,57,87,0,1,1\n0.0,1.0,69,90,0,0\n",
        "0 1.0 69\n1 2.5 57\n",
        "# onset,offset,midi\n0,1,69\n1,2.5,57\n",
    ],
)
def test_notes_by_name_or_in_three_columns(tmp_path: Path, text: str) -> None:
    notes = read_note_file(written(tmp_path, text, "notes.csv"))
    assert [(note.onset, note.offset) for note in notes] == [(0.0, 1.0), (1.0, 2.5)]
    assert [note.midi for note in notes] == pytest.approx([69.0, 57.0])
    intervals, pitches = note_arrays(notes)
    np.testing.assert_allclose(intervals, [[0, 1], [1, 2.5]])
    np.testing.assert_allclose(pitches, [440, 220])


def test_names_alone_say_that_there_are_no_notes(tmp_path: Path) -> None:
    for text in ("onset,offset,midi\n", "# nothing sung\n"):
        assert read_note_file(written(tmp_path, text, "notes.txt")) == []
    assert [values.shape for values in note_arrays([])] == [(0, 2), (0,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("0,1,440\n", "no note: 0 1 440"),  # Hz without a name
        ("0.66,143.7,0.29\n", "no note"),  # onset, Hz, duration without names
        ("1,0.5,60\n", "no note"),
        ("onset,offset,frequency\n0,1,0\n", "no note: 0 1 0"),
        ("onset,offset,midi\n0,1,\n", "no note: 0 1 nan"),
        ("onset,offset,pitch\n0,1,60\n", "no column midi among onset, offset, pitch"),
        ("0,1\n", "2 columns without names"),
    ],
)
def test_what_is_no_note_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_note_file(written(tmp_path, text, "notes.csv"))
    assert caught.value.message.startswith(str(tmp_path)) and message in caught.value.message
    assert "onset,offset,midi" in caught.value.hint or "names" in caught.value.hint


def test_note_files_are_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no note file ends in '.mid'"):
        read_note_file(tmp_path / "a.mid")


def test_notes_without_a_pitch_or_a_length_are_not_scored() -> None:
    notes = [
        Note(onset=0, offset=1, midi=69),
        Note(onset=1, offset=2, midi=None),
        Note(onset=2, offset=2, midi=60),
    ]
    intervals, pitches = note_arrays(notes)
    assert (intervals.tolist(), pitches.tolist()) == ([[0, 1]], [440])


def test_a_heading_alone_means_that_nothing_was_found_to_be_sung(tmp_path: Path) -> None:
    (tmp_path / "f0.csv").write_text("time,frequency,confidence\n")
    assert len(read_f0_file(tmp_path / "f0.csv").times) == 0
