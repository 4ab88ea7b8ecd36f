"""``majl evaluate`` as it is typed: what it writes, says and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

Majl = Callable[..., Any]
RATE = 16000


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two songs of two seconds, with pitch."""
    monkeypatch.chdir(tmp_path)
    time = np.arange(2 * RATE) / RATE
    for number, pitch in enumerate((220.0, 330.0)):
        place = tmp_path / "songs" / f"song{number}"
        place.mkdir(parents=True)
        voice = sum(0.2 / k * np.sin(2 * np.pi * k * pitch * time) for k in (1, 2, 3))
        noise = 0.1 * np.random.default_rng(number).standard_normal(len(time))
        soundfile.write(place / "vocals.wav", voice, RATE, subtype="FLOAT")
        soundfile.write(place / "accompaniment.wav", noise, RATE, subtype="FLOAT")
        rows = "".join(f"{t / 100:.2f},{pitch}\n" for t in range(200))
        (place / "pitch.csv").write_text("time,frequency\n" + rows)
    return tmp_path / "songs"


def test_it_writes_a_report_and_says_what_came_of_it(corpus: Path, majl: Majl) -> None:
    done = majl("evaluate", "--data", f"stems={corpus}", "--baseline", "mixture", "--baseline", "irm", "--snr-db", "0")
    assert done.code == 0, done.err
    out = Path("evaluation/folder")
    assert {path.name for path in out.iterdir()} >= {"report.html", "summary.json", "scores.csv", "mixture", "irm"}
    assert "folder, mixed at 0 dB: 2 tracks, 0.00 h" in done.err
    assert "vocals global SDR, dB" in done.out and str(out / "report.html") in done.out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "irm" in page and "song1" in page
    summary = json.loads((out / "summary.json").read_text())
    scores = {row["name"]: row["scores"] for row in summary["estimators"]}
    assert scores["mixture"]["vocals/sdr"]["mean"] == pytest.approx(0.0, abs=1e-5)
    assert scores["irm"]["vocals/sdr"]["mean"] > 10
    assert summary["command"] == f"majl evaluate --data stems={corpus} --baseline mixture --baseline irm --snr-db 0"


def test_json_is_the_summary_and_nothing_else(corpus: Path, majl: Majl) -> None:
    done = majl("evaluate", "--data", f"stems={corpus}", "--baseline", "mixture", "--metrics", "energy", "--json")
    assert json.loads(done.out) == json.loads(Path("evaluation/folder/summary.json").read_text())
    metrics = ("sdr", "sdr_gain", "si_sdr", "clip_snr")
    expected = {f"{stem}/{metric}" for stem in ("vocals", "accompaniment") for metric in metrics}
    assert set(json.loads(done.out)["estimators"][0]["scores"]) == expected


def test_mixtures_written_for_another_tool_come_back_as_its_estimates(corpus: Path, majl: Majl) -> None:
    data = ("--data", f"stems={corpus}", "--snr-db", "-3")
    assert majl("evaluate", *data, "--write-mixtures", "mixtures").code == 0
    assert sorted(path.name for path in Path("mixtures").iterdir()) == ["song0.wav", "song1.wav"]
    for name in ("song0", "song1"):  # the "tool" does nothing
        Path("tool", name).mkdir(parents=True)
        shutil.copy(f"mixtures/{name}.wav", f"tool/{name}/vocals.wav")
    done = majl("evaluate", *data, "--estimates", "tool", "--baseline", "mixture", "--metrics", "energy", "--json")
    assert done.code == 0, done.err
    tool, mixture = json.loads(done.out)["estimators"]
    assert tool["scores"]["vocals/sdr"]["mean"] == pytest.approx(mixture["scores"]["vocals/sdr"]["mean"], abs=1e-5)
    assert "accompaniment/sdr" not in tool["scores"]


def test_f0_files_of_another_tool_are_scored_and_known_leaks_said(corpus: Path, majl: Majl) -> None:
    folder = Path("crepe")
    folder.mkdir()
    for name, pitch in (("song0", 220.0), ("song1", 660.0)):
        rows = "".join(f"{t / 100:.2f},{pitch},0.9\n" for t in range(200))
        (folder / f"{name}.f0.csv").write_text("time,frequency,confidence\n" + rows)
    options = ("--data", f"stems={corpus}", "--estimates", "crepe", "--metrics", "pitch", "--json")
    done = majl("evaluate", *options)
    (estimator,) = json.loads(done.out)["estimators"]
    assert estimator["scores"]["melody/rpa"]["mean"] == 0.5
    assert estimator["scores"]["melody/rca"]["mean"] == 1.0  # song1 is an octave too high
    assert estimator["warnings"] == []
    done = majl("evaluate", *options, "--trained-on", "songs", "--out", "again")
    assert "LEAK: crepe was trained on songs" in done.err
    assert json.loads(done.out)["estimators"][0]["warnings"]


