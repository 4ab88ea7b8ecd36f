"""An evaluation on disk: what is scored once stays scored; what is wrong with one track does not stop the others."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from small_tracks import RATE, label, voice, write_track

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, UsageError
from majl_cli.evaluation.baselines import baselines
from majl_cli.evaluation.exhibits import deciding_key, make_exhibits, worst_rows
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.evaluation.protocols import FAMILIES, protocols
from majl_cli.evaluation.results import F0, Result
from majl_cli.evaluation.run import Done, evaluate, load_result, row_from_json, row_to_json
from majl_cli.evaluation.scoring import Scoring, check_scorable

FOLDER = protocols["folder"]
ALL = Scoring(families=FAMILIES)


class Knowing:
    """Knows the truth but for some noise, 20 dB below the voice, and one voiced frame in ten; remembers its tracks."""

    name, kind, description = "knowing", "estimates", "the truth with noise"
    stems: tuple[str, ...] = ("vocals", "accompaniment")
    inputs: tuple[str, ...] = ("mixture", "vocals")
    trained_on: tuple[str, ...] = ()

    def __init__(self, *, fails_on: str = "", noise_db: float = -20.0) -> None:
        self.fails_on, self.noise_db = fails_on, noise_db
        self.asked: list[str] = []

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        self.asked.append(prepared.track.id)
        if prepared.track.id == self.fails_on:
            raise DataError(f"track {prepared.track.id}: cannot be separated", "try another")
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for stem, path in prepared.references.items():
            audio, rate = soundfile.read(path, dtype="float32")
            noise = np.random.default_rng(1).standard_normal(len(audio))
            noise *= math.sqrt(np.square(audio).sum() / np.square(noise).sum() * 10 ** (self.noise_db / 10))
            files[stem] = folder / f"{stem}.wav"
            soundfile.write(files[stem], audio + noise, rate, subtype="FLOAT")
        return files

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0:
        times, f0 = label(prepared.samples / prepared.sample_rate)
        return F0(times=times, frequency=np.where(np.arange(len(f0)) % 10 == 0, -f0, f0))

    def note_file(self, track: Track) -> Path | None:
        return None

    def files(self, track: Track) -> list[Path]:
        return []


def songs(folder: Path, count: int = 3) -> list[Track]:
    return [write_track(folder / "data", f"song{n}", seed=n, seconds=2.5) for n in range(count)]


def run(estimator: Any, tracks: Sequence[Track], out: Path, **options: Any) -> Result:
    given: dict[str, Any] = {"protocol": FOLDER, "scoring": ALL, "settings": {"seed": 0}, **options}
    return evaluate(estimator, tracks, out, **given)


def rounded(result: Result) -> list[dict[str, Any]]:
    """Rows that compare: nan is None, and the last digits of a sum in another order are gone."""
    rows = [row_to_json(row) for row in result.rows]
    for row in rows:
        row["scores"] = {k: round(v, 8) if isinstance(v, float) else v for k, v in row["scores"].items()}
    return rows


def test_a_track_gets_every_score_it_can_have(tmp_path: Path) -> None:
    (row,) = run(Knowing(), songs(tmp_path, 1), tmp_path / "out").rows
    assert row.error == "" and row.notes == () and row.seconds == 2.5
    assert row.scores["vocals/sdr"] == pytest.approx(20.0, abs=0.01)
    assert row.scores["accompaniment/sdr"] == pytest.approx(20.0, abs=0.01)
    assert row.scores["vocals/v3_sdr"] == pytest.approx(20.0, abs=0.5)
    assert row.scores["melody/rpa"] == row.scores["melody_clean/rpa"] == 1.0
    assert row.scores["melody/vr"] == pytest.approx(0.9, abs=0.01)
    assert row.scores["melody/rpa_strict"] == pytest.approx(0.9, abs=0.01)
    assert row.counts == {"windows": 4, "windows_skipped": 0}  # two whole seconds, two stems
    for stem in ("vocals", "accompaniment"):
        for metric in ("sdr_gain", "si_sdr", "clip_snr", "v3_nsdr", "v3_sir", "v3_sar", "v4_sdr", "v4_isr", "v4_sir"):
            assert math.isfinite(row.scores[f"{stem}/{metric}"])


def test_a_mixture_gains_nothing_and_an_oracle_a_lot(tmp_path: Path) -> None:
    tracks = songs(tmp_path)
    floor = run(baselines["mixture"](), tracks, tmp_path / "out")
    ceiling = run(baselines["irm"](), tracks, tmp_path / "out")
    for row in floor.rows:
        assert row.scores["vocals/sdr_gain"] == row.scores["vocals/v3_nsdr"] == 0.0
        assert row.scores["vocals/leakage_db"] == pytest.approx(0.0, abs=1e-9)
    assert all(row.scores["vocals/sdr_gain"] > 5 for row in ceiling.rows)


def test_what_was_scored_before_is_not_scored_again(tmp_path: Path) -> None:
    tracks, first, second = songs(tmp_path), Knowing(), Knowing()
    whole = run(first, tracks, tmp_path / "whole")
    run(Knowing(), tracks[:2], tmp_path / "out")
    seen: list[Done] = []
    result = run(second, tracks, tmp_path / "out", listener=seen.append)
    assert second.asked == ["song2"]
    assert [done.before for done in seen] == [True, True, False]
    assert rounded(result) == rounded(whole)
    assert rounded(load_result(tmp_path / "out/knowing")) == rounded(whole)


def test_a_line_cut_short_by_a_kill_is_scored_again(tmp_path: Path) -> None:
    tracks = songs(tmp_path)
    whole = run(Knowing(), tracks, tmp_path / "out")
    rows = tmp_path / "out/knowing/tracks.jsonl"
    rows.write_bytes(rows.read_bytes()[:-40])
    (tmp_path / "out/knowing/.work/song2").mkdir(parents=True)
    again = Knowing()
    assert rounded(run(again, tracks, tmp_path / "out")) == rounded(whole)
    assert again.asked == ["song2"]
    assert not (tmp_path / "out/knowing/.work").exists()


def test_a_track_that_fails_is_said_to_and_tried_again(tmp_path: Path) -> None:
    tracks = songs(tmp_path)
    result = run(Knowing(fails_on="song1"), tracks, tmp_path / "out")
    assert [row.error for row in result.rows] == ["", "track song1: cannot be separated (try another)", ""]
    again = Knowing()
    assert not any(row.error for row in run(again, tracks, tmp_path / "out").rows)
    assert again.asked == ["song1"]


def test_tracks_side_by_side_give_the_same_rows(tmp_path: Path) -> None:
    tracks = songs(tmp_path, 4)
    alone = run(Knowing(), tracks, tmp_path / "one")
    assert rounded(run(Knowing(), tracks, tmp_path / "two", jobs=3)) == rounded(alone)


def test_a_track_whose_files_changed_is_scored_again(tmp_path: Path) -> None:
    tracks = songs(tmp_path)
    run(Knowing(), tracks, tmp_path / "out")
    soundfile.write(tracks[1].stems["vocals"].path, 0.5 * voice(2.5), RATE, subtype="FLOAT")
    again = Knowing()
    run(again, tracks, tmp_path / "out")
    assert again.asked == ["song1"]


def test_more_tracks_with_a_leak_are_gone_on_with(tmp_path: Path) -> None:
    tracks, estimator = songs(tmp_path), Knowing()
    estimator.trained_on = ("Small",)
    run(estimator, tracks[:1], tmp_path / "out")
    assert "these 3 tracks" in run(estimator, tracks, tmp_path / "out").warnings[0]
    assert estimator.asked == ["song0", "song1", "song2"]


def test_stems_left_by_a_start_that_was_killed_are_replaced(tmp_path: Path) -> None:
    tracks = songs(tmp_path, 1)
    run(Knowing(), tracks, tmp_path / "out", keep_estimates=True)
    (tmp_path / "out/knowing/tracks.jsonl").unlink()
    assert not run(Knowing(), tracks, tmp_path / "out", keep_estimates=True).rows[0].error


def test_nothing_to_score_is_said_before_the_work(tmp_path: Path) -> None:
    (track,) = songs(tmp_path, 1)
    plain = replace(track, pitch=None)
    with pytest.raises(DataError, match="pyin: nothing to score: it gives f0, the tracks have stems"):
        check_scorable(baselines["pyin"](), [plain], ALL)
    with pytest.raises(DataError, match="mixture: nothing to score: it gives stems, the tracks have stems and pitch"):
        check_scorable(baselines["mixture"](), [track], replace(ALL, families=("pitch",)))
    with pytest.raises(UsageError, match="no track has the stem 'drums'"):
        check_scorable(baselines["mixture"](), [track], replace(ALL, stems=("vocals", "drums")))
    check_scorable(baselines["mixture"](), [track], ALL)


def test_figures_made_otherwise_are_not_mixed(tmp_path: Path) -> None:
    tracks = songs(tmp_path, 1)
    run(Knowing(), tracks, tmp_path / "out")
    with pytest.raises(DataError, match="holds figures made with snr_db = None, this is 0.0"):
        run(Knowing(), tracks, tmp_path / "out", scoring=replace(ALL, snr_db=0.0))
    with pytest.raises(DataError, match="seed = 0, this is 1"):
        run(Knowing(), tracks, tmp_path / "out", settings={"seed": 1})
    run(Knowing(), tracks, tmp_path / "out", settings={"seed": 0, "jobs": 7, "device": "another"})


def test_estimates_are_kept_when_asked_for_and_f0_always(tmp_path: Path) -> None:
    tracks = songs(tmp_path, 2)
    run(Knowing(), tracks, tmp_path / "out")
    assert not (tmp_path / "out/knowing/stems").exists()
    lines = (tmp_path / "out/knowing/f0/song0.melody.csv").read_text().splitlines()
    assert lines[0] == "time,frequency" and len(lines) == 251
    again = Knowing()
    run(again, tracks, tmp_path / "out", keep_estimates=True)
    assert again.asked == ["song0", "song1"]  # their stems were not there
    assert soundfile.info(tmp_path / "out/knowing/stems/song1/vocals.wav").frames == round(2.5 * RATE)


def test_a_leak_is_part_of_the_result(tmp_path: Path) -> None:
    estimator = Knowing()
    estimator.trained_on = ("Small",)
    result = run(estimator, songs(tmp_path, 1), tmp_path / "out")
    assert result.warnings[0].startswith("LEAK: knowing was trained on Small")
    assert load_result(tmp_path / "out/knowing").warnings == result.warnings


def test_octave_free_labels_score_no_octaves(tmp_path: Path) -> None:
    (track,) = songs(tmp_path, 1)
    (row,) = run(Knowing(), [replace(track, octave_free=True)], tmp_path / "out").rows
    assert {key for key in row.scores if key.startswith("melody/")} == {
        "melody/rca", "melody/vr", "melody/vfa", "melody/voicing_f1",
    }  # fmt: skip


def test_tracks_without_stems_or_pitch_are_scored_on_what_they_have(tmp_path: Path) -> None:
    stems = write_track(tmp_path / "data", "stems", pitch=False)
    full = write_track(tmp_path / "data", "mixture")
    mixture = replace(full, stems={}, mixture=full.stems["vocals"], labels="pe")
    only_stems, only_pitch = run(Knowing(), [stems, mixture], tmp_path / "out").rows
    assert "vocals/sdr" in only_stems.scores and "melody/rpa" not in only_stems.scores
    assert set(only_pitch.scores) >= {"melody/rpa"} and "vocals/sdr" not in only_pitch.scores


def test_rows_survive_json_with_what_is_not_finite() -> None:
    row = row_from_json(json.loads(json.dumps({"id": "a", "seconds": 1.0, "scores": {"x/sdr": None, "x/oa": "-inf"}})))
    assert math.isnan(row.scores["x/sdr"]) and row.scores["x/oa"] == -math.inf
    assert row_to_json(row) == {"id": "a", "seconds": 1.0, "scores": {"x/sdr": None, "x/oa": "-inf"}}


def test_a_folder_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="settings.json"):
        load_result(tmp_path)
    with pytest.raises(UsageError, match="no metrics 'sdr'"):
        Scoring(families=("sdr",))
    with pytest.raises(UsageError, match="no input 'voice'"):
        Scoring(families=("pitch",), inputs=("voice",))


def test_the_worst_tracks_are_shown_where_they_are_worst(tmp_path: Path) -> None:
    track = write_track(tmp_path / "data", "long", seconds=40.0)
    other = write_track(tmp_path / "data", "short", seconds=2.0)

    class WorseAtTheEnd(Knowing):
        def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
            files = super().separate(prepared, folder)
            if prepared.track.id == "long":
                audio, rate = soundfile.read(files["vocals"])
                audio[33 * rate : 35 * rate] = 0.0
                soundfile.write(files["vocals"], audio, rate, subtype="FLOAT")
            return files

    estimator = WorseAtTheEnd()
    result = run(estimator, [track, other], tmp_path / "out")
    assert deciding_key(result) == "vocals/sdr"
    assert [row.id for row in worst_rows(result, "vocals/sdr", 5)] == ["long", "short"]
    first, second = make_exhibits(estimator, result, [track, other], tmp_path / "work", scoring=ALL, count=2)
    assert first.track == "long" and 33 - 12 <= first.start <= 35
    assert {name: len(audio) for name, audio in first.audio.items()} == dict.fromkeys(
        ("mixture", "reference", "estimate"), 12 * RATE
    )
    assert "vocals global SDR" in first.why and first.reference_f0 is not None and first.estimate_f0 is not None
    assert (second.start, len(second.audio["reference"])) == (0.0, 2 * RATE)
    assert np.array_equal(second.audio["reference"][:, 0], voice(2.0))
    assert not (tmp_path / "work").exists()
    assert make_exhibits(estimator, result, [track], tmp_path / "work", scoring=ALL, count=0) == []


def test_a_perfect_estimate_of_a_voice_without_accompaniment_is_a_result(tmp_path: Path) -> None:
    (track,) = songs(tmp_path, 1)
    soundfile.write(track.stems["accompaniment"].path, np.zeros(round(2.5 * RATE)), RATE, subtype="FLOAT")
    (row,) = run(baselines["mixture"](), [track], tmp_path / "out").rows
    assert row.scores["vocals/sdr"] == math.inf and math.isnan(row.scores["vocals/sdr_gain"])
    assert math.isnan(row.scores["accompaniment/sdr"])
    assert row.counts == {"windows": 4, "windows_skipped": 2}  # those of the silent stem
