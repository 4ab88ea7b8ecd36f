"""majl separate, with a model that needs no weights."""

from __future__ import annotations

import json
import re

import pytest
import soundfile

from majl_cli.cli.console import clock
from majl_cli.errors import Cancelled, UsageError
from majl_cli.models.stems import StemNames


def test_stems_are_written_listed_and_summed_up(majl, fake_model, song, tmp_path):
    done = majl("separate", song("a.wav"), song("b.wav"), "--out", tmp_path / "stems")
    assert done.code == 0
    expected = [tmp_path / "stems" / track / f"{stem}.wav" for track in "ab" for stem in ("vocals", "accompaniment")]
    assert done.out.splitlines() == [str(path) for path in expected]
    assert all(soundfile.info(path).frames == 4000 for path in expected)
    last = "2 tracks, 0:01 of audio in 0:00 · cpu, float32, 2 threads · real-time factor 0.100 (10.0x real time)"
    assert done.err.splitlines()[-1] == last


def test_options_reach_the_model(majl, fake_model, song, tmp_path):
    options = ["--format", "flac", "--subtype", "24", "--overlap", "0.5", "--stems", " vocals ,vocals"]
    how = ["--model", "m", "--device", "cpu", "--precision", "float32", "--threads", "1"]
    done = majl("separate", song("a.wav"), "--out", tmp_path / "o", *options, *how)
    assert done.out.splitlines() == [str(tmp_path / "o" / "a" / "vocals.flac")]
    call = fake_model.calls[0]
    assert (call["format"], call["subtype"], call["overlap"]) == ("flac", "PCM_24", 0.5)
    assert fake_model.loads == [{"name": "m", "device": "cpu", "precision": "float32", "threads": 1}]


def test_one_bad_file_of_three_does_not_stop_the_others(majl, fake_model, song, tmp_path):
    bad = tmp_path / "b.wav"
    bad.write_text("no audio")
    done = majl("separate", song("a.wav"), bad, song("c.wav"), "--out", tmp_path / "stems")
    assert done.code == 1
    assert len(done.out.splitlines()) == 4
    assert f"error: {bad}: not audio\nhint: give an audio file\n" in done.err
    assert done.err.splitlines()[-1].startswith("2 tracks (1 failed), 0:01 of audio")


def test_a_missing_file_does_not_stop_the_others(majl, fake_model, song, tmp_path):
    done = majl("separate", "missing.wav", song("c.wav"), "--out", tmp_path / "stems")
    assert done.code == 1
    assert len(done.out.splitlines()) == 2
    assert "error: missing.wav: no such file or folder" in done.err


def test_without_any_input_no_model_is_loaded(majl, fake_model):
    done = majl("separate", "missing.wav")
    assert done.code == 1
    assert fake_model.loads == []
    assert done.err.splitlines()[-1] == "0 tracks (1 failed)"


def test_json_holds_results_errors_and_summary(majl, fake_model, song, tmp_path):
    bad = tmp_path / "b.wav"
    bad.write_text("no audio")
    good = song("a.wav")
    done = majl("separate", good, bad, "missing.wav", "--out", tmp_path / "stems", "--json")
    result = json.loads(done.out)
    assert done.code == 1
    assert result["command"] == "separate"
    rows = {row["input"]: row for row in result["tracks"]}
    assert rows[str(good)] == {
        "input": str(good),
        "track": "a",
        "status": "done",
        "warnings": [],
        "files": {stem: str(tmp_path / "stems" / "a" / f"{stem}.wav") for stem in ("vocals", "accompaniment")},
        "seconds": 0.5,
        "elapsed": 0.05,
        "sample_rate": 8000,
        "clipped": {"vocals": 0, "accompaniment": 0},
        "real_time_factor": 0.1,
    }
    assert rows[str(bad)] == {
        "input": str(bad),
        "track": "b",
        "status": "failed",
        "warnings": [],
        "error": f"{bad}: not audio",
        "hint": "give an audio file",
    }
    assert rows["missing.wav"]["status"] == "failed"
    summary = result["summary"]
    assert (summary["done"], summary["skipped"], summary["failed"]) == (1, 0, 2)
    assert (summary["device"], summary["precision"], summary["threads"]) == ("cpu", "float32", 2)
    assert summary["real_time_factor"] == pytest.approx(0.1)


def test_quiet_prints_errors_only(majl, fake_model, song, tmp_path):
    done = majl("separate", song("a.wav"), "missing.wav", "--out", tmp_path / "stems", "--quiet")
    assert done.out == ""
    assert re.fullmatch(r"error: missing\.wav: no such file or folder\nhint: .*\n", done.err)


def test_running_again_overwrites_and_skip_existing_skips(majl, fake_model, song, tmp_path):
    arguments = ["separate", song("a.wav"), "--out", tmp_path / "stems"]
    vocals, accompaniment = (tmp_path / "stems" / "a" / f"{stem}.wav" for stem in ("vocals", "accompaniment"))
    assert majl(*arguments).code == 0
    vocals.write_text("old")
    assert majl(*arguments).code == 0
    assert soundfile.info(vocals).frames == 4000
    loads = len(fake_model.loads)
    done = majl(*arguments, "--skip-existing")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == "0 tracks (1 skipped)"
    assert len(fake_model.loads) == loads
    accompaniment.unlink()
    assert majl(*arguments, "--skip-existing").code == 0
    assert accompaniment.exists()


