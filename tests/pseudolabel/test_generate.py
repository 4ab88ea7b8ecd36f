"""Pseudo-labels of tones: what is in the files, that nothing is done twice, and that one bad track stops no other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from tones import NOISE_ENDS, RATE, TONE_ENDS, make_track, tone_audio, tone_model

from majl_cli.convert import frequency_to_cents
from majl_cli.data.labels import read_confidence, read_pitch
from majl_cli.data.manifest import Stem, Track, read_manifest
from majl_cli.errors import DataError, UsageError
from majl_cli.inference.track_log import safe_name
from majl_cli.pseudolabel import generate as module
from majl_cli.pseudolabel.generate import Outcome, PseudoLabels, pseudolabel
from majl_cli.pseudolabel.held_out import NOT_CALIBRATED, Calibration


def confidence_of(track: Track) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert track.confidence is not None
    return read_confidence(track.confidence)


def label_tones(tracks: list[Track], out: Path, **options: Any) -> PseudoLabels:
    return pseudolabel(tone_model(), tracks, out, **({"calibration": NOT_CALIBRATED} | options))


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_stems_without_pitch_get_pitch_and_confidence(tmp_path: Path) -> None:
    result = label_tones([make_track(tmp_path, "song", "mss")], tmp_path / "out")
    (track,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert track.id == result.tracks[0].id and not result.failed
    assert (track.labels, track.pseudo, track.bucket, track.kept) == ("full", "pitch", "mss", None)
    assert set(track.stems) == {"vocals", "accompaniment"}
    times, f0, known = read_pitch(track)
    assert times.tolist() == pytest.approx((np.arange(301) / 100).tolist())
    assert known.all()
    assert np.abs(frequency_to_cents(f0[10:140]) - frequency_to_cents(220.0)).max() < 20
    assert not f0[160:].any()
    again, confidence = confidence_of(track)
    assert again.tolist() == times.tolist()
    assert (confidence[10:140] > 0.3).all()
    assert (confidence[160:] > 0.9).all()
    row = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert row["confidence"] == pytest.approx(confidence.mean(), abs=1e-4)
    assert below(tmp_path / "out" / "tracks") == ["song/confidence.csv", "song/pitch.csv"]


def test_pitch_without_stems_gets_a_stem_and_keeps_its_label(tmp_path: Path) -> None:
    given = make_track(tmp_path, "song", "pe")
    label_tones([given], tmp_path / "out", npz=True)
    (track,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert (track.labels, track.pseudo, track.bucket) == ("full", "stems", "pe")
    assert track.pitch is not None and given.pitch is not None and track.pitch.resolve() == given.pitch.resolve()
    assert track.mixture is not None and track.mixture.channel == 1
    path = track.stems["vocals"].path
    info = soundfile.info(path)
    assert (path.name, info.format, info.subtype, info.samplerate, info.channels) == (
        "vocals.flac", "FLAC", "PCM_16", RATE, 1,
    )  # fmt: skip
    expected = 0.5 * soundfile.read(given.mixture.path)[0][:, 1]  # type: ignore[union-attr]
    assert np.abs(soundfile.read(path)[0] - expected).max() < 1 / 32768
    times, confidence = confidence_of(track)
    assert (confidence[10:140] > 0.3).all()  # the label's pitch is there
    quiet = (times > TONE_ENDS + 0.1) & (times < NOISE_ENDS - 0.1)
    assert np.allclose(confidence[quiet], 0.5, atol=0.01)  # half of the noise is
    assert (confidence[times > NOISE_ENDS + 0.1] == 1.0).all()
    arrays = np.load(tmp_path / "out" / "tracks" / "song" / "pitch.npz")
    assert set(arrays) == {"times", "f0", "frequency", "voiced", "confidence"}
    assert np.allclose(arrays["f0"][:145], 220.0) and not arrays["f0"][155:].any()


def test_a_label_the_separated_voice_does_not_carry_is_not_believed(tmp_path: Path) -> None:
    track = make_track(tmp_path, "song", "pe")
    wrong = make_track(tmp_path / "other", "song", "pe", frequency=311.0)
    label_tones([dataclasses.replace(track, pitch=wrong.pitch)], tmp_path / "out")
    _, confidence = confidence_of(read_manifest(tmp_path / "out" / "manifest.jsonl")[0])
    assert (confidence[10:140] < 0.05).all()


def test_an_unknown_label_is_worth_nothing(tmp_path: Path) -> None:
    track = make_track(tmp_path, "song", "pe")
    assert track.pitch is not None
    rows = [f"{n / 100:.2f},220,{int(n < 100)}\n" for n in range(301)]
    track.pitch.write_text("time,frequency,agree\n" + "".join(rows))
    label_tones([dataclasses.replace(track, pitch_format="agree-csv")], tmp_path / "out")
    _, confidence = confidence_of(read_manifest(tmp_path / "out" / "manifest.jsonl")[0])
    assert (confidence[10:99] > 0.3).all()
    assert not confidence[101:].any()


def test_an_octave_free_label_is_moved_to_the_octave_that_is_sung(tmp_path: Path) -> None:
    track = make_track(tmp_path, "song", "pe", frequency=440.0, octave_free=True)
    low = make_track(tmp_path / "low", "song", "pe", frequency=220.0)
    label_tones([dataclasses.replace(track, pitch=low.pitch)], tmp_path / "out")
    (found,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert not found.octave_free and found.pitch_format == "csv"
    times, f0, _ = read_pitch(found)
    assert np.allclose(f0[times < TONE_ENDS], 440.0) and not f0[times >= TONE_ENDS].any()
    assert (confidence_of(found)[1][10:140] > 0.3).all()


def test_a_loud_stem_is_clamped_and_counted(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    pseudolabel(
        tone_model(4.0), [make_track(tmp_path, "song", "pe")], tmp_path / "out", calibration=NOT_CALIBRATED,
        listener=outcomes.append,
    )  # fmt: skip
    audio = soundfile.read(tmp_path / "out" / "tracks" / "song" / "vocals.flac")[0]
    loud = np.abs(4.0 * tone_audio(220.0)) > 1.001
    assert outcomes[0].clipped >= loud.sum() > 1000
    assert (np.sign(audio[loud]) == np.sign(tone_audio(220.0)[loud])).all()  # nothing wrapped around


def test_a_stem_of_a_lower_rate_says_so_in_its_bandwidth(tmp_path: Path) -> None:
    track = make_track(tmp_path, "song", "pe")
    assert track.mixture is not None
    soundfile.write(track.mixture.path, np.stack([np.repeat(tone_audio(220.0), 2)] * 2, axis=1), 2 * RATE)
    found = label_tones([dataclasses.replace(track, sample_rate=2 * RATE)], tmp_path / "out").tracks[0]
    assert found.bandwidth == RATE / 2
    assert soundfile.info(found.stems["vocals"].path).samplerate == 2 * RATE


class Killed(BaseException):
    """What no code catches."""


@pytest.mark.parametrize("jobs", [1, 3])
def test_killed_and_restarted_it_redoes_nothing_finished_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    tracks = [make_track(tmp_path, f"t{n}", "pe" if n % 2 else "mss", 200.0 + 20 * n) for n in range(5)]
    out, unbroken = tmp_path / "out", tmp_path / "unbroken"
    label_tones(tracks, unbroken)
    labelled: list[str] = []
    real = module._label

    def dies_at_t3(model: Any, track: Track, *rest: Any) -> dict[str, Any]:
        if track.id == "t3" and len(labelled) < 4:
            raise Killed
        row = real(model, track, *rest)
        labelled.append(track.id)
        return row

    monkeypatch.setattr(module, "_label", dies_at_t3)
    with pytest.raises(Killed):
        label_tones(tracks, out, jobs=jobs)
    assert not (out / "manifest.jsonl").exists()
    finished = [json.loads(line)["id"] for line in (out / "results.jsonl").read_text().splitlines()]
    assert sorted(finished) == sorted(labelled) and set(finished) >= {"t0", "t1", "t2"}
    # Killed in the middle of a line and of a file.
    with (out / "results.jsonl").open("a") as file:
        file.write('{"id": "t3", "kind": "stems", "conf')
    stray = out / "tracks" / "t3" / ".tmp-majl-1-00000000"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")}
    labelled += ["-"] * 4  # from now on nobody dies
    outcomes: list[Outcome] = []
    label_tones(tracks, out, jobs=jobs, listener=outcomes.append)
    redone = labelled[labelled.index("-") + 4 :]
    assert sorted(redone) == sorted({"t0", "t1", "t2", "t3", "t4"} - set(finished))
    assert sorted(o.track.id for o in outcomes if o.before) == sorted(finished)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert below(out) == below(unbroken)  # the stray file is gone too
    for name in below(unbroken):
        if name != "results.jsonl":
            assert (out / name).read_bytes() == (unbroken / name).read_bytes(), name
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in lines) == [track.id for track in tracks]
    assert [track.id for track in read_manifest(out / "manifest.jsonl")] == [track.id for track in tracks]


def test_a_lost_file_is_made_again(tmp_path: Path) -> None:
    tracks = [make_track(tmp_path, "a", "mss"), make_track(tmp_path, "b", "pe")]
    out = tmp_path / "out"
    label_tones(tracks, out)
    (out / "tracks" / "b" / "vocals.flac").unlink()
    outcomes: list[Outcome] = []
    label_tones(tracks, out, listener=outcomes.append)
    assert [(o.track.id, o.before) for o in outcomes] == [("a", True), ("b", False)]
    assert (out / "tracks" / "b" / "vocals.flac").exists()


def test_npz_asked_for_later_is_made_later(tmp_path: Path) -> None:
    tracks, out = [make_track(tmp_path, "a", "mss")], tmp_path / "out"
    outcomes: list[Outcome] = []
    for npz in (False, True, True, False):
        label_tones(tracks, out, npz=npz, listener=outcomes.append)
    assert [outcome.before for outcome in outcomes] == [False, False, True, True]
    assert (out / "tracks" / "a" / "pitch.npz").exists()


def test_another_checkpoint_or_temperature_is_refused(tmp_path: Path) -> None:
    tracks, out = [make_track(tmp_path, "a", "mss")], tmp_path / "out"
    label_tones(tracks, out)
    with pytest.raises(DataError, match="pseudo-labels of another checkpoint") as caught:
        pseudolabel(tone_model(0.25), tracks, out, calibration=NOT_CALIBRATED)
    assert "use another folder" in caught.value.hint
    with pytest.raises(DataError, match="at the temperature 1.0, this is 2.0"):
        label_tones(tracks, out, calibration=Calibration(temperature=2.0, held_out={}))


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_tracks_are_told_and_the_others_done(tmp_path: Path, jobs: int) -> None:
    good = [make_track(tmp_path, "good", "mss"), make_track(tmp_path, "fine", "pe")]
    gone = dataclasses.replace(good[0], id="gone", stems={"vocals": Stem(path=tmp_path / "gone.wav")})
    wrong = dataclasses.replace(good[1], id="wrong", sample_rate=44100)
    bare = dataclasses.replace(good[0], id="bare", labels="pe", pitch=good[1].pitch)
    mute = dataclasses.replace(good[0], id="mute", stems={"drums": good[0].stems["vocals"]})
    side = dataclasses.replace(good[1], id="side", mixture=Stem(path=good[1].mixture.path, channel=2))  # type: ignore[union-attr]
    result = label_tones([gone, good[0], wrong, bare, good[1], mute, side], tmp_path / "out", jobs=jobs)
    assert [track.id for track in result.tracks] == ["good", "fine"]
    errors = {outcome.track.id: str(outcome.error) for outcome in result.failed}
    assert set(errors) == {"gone", "wrong", "bare", "mute", "side"}
    assert "there is no such file" in errors["gone"]
    assert "has 8000 Hz" in errors["wrong"]
    assert "labels pe, but no mixture" in errors["bare"]
    assert "no stem 'vocals'" in errors["mute"]
    assert "no channel 2" in errors["side"]
    assert sorted(path.name for path in (tmp_path / "out" / "tracks").iterdir()) == ["fine", "good"]
    assert [track.id for track in read_manifest(tmp_path / "out" / "manifest.jsonl")] == ["good", "fine"]


def test_tracks_that_cannot_be_labelled_at_all_are_refused_first(tmp_path: Path) -> None:
    track = make_track(tmp_path, "a", "mss")
    for tracks, message in (
        ([], "no track to label"),
        ([make_track(tmp_path, "f", "full")], "labels full, so nothing to add"),
        ([track, track], "two tracks are called 'a'"),
    ):
        with pytest.raises(DataError, match=message):
            label_tones(tracks, tmp_path / "out")
    with pytest.raises(UsageError, match="0 jobs"):
        label_tones([track], tmp_path / "out", jobs=0)
    assert not (tmp_path / "out").exists()


def test_ids_become_folders_of_their_own(tmp_path: Path) -> None:
    ids = ["train/a b", "train/a_b", "train_a_b", "..", "é" * 300]
    names = [safe_name(id) for id in ids]
    assert len(set(names)) == len(names)
    assert all("/" not in name and not name.startswith(".") and len(name) < 100 for name in names)
    assert safe_name("amy_1_01") == "amy_1_01"
    result = label_tones([make_track(tmp_path, "train/a", "mss")], tmp_path / "out")
    assert result.tracks[0].confidence is not None
    assert result.tracks[0].confidence.parent.parent == tmp_path / "out" / "tracks"
