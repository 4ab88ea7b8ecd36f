"""majl pitch, with a model that needs no weights."""

from __future__ import annotations

import importlib.util
import json
import os

import mido
import numpy as np
import pytest
import soundfile


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_a_choice_of_files_the_csv_is_written_to_the_current_folder(majl, fake_model, song, tmp_path):
    done = majl("pitch", song("in/a.wav"))
    assert (done.code, done.out) == (0, "a.f0.csv\n")
    lines = (tmp_path / "a.f0.csv").read_text().splitlines()
    assert lines[:2] == ["time,frequency,confidence,voiced", "0.000000,440.000,0.9000,1"]
    assert lines[-1] == "0.500000,0.000,0.1000,0"


def test_all_four_files_are_written(majl, fake_model, song, tmp_path):
    done = majl("pitch", song("a.wav"), "--csv", "--npz", "--midi", "--plot", "--out", "new/melody")
    assert done.code == 0
    out = tmp_path / "new" / "melody"
    assert sorted(path.name for path in out.iterdir()) == ["a.f0.csv", "a.f0.npz", "a.f0.png", "a.mid"]
    assert np.load(out / "a.f0.npz")["f0"][0] == 440
    notes = [message for message in mido.MidiFile(out / "a.mid") if message.type == "note_on"]
    assert [message.note for message in notes] == [69]
    assert (out / "a.f0.png").read_bytes().startswith(b"\x89PNG")


def test_what_auto_decided_is_said(majl, fake_model, song):
    path = song("a.wav")
    assert f"{path}: taken as a mixture (--input" in majl("pitch", path).err
    assert "taken as" not in majl("pitch", path, "--input", "vocals").err
    assert fake_model.calls[-1]["input"] == "vocals"


def test_raw_keeps_the_guess_where_unvoiced(majl, fake_model, song, tmp_path):
    majl("pitch", song("a.wav"), "--raw")
    assert (tmp_path / "a.f0.csv").read_text().splitlines()[-1] == "0.500000,440.000,0.1000,0"


def test_options_reach_the_model(majl, fake_model, song):
    majl("pitch", song("a.wav"), "--threshold", "0.3", "--decoder", "viterbi")
    assert (fake_model.calls[0]["threshold"], fake_model.calls[0]["decoder"]) == (0.3, "viterbi")


def test_json_tells_what_was_decided(majl, fake_model, song):
    result = json.loads(majl("pitch", song("a.wav"), "--npz", "--json").out)
    row = result["tracks"][0]
    assert row["files"] == {"npz": "a.f0.npz"}
    assert (row["taken_as"], row["threshold"], row["seconds"]) == ("mixture", 0.5, 0.5)
    assert row["real_time_factor"] == row["elapsed"] / 0.5
    assert row["voiced_share"] == pytest.approx(30 / 51)


def test_skip_existing_skips_what_is_there(majl, fake_model, song):
    path = song("a.wav")
    majl("pitch", path)
    calls = len(fake_model.calls)
    assert majl("pitch", path, "--skip-existing").err.splitlines()[-1] == "0 tracks (1 skipped)"
    assert len(fake_model.calls) == calls
    assert majl("pitch", path, "--skip-existing", "--csv", "--midi").code == 0
    assert len(fake_model.calls) == calls + 1


def test_tracks_of_a_folder_keep_their_subfolders(majl, fake_model, song, tmp_path):
    song("in/x/a.wav")
    song("in/y/a.wav")
    done = majl("pitch", "in", "--out", "out")
    assert done.code == 0
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.csv")) == [
        "x/a.f0.csv",
        "y/a.f0.csv",
    ]


def test_one_bad_file_of_three_does_not_stop_the_others(majl, fake_model, song, tmp_path):
    (tmp_path / "b.wav").write_text("no audio")
    done = majl("pitch", song("a.wav"), "b.wav", song("c.wav"))
    assert done.code == 1
    assert done.out.splitlines() == ["a.f0.csv", "c.f0.csv"]


def test_seconds_are_those_of_the_audio_and_not_of_the_last_frame(majl, fake_model, song, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(4039), 8000)
    assert json.loads(majl("pitch", "a.wav", "--json").out)["tracks"][0]["seconds"] == 4039 / 8000


ALL_FILES = ["--csv", "--npz", "--midi", "--plot"]


def test_if_one_file_cannot_be_written_none_is(majl, fake_model, song, monkeypatch, tmp_path):
    def no_space(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("majl_cli.report.plots._draw_f0", no_space)
    done = majl("pitch", song("a.wav"), *ALL_FILES, "--out", "new/melody")
    assert done.code == 1
    assert "error: new/melody/a.f0.png: the disk is full\nhint: free some space" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_failure_leaves_older_files_as_they_were(majl, fake_model, song, monkeypatch, tmp_path):
    path = song("a.wav")
    assert majl("pitch", path, *ALL_FILES, "--out", "old").code == 0
    before = {file: file.read_bytes() for file in (tmp_path / "old").iterdir()}

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("majl_cli.report.plots._draw_f0", interrupted)
    assert majl("pitch", path, *ALL_FILES, "--raw", "--out", "old").code == 130
    assert {file: file.read_bytes() for file in (tmp_path / "old").iterdir()} == before


def test_an_output_folder_that_cannot_be_made_is_found_before_the_work(majl, fake_model, song, tmp_path):
    (tmp_path / "file").write_text("")
    done = majl("pitch", song("a.wav"), "--out", "file/out")
    assert done.code == 1
    assert "error: file/out/a.f0.csv: cannot be written" in done.err
    assert fake_model.calls == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder_is_found_before_the_work(majl, fake_model, song, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    done = majl("pitch", song("a.wav"), "--out", "out")
    assert done.code == 1
    assert "error: out/a.f0.csv: cannot be written: Permission denied\nhint: " in done.err
    assert fake_model.calls == []


def test_a_plot_without_matplotlib_is_refused_before_the_work(majl, fake_model, song, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("majl_cli.report.plots.find_spec", lambda name: None if name == "matplotlib" else real(name))
    done = majl("pitch", song("a.wav"), "--plot")
    assert done.code == 1
    assert done.err == "error: plots need matplotlib, which is not installed\nhint: pip install 'majl[plot]'\n"
    assert fake_model.loads == []