def test_skipped_tracks_are_in_the_json(majl, fake_model, song, tmp_path):
    arguments = ["separate", song("a.wav"), "--out", tmp_path / "stems", "--skip-existing", "--json"]
    majl(*arguments)
    row = json.loads(majl(*arguments).out)["tracks"][0]
    assert (row["status"], set(row["files"])) == ("skipped", {"vocals", "accompaniment"})


def test_clipping_is_reported_for_each_stem(majl, fake_model, song, tmp_path):
    fake_model.clipped = 3
    done = majl("separate", song("a.wav"), "--out", tmp_path / "stems")
    assert "a.wav: 3 samples of vocals clipped; --subtype float keeps them" in done.err
    assert "3 samples of accompaniment clipped" in done.err
    done = majl("separate", song("a.wav"), "--out", tmp_path / "stems", "--format", "mp3")
    assert "a.wav: 3 samples of vocals clipped; --format wav --subtype float keeps them" in done.err


def test_warnings_are_in_the_row_of_their_track_and_on_stderr_once(majl, fake_model, song, tmp_path):
    first, second = song("a.wav"), song("b.wav")
    fake_model.warns_of = ("cut off", "cut off")
    done = majl("separate", first, second, "--out", tmp_path / "stems", "--json")
    rows = json.loads(done.out)["tracks"]
    assert [row["warnings"] for row in rows] == [[f"{first}: cut off"], [f"{second}: cut off"]]
    assert done.err.splitlines()[:2] == [f"warning: {first}: cut off", f"warning: {second}: cut off"]
    assert majl("separate", first, "--out", tmp_path / "stems", "--quiet").err == ""


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (UsageError("no such thing", "x"), 2)])
def test_what_was_done_before_the_batch_ended_is_in_the_json(
    error, code, majl, fake_model, monkeypatch, song, tmp_path
):
    separate = type(fake_model).separate

    def second_fails(self, source, **options):
        if source.stem == "b":
            raise error
        return separate(self, source, **options)

    monkeypatch.setattr(type(fake_model), "separate", second_fails)
    done = majl("separate", song("a.wav"), song("b.wav"), song("c.wav"), "--out", tmp_path / "stems", "--json")
    result = json.loads(done.out)
    assert done.code == code
    assert [(row["track"], row["status"]) for row in result["tracks"]] == [("a", "done")]
    assert result["error"] == ("interrupted" if code == 130 else "no such thing")
    assert result["summary"]["done"] == 1


@pytest.mark.parametrize("template", ["{track}/{stem}.{ext}", "{stem}/{track}.{ext}", "{track}-{stem}.{ext}"])
def test_a_folder_separated_into_itself_again_does_not_separate_its_stems(template, majl, fake_model, song, tmp_path):
    folder = song("same/a.wav").parent
    song("same/live/a.wav")
    arguments = ["separate", folder, "--out", folder, "--filename", template]
    assert majl(*arguments, "--format", "flac").code == 0
    files = sorted(folder.rglob("*"))
    for options in (["--format", "flac"], ["--format", "flac", "--two-stems", "vocals"]):
        fake_model.calls.clear()
        done = majl(*arguments, *options)
        assert done.code == 0
        assert "4 of the files found left out: they are named as stems of the others" in done.err
        assert len(fake_model.calls) == 2
    assert sorted(folder.rglob("*")) == files


def test_stems_of_another_model_are_left_out_too(majl, fake_model, song, tmp_path):
    folder = song("same/a.wav").parent
    fake_model.stems = StemNames(estimated=(*BAND, "kazoo"))
    arguments = ["separate", folder, "--out", folder, "--format", "flac"]
    assert majl(*arguments, "--stems", "all,no_bass").code == 0
    assert "6 of the files found left out" in majl(*arguments).err
    fake_model.stems = StemNames(estimated=("vocals",))
    done = majl(*arguments)
    assert "5 of the files found left out" in done.err  # a kazoo is nothing it would think of
    assert str(folder / "a" / "kazoo" / "vocals.flac") in done.out


def test_a_stem_that_is_named_is_separated(majl, fake_model, song, tmp_path):
    song("same/a.wav")
    done = majl(
        "separate", tmp_path / "same", song("same/a/vocals.wav"), "--out", tmp_path / "same", "--format", "flac"
    )
    assert (done.code, len(done.out.splitlines())) == (0, 4)


def test_same_names_in_two_folders_do_not_overwrite_each_other(majl, fake_model, song, tmp_path):
    done = majl("separate", song("live/a.wav"), song("studio/a.wav"), "--out", tmp_path / "stems")
    assert done.code == 0
    assert len(set(done.out.splitlines())) == 4
    assert (tmp_path / "stems" / "live" / "a" / "vocals.wav").exists()


