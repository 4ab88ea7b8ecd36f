"""``majl pseudolabel`` end to end: a tiny model with random weights, generated audio."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny import PITCH, SEPARATION

from majl_cli.cli.console import Console
from majl_cli.cli.track_progress import TrackProgress
from majl_cli.data.manifest import Stem, Track, read_manifest, write_manifest
from majl_cli.files import locked
from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation

RATE = 16000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    separation = build_separation("unet", SEPARATION["unet"]["16 kHz mono"])
    joint = JointModel(separation, build_pitch("salience-cnn", PITCH["salience-cnn"]["tiny"]))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_checkpoint(folder, joint.eval(), separation="unet", pitch="salience-cnn")
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Tracks of a second: two with stems, two with pitch, two with both, the last in the validation split."""
    tracks = []
    generator = np.random.default_rng(0)
    for n in range(6):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 20 * n) * np.arange(RATE) / RATE)
        music = 0.1 * generator.standard_normal(RATE)
        audio, label = tmp_path / f"{n}.wav", tmp_path / f"{n}.csv"
        soundfile.write(audio, np.stack((music, tone, music + tone), axis=1), RATE)
        label.write_text("".join(f"{k / 100},{200 + 20 * n}\n" for k in range(101)))
        kind = ("mss", "pe", "full")[n // 2]
        stems = {"accompaniment": Stem(path=audio, channel=0), "vocals": Stem(path=audio, channel=1)}
        tracks.append(
            Track(
                id=f"t{n}",
                corpus="songs",
                labels=kind,
                sample_rate=RATE,
                channels=1,
                duration=1.0,
                split="validation" if kind == "full" else "train",
                mixture=Stem(path=audio, channel=2) if kind == "pe" else None,
                stems={} if kind == "pe" else stems,
                pitch=None if kind == "mss" else label,
            )  # fmt: skip
        )
    write_manifest(tmp_path / "tracks.jsonl", tracks)
    return tmp_path / "tracks.jsonl"


def options(checkpoint: Path, manifest: Path, out: Path, *more: str) -> list[str]:
    given = {"--model": checkpoint, "--manifest": manifest, "--out": out}
    pairs = [str(item) for pair in given.items() for item in pair]
    return ["pseudolabel", *pairs, "--device", "cpu", "--precision", "float32", "--threads", "1", *more]


def test_labels_calibrates_and_feeds_the_filter(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pseudo"
    done = majl(*options(checkpoint, manifest, out, "--jobs", "2"))
    assert done.code == 0, done.err
    tracks = read_manifest(out / "manifest.jsonl")
    assert [(t.id, t.bucket, t.labels) for t in tracks] == [
        ("t0", "mss", "full"), ("t1", "mss", "full"), ("t2", "pe", "full"), ("t3", "pe", "full"),
    ]  # fmt: skip
    for track in tracks:
        assert track.confidence is not None and track.confidence.exists()
        assert track.pitch is not None and track.pitch.exists()
        assert all(stem.path.exists() for stem in track.stems.values())
    lines = done.out.splitlines()
    assert re.fullmatch(r"calibrated on 2 tracks: temperature \d\.\d{3}", lines[0])
    assert re.match(r"  pitch: calibration error \d+\.\d% before, \d+\.\d% after \(\d+\.\d% on the half", lines[1])
    assert re.fullmatch(r"mss: 2 of 2 tracks labelled, 0\.001 h, mean confidence 0\.\d{3}", lines[3])
    assert lines[-1] == str(out / "manifest.jsonl")
    assert majl("filter", out, "--th", "0", "--no-png").code == 0
    assert len(read_manifest(out / "kept.jsonl")) == 4


def test_json_has_every_track_and_a_second_start_skips_them(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    command = options(checkpoint, manifest, tmp_path / "pseudo", "--json", "--npz")
    done = majl(*command)
    first = json.loads(done.out)
    assert first["summary"] == {"done": 4, "skipped": 0, "failed": 0}
    assert first["manifest"] == str(tmp_path / "pseudo" / "manifest.jsonl")
    assert set(first["calibration"]) == {"pitch", "stems"}
    assert first["calibration"]["pitch"]["frames"] == 2 * 101
    assert [row["bucket"] for row in sorted(first["tracks"], key=lambda row: row["id"])] == ["mss", "mss", "pe", "pe"]
    assert len(list((tmp_path / "pseudo" / "tracks").glob("*/pitch.npz"))) == 4
    again = json.loads(majl(*command).out)
    assert again["summary"] == {"done": 0, "skipped": 4, "failed": 0}
    assert again["temperature"] == first["temperature"]
    said = majl(*options(checkpoint, manifest, tmp_path / "pseudo"))
    assert "pe: 2 of 2 tracks labelled (2 of them by an earlier start)" in said.out


def test_a_missing_file_fails_its_track_alone(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "2.wav").unlink()
    done = majl(*options(checkpoint, manifest, tmp_path / "pseudo"))
    assert done.code == 1
    assert f"error: track t2: {tmp_path / '2.wav'}: there is no such file\nhint: check the path" in done.err
    assert [t.id for t in read_manifest(tmp_path / "pseudo" / "manifest.jsonl")] == ["t0", "t1", "t3"]
    assert "pe: 1 of 2 tracks labelled" in done.out
    row = next(
        row
        for row in json.loads(majl(*options(checkpoint, manifest, tmp_path / "pseudo", "--json")).out)["tracks"]
        if row["id"] == "t2"
    )
    assert (row["status"], row["hint"]) == ("failed", "check the path")


def test_what_is_missing_is_said(majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "pseudo"
    done = majl("pseudolabel", "--out", out, "--manifest", manifest)
    assert (done.code, done.err.splitlines()[0]) == (2, "error: no --model given, and no majl.toml here or above")
    done = majl("pseudolabel", "--out", out, "--model", checkpoint)
    assert (done.code, done.err.splitlines()[0]) == (1, "error: no track to label")
    done = majl("pseudolabel", "--out", out, "--model", checkpoint, "--data", "opera=x")
    assert done.err.startswith("error: --data opera=x: no such corpus\nhint: write CORPUS=FOLDER with one of mir-1k")
    tracks = read_manifest(manifest)
    write_manifest(tmp_path / "full.jsonl", tracks[4:])
    done = majl(*options(checkpoint, tmp_path / "full.jsonl", out))
    assert done.err.startswith("error: no track to label\nhint: give tracks of split train with labels mss or pe")
    write_manifest(tmp_path / "partly.jsonl", tracks[:4])
    done = majl(*options(checkpoint, tmp_path / "partly.jsonl", out))
    assert done.code == 1
    assert "error: no track to calibrate on\nhint: give fully labelled tracks" in done.err
    assert not out.exists()
    done = majl(*options(checkpoint, tmp_path / "partly.jsonl", out, "--uncalibrated"))
    assert done.code == 0
    assert done.out.splitlines()[0] == "not calibrated: the confidences are not tested"


KILLED = """
import os, signal, sys
from majl_cli.cli.app import main
from majl_cli.pseudolabel import generate

real, done = generate._label, []
def killed_at_the_third(*arguments):
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
generate._label = killed_at_the_third
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.slow
def test_killed_for_real_it_goes_on(majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "pseudo"
    command = options(checkpoint, manifest, out, "--json")
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "manifest.jsonl").exists()
    again = majl(*command)
    assert json.loads(again.out)["summary"] == {"done": 2, "skipped": 2, "failed": 0}
    assert len(read_manifest(out / "manifest.jsonl")) == 4


def test_ctrl_c_says_how_to_go_on(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from majl_cli.pseudolabel import generate

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "_label", interrupted)
    out = tmp_path / "pseudo"
    done = majl(*options(checkpoint, manifest, out))
    assert done.code == 130
    assert done.err.endswith(f"interrupted; {out} goes on from here\nhint: start the same command again\n")
    assert not list(out.rglob(".tmp*"))


@pytest.mark.skipif(os.name == "nt", reason="no flock on Windows")
def test_two_do_not_write_into_one_folder(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pseudo"
    with locked(out):
        done = majl(*options(checkpoint, manifest, out))
    assert done.code == 1
    assert done.err == (f"error: another process is labelling here: {out}\nhint: wait for it, or use another folder\n")
    assert [path.name for path in out.iterdir()] == [".majl.lock"]


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tracks = read_manifest(manifest)
    with TrackProgress("labelling", tracks, Console(json=False, quiet=False)) as bar:
        bar.done(tracks[0], before=True)
        now += 31.0
        bar.done(tracks[1], before=True)
        now += 1.0
        bar.done(tracks[2])
        now += 31.0
        bar.done(tracks[3])
    assert capsys.readouterr().err.splitlines() == [
        "labelling: 2/6 tracks",
        "labelling: 4/6 tracks, 0.0x real time, 1:03 left",
    ]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")
def test_a_terminal_shows_a_bar(manifest: Path) -> None:
    import pty

    code = f"""
    import time
    from pathlib import Path
    from majl_cli.cli.console import Console
    from majl_cli.cli.track_progress import TrackProgress
    from majl_cli.data.manifest import read_manifest
    tracks = read_manifest(Path({str(manifest)!r}))
    with TrackProgress("labelling", tracks, Console(json=False, quiet=False)) as bar:
        for track in tracks[:3]:
            time.sleep(0.15)
            bar.done(track)
        time.sleep(0.3)
    """
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait(timeout=10) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"50% labelling: 3/6 tracks, \d+\.\dx real time, 0:0\d left", plain), plain
