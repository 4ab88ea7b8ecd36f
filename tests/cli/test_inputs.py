"""Which files are worked on, and what their outputs are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from majl_cli.cli.inputs import find_inputs


@pytest.fixture
def touch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def create(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    return create


def found(*arguments: str, out: str | None = None) -> list[tuple[str, str]]:
    tracks, bad = find_inputs(arguments, out=None if out is None else Path(out))
    assert bad == []
    return [(track.path.as_posix(), track.name) for track in tracks]


def test_a_file_is_called_by_its_name_without_extension(touch):
    touch("in/my song.v2.wav")
    assert found("in/my song.v2.wav") == [("in/my song.v2.wav", "my song.v2")]


def test_a_folder_gives_its_audio_files_sorted_with_their_subfolders(touch):
    touch("album/b.flac", "album/a.MP3", "album/cover.jpg", "album/disc 2/a.wav", "album/.hidden.wav", "album/.x/c.wav")
    assert found("album") == [
        ("album/a.MP3", "a"),
        ("album/b.flac", "b"),
        ("album/disc 2/a.wav", "disc 2/a"),
    ]


def test_an_output_folder_inside_of_the_input_folder_is_left_out(touch):
    touch("a.wav", "stems/a/vocals.wav")
    assert found(".", out="stems") == [("a.wav", "a")]
    assert found("*", out="stems") == [("a.wav", "a")]
    assert found("**/*.wav", out="stems") == [("a.wav", "a")]
    assert found("**/*.wav", out=".") == [("a.wav", "a"), ("stems/a/vocals.wav", "vocals")]
    assert found("stems", out="stems") == [("stems/a/vocals.wav", "a/vocals")]


def test_a_quoted_pattern_is_expanded(touch):
    touch("b.wav", "a.wav", "c.txt", "x/d.wav")
    assert found("*.wav") == [("a.wav", "a"), ("b.wav", "b")]
    assert found("*") == [("a.wav", "a"), ("b.wav", "b"), ("x/d.wav", "x/d")]
    assert found("**/*.wav") == [("a.wav", "a"), ("b.wav", "b"), ("x/d.wav", "d")]


def test_an_absolute_pattern_is_expanded(touch, tmp_path):
    touch("b.wav")
    assert found(f"{tmp_path}/*.wav") == [(f"{tmp_path.as_posix()}/b.wav", "b")]


def test_a_file_with_brackets_in_its_name_wins_over_the_pattern(touch):
    touch("song [live].wav", "song l.wav")
    assert found("song [live].wav") == [("song [live].wav", "song [live]")]


def test_a_home_folder_in_quotes_is_found(touch, tmp_path, monkeypatch):
    touch("a.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert found("~/a.wav") == [((tmp_path / "a.wav").as_posix(), "a")]


def test_a_file_named_twice_counts_once(touch):
    touch("a.wav", "x/b.wav")
    assert found("a.wav", "./a.wav", "x/../a.wav", "*.wav") == [("a.wav", "a")]


def test_names_that_fall_together_are_told_apart_by_extension(touch):
    touch("song.wav", "song.mp3", "other.wav")
    assert [name for _, name in found(".")] == ["other", "song.mp3", "song.wav"]


def test_names_that_fall_together_are_told_apart_by_folder(touch):
    touch("live/song.wav", "studio/song.wav")
    assert [name for _, name in found("live/song.wav", "studio/song.wav")] == ["live/song", "studio/song"]


def test_names_that_still_fall_together_are_numbered(touch):
    touch("a/x/song.wav", "b/x/song.wav")
    assert [name for _, name in found("a/x/song.wav", "b/x/song.wav")] == ["song", "song-2"]


def test_names_that_differ_in_case_or_unicode_form_only_fall_together(touch):
    touch("x/caf\u00e9.wav", "y/CAFE\u0301.wav")
    names = [name for _, name in found("x/caf\u00e9.wav", "y/CAFE\u0301.wav")]
    assert names == ["x/caf\u00e9", "y/CAFE\u0301"]


def test_a_name_of_dots_does_not_leave_the_output_folder(touch):
    touch("...wav")
    assert found("...wav") == [("...wav", "...wav")]


def test_non_ascii_names_are_kept(touch):
    touch("音楽/歌 ♯1.wav")
    assert found("音楽") == [("音楽/歌 ♯1.wav", "歌 ♯1")]
    assert found("音楽/*.wav") == [("音楽/歌 ♯1.wav", "歌 ♯1")]


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("sonng.wav", "sonng.wav: no such file or folder", "did you mean song.wav?"),
        ("zzz/qqq.wav", "zzz/qqq.wav: no such file or folder", "check the spelling and the folder you are in"),
        ("empty", "empty: no audio file found there", "these names count as audio: .aac"),
        ("*.flac", "*.flac: no audio file found there", "these names count as audio: .aac"),
        ("", "'': an empty name is no input", "name a file, a folder or a pattern"),
        ("x" * 5000, "x" * 5000 + ": no such file or folder", "check"),
        ("a\0b", "a\0b: no such file or folder", "check"),
    ],
)
def test_what_names_no_file_is_reported_beside_what_does(argument, message, hint, touch, tmp_path):
    touch("song.wav", "empty/readme.txt")
    tracks, bad = find_inputs([argument, "song.wav"])
    assert [track.name for track in tracks] == ["song"]
    assert bad[0].error.message == message
    assert bad[0].error.hint.startswith(hint)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_nowhere_is_passed_over_in_a_folder(touch, tmp_path):
    touch("in/a.wav")
    (tmp_path / "in" / "b.wav").symlink_to("b.wav")
    (tmp_path / "in" / "c.wav").symlink_to("missing.wav")
    assert found("in") == [("in/a.wav", "a")]