def test_non_ascii_and_braced_names_work(majl, fake_model, song, tmp_path):
    done = majl("separate", song("歌 {live} [1] 100%.wav"), "--out", tmp_path / "stems é")
    assert done.code == 0
    assert (tmp_path / "stems é" / "歌 {live} [1] 100%" / "vocals.wav").exists()


def test_filename_template_is_followed(majl, fake_model, song, tmp_path):
    done = majl("separate", song("a.wav"), "--out", tmp_path / "o", "--filename", "{stem}/{{x}} {track}.{ext}")
    assert done.code == 0
    assert (tmp_path / "o" / "vocals" / "{x} a.wav").exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{track}.{ext}", "without {stem} all stems have one name"),
        ("{stem}.{ext}", "without {track} all tracks have one name"),
        ("{artist}/{stem}", "no field {artist}"),
        ("{}/{stem}", "no field {}"),
        ("{track/{stem}", "--filename '{track/{stem}':"),
        ("{track:>9}/{stem}", "fields take no format"),
        ("../{track}/{stem}.{ext}", "must stay below --out"),
        ("/{track}/{stem}.{ext}", "must stay below --out"),
        ("{track}/{stem}.wav", "without {ext} the names do not say the format"),
        ("{track}/{stem}/", "must stay below --out"),
    ],
)
def test_a_filename_template_that_cannot_work_is_refused_with_an_example(template, message, majl, fake_model, song):
    done = majl("separate", song("a.wav"), song("b.wav"), "--filename", template)
    assert done.code == 2
    assert message in done.err
    assert "hint: " in done.err
    assert fake_model.loads == []


def test_an_input_is_never_overwritten_by_its_stem(majl, fake_model, song, tmp_path):
    vocals = song("vocals.wav")
    before = vocals.read_bytes()
    done = majl("separate", vocals, "--out", tmp_path, "--filename", "{stem}.{ext}")
    assert done.code == 1
    assert "would overwrite the input" in done.err
    assert vocals.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "mp3", "--subtype", "16"], "mp3 has no fixed bits per sample"),
        (["--format", "flac", "--subtype", "float"], "flac stores whole numbers only"),
        (["--stems", " , "], "no stem named"),
        (["--stems", "vocals", "--two-stems", "vocals"], "exclude each other"),
    ],
)
def test_options_that_exclude_each_other_are_a_usage_error(options, message, majl, fake_model, song):
    done = majl("separate", song("a.wav"), *options)
    assert done.code == 2
    assert message in done.err


def test_a_stem_that_the_model_does_not_give_ends_the_batch_before_it_is_loaded(majl, fake_model, song, tmp_path):
    arguments = ["separate", song("a.wav"), song("b.wav"), "--out", tmp_path / "o", "--skip-existing"]
    done = majl(*arguments, "--stems", "vocals,drums")
    assert done.code == UsageError.exit_code == 2
    assert done.err == "error: no stem 'drums'\nhint: this model gives vocals, accompaniment\n"
    done = majl(*arguments, "--two-stems", "drums")
    assert done.code == 2
    assert done.err == "error: no stem 'drums' to tell from the rest\nhint: this model estimates vocals\n"
    result = json.loads(majl(*arguments, "--stems", "drums", "--json").out)
    assert (result["error"], result["tracks"]) == ("no stem 'drums'", [])
    assert fake_model.loads == []


BAND = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("options", "stems"),
    [
        ([], BAND),
        (["--stems", "all"], BAND),
        (["--stems", "all, accompaniment ,drums"], (*BAND, "accompaniment")),
        (["--stems", "bass"], ("bass",)),
        (["--two-stems", "vocals"], ("vocals", "accompaniment")),
        (["--two-stems", "drums"], ("drums", "no_drums")),
    ],
)
def test_stems_of_a_band_are_those_asked_for(options, stems, majl, fake_model, song, tmp_path):
    fake_model.stems = StemNames(estimated=BAND)
    arguments = ["separate", song("a.wav"), "--out", tmp_path / "stems", *options]
    done = majl(*arguments)
    assert done.code == 0
    files = {stem: str(tmp_path / "stems" / "a" / f"{stem}.wav") for stem in stems}
    assert done.out.splitlines() == list(files.values())
    row = json.loads(majl(*arguments, "--json").out)["tracks"][0]
    assert (row["files"], row["clipped"]) == (files, dict.fromkeys(stems, 0))
    assert len(fake_model.calls) == 2
    done = majl(*arguments, "--skip-existing")
    assert (done.code, done.err.splitlines()[-1]) == (0, "0 tracks (1 skipped)")
    assert len(fake_model.calls) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled("interrupted")])
def test_an_interruption_ends_the_batch_with_130(error, majl, fake_model, monkeypatch, song):
    def interrupted(*_arguments, **_options):
        raise error

    monkeypatch.setattr(type(fake_model), "separate", interrupted)
    done = majl("separate", song("a.wav"), song("b.wav"))
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


def test_clock_reads_as_people_write_it():
    assert [clock(seconds) for seconds in (0.4, 7, 432, 3723)] == ["0:00", "0:07", "7:12", "1:02:03"]