def test_two_estimators_are_compared_here_or_from_their_folders(corpus: Path, majl: Majl) -> None:
    options = ("--data", f"stems={corpus}", "--baseline", "mixture", "--baseline", "irm", "--metrics", "energy,v3")
    done = majl("evaluate", *options, "--compare", "irm", "mixture")
    assert "irm less mixture" in done.out and "2 / 0 / 0" in done.out
    later = majl("evaluate", "--compare", "evaluation/folder/irm", "evaluation/folder/mixture")
    assert later.code == 0 and "irm less mixture" in later.out
    refused = majl("evaluate", "--compare", "evaluation/folder/irm", "nowhere")
    assert refused.code == 1 and "nowhere" in refused.err and "hint:" in refused.err


def test_figures_of_two_protocols_are_not_compared(corpus: Path, majl: Majl) -> None:
    options = ("--data", f"stems={corpus}", "--baseline", "mixture", "--metrics", "energy")
    majl("evaluate", *options, "--out", "one")
    majl("evaluate", *options, "--out", "two", "--snr-db", "0")
    done = majl("evaluate", "--compare", "one/mixture", "two/mixture")
    assert done.code == 1 and "snr_db differs: None of one/mixture, 0.0 of two/mixture" in done.err


def test_warnings_come_along_when_folders_are_compared(corpus: Path, majl: Majl) -> None:
    options = ("--data", f"stems={corpus}", "--estimates", "tool=songs", "--trained-on", "songs", "--metrics", "energy")
    majl("evaluate", *options, "--baseline", "mixture")
    done = majl("evaluate", "--compare", "evaluation/folder/tool", "evaluation/folder/mixture", "--json")
    assert "LEAK" in done.err
    assert [len(row["warnings"]) for row in json.loads(done.out)["estimators"]] == [1, 0]


def test_a_second_start_goes_on_and_another_setting_is_refused(corpus: Path, majl: Majl) -> None:
    options = ("--data", f"stems={corpus}", "--baseline", "mixture", "--metrics", "energy")
    majl("evaluate", *options, "--limit", "1")
    assert len(Path("evaluation/folder/mixture/tracks.jsonl").read_text().splitlines()) == 1
    majl("evaluate", *options)
    assert len(Path("evaluation/folder/mixture/tracks.jsonl").read_text().splitlines()) == 2
    done = majl("evaluate", *options, "--snr-db", "5")
    assert done.code == 1 and "holds figures made with snr_db = None, this is 5.0" in done.err


def test_a_track_that_fails_makes_the_exit_code_1_and_the_report_all_the_same(corpus: Path, majl: Majl) -> None:
    (corpus / "song0/vocals.wav").write_bytes(b"RIFF no more")
    (corpus / "song1/accompaniment.wav").unlink()
    done = majl("evaluate", "--data", f"stems={corpus}", "--baseline", "mixture")
    assert done.code == 1 and "vocals.wav" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "no data to score on"),
        (("--data", "stems=songs", "--baseline", "mixtur"), 2, "no baseline 'mixtur'"),
        (("--data", "stems=songs", "--protocol", "musdb"), 2, "no protocol 'musdb'"),
        (("--data", "stems=songs", "--protocol", "musdb18-test"), 1, "no track of MUSDB18 or MUSDB18-HQ"),
        (("--data", "stems=songs", "--metrics", "sdr"), 2, "no metrics 'sdr'"),
        (("--data", "stems=songs", "--split", "test"), 1, "no track of split test; there are 2 of split train"),
        (("--data", "stems=songs", "--estimates", "nowhere"), 1, "there is no such folder"),
        (("--data", "stems=songs", "--baseline", "mixture", "--baseline", "mixture"), 2, "two estimators are called"),
        (("--data", "stems=songs", "--model", "nosuch"), 1, "no model 'nosuch'"),
        (
            (
                "--data",
                "stems=nowhere",
            ),
            1,
            "nowhere",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines(
    corpus: Path, majl: Majl, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = majl("evaluate", *arguments)
    assert done.code == code and message in done.err
    assert "Traceback" not in done.err and "hint:" in done.err
    assert not list(Path.cwd().rglob("report.html"))


def test_the_embedded_model_is_scored_by_default(corpus: Path, majl: Majl) -> None:
    done = majl("evaluate", "--data", f"stems={corpus}", "--json", "--limit", "1", "--with-audio")
    assert done.code == 0, done.err
    (estimator,) = json.loads(done.out)["estimators"]
    assert estimator["name"] == "majl-base" and estimator["settings"]["weights"]
    assert {"vocals/sdr", "melody/rpa", "melody_clean/rpa"} <= set(estimator["scores"])
    page = Path("evaluation/folder/report.html").read_text(encoding="utf-8")
    assert "<audio" in page and "data:image/png" in page


def test_in_a_project_the_tracks_nothing_was_trained_on_are_scored(corpus: Path, majl: Majl) -> None:
    (corpus / "validation").mkdir()
    (corpus / "song1").rename(corpus / "validation/song1")
    Path("majl.toml").write_text('[data.folders]\nstems = "songs"\n')
    done = majl("evaluate", "--baseline", "mixture", "--metrics", "energy", "--json")
    assert "folder, split validation, mixtures as they are: 1 track" in done.err
    assert json.loads(done.out)["estimators"][0]["tracks"] == 1
