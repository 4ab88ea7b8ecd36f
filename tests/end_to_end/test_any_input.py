"""Whatever a user gives: a right result, or one line of what is wrong with one of what to do; nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.cli.app import main

RATE = 44100


def tone(samples: int, channels: int = 2) -> np.ndarray:
    time_s = np.arange(samples) / RATE
    return np.repeat((0.2 * np.sin(2 * np.pi * 220 * time_s))[:, None], channels, axis=1)


def write_nan(path: Path) -> None:
    audio = tone(20000)
    audio[12345] = np.nan
    soundfile.write(path, audio, RATE, subtype="FLOAT")


def write_absurd(path: Path) -> None:
    audio = tone(20000)
    audio[12345] = 1e30
    soundfile.write(path, audio, RATE, subtype="FLOAT")


def write_with_av(path: Path, codec: str, rate: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(tone(rate).T.astype(np.float32).copy(), format="fltp", layout="stereo")
        frame.rate = rate
        for piece in av.AudioResampler(format=stream.format, layout="stereo", rate=rate).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def write_cut_off(path: Path) -> None:
    soundfile.write(path, tone(30000), RATE, format="WAV")
    path.write_bytes(path.read_bytes()[:50001])


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("empty.wav", lambda p: p.write_bytes(b""), "is empty"),
    "text": ("text.wav", lambda p: p.write_text("no audio\n" * 99), "not readable as audio"),
    "no samples": ("zero.wav", lambda p: soundfile.write(p, np.zeros((0, 2)), RATE), "no audio at all"),
    "not a number": ("nan.wav", write_nan, "not a number at 0.280 s"),
    "absurd level": ("loud.wav", write_absurd, "loud.wav: level out of range"),
    "missing": ("missing.wav", lambda p: None, "missing.wav"),
}
GOOD: dict[str, tuple[str, Callable[[Path], object], tuple[int, int]]] = {
    "one sample": ("one.wav", lambda p: soundfile.write(p, tone(1), RATE), (1, 2)),
    "silent": ("silent.wav", lambda p: soundfile.write(p, np.zeros((9000, 1)), RATE), (9000, 1)),
    "8 channels": ("eight.wav", lambda p: soundfile.write(p, tone(9001, 8), RATE), (9001, 8)),
    "non-ASCII": ("夜の歌 — ёж.flac", lambda p: soundfile.write(p, tone(9000), RATE), (9000, 2)),
    "cut off": ("cut.wav", write_cut_off, (12489, 2)),
    "mp3": ("song.mp3", lambda p: soundfile.write(p, tone(RATE), RATE), (RATE, 2)),
    "long name": ("歌" * 80 + ".wav", lambda p: soundfile.write(p, tone(9000), RATE), (9000, 2)),
    "raw": ("take.raw", lambda p: soundfile.write(p, tone(9000), RATE, format="WAV"), (9000, 2)),
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize("command", ["separate", "pitch"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gives_one_line_and_leaves_nothing(
    command: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, create, message = BAD[kind]
    create(tmp_path / name)
    code, _, err = run(capsys, command, str(tmp_path / name), "--out", str(tmp_path / "out"), "--precision", "float32")
    assert code == 1
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("kind", GOOD)
def test_odd_but_good_input_gives_stems_and_pitch(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, create, shape = GOOD[kind]
    create(tmp_path / name)
    out = tmp_path / "out"
    options = ("--out", str(out), "--precision", "float32", "--quiet")
    assert run(capsys, "separate", str(tmp_path / name), *options)[0] == 0
    assert run(capsys, "pitch", str(tmp_path / name), "--csv", "--npz", "--midi", *options)[0] == 0
    track = Path(name).stem
    for stem in ("vocals", "accompaniment"):
        audio, rate = soundfile.read(out / track / f"{stem}.wav", always_2d=True)
        assert (audio.shape, rate) == (shape, RATE)
    rows = np.loadtxt(out / f"{track}.f0.csv", delimiter=",", skiprows=1, ndmin=2)
    assert len(rows) == round(shape[0] * 16000 / RATE) // 160 + 1
    assert {p.name for p in out.iterdir()} == {track, f"{track}.f0.csv", f"{track}.f0.npz", f"{track}.mid"}


@pytest.mark.parametrize(("name", "codec", "rate"), [("x.m4a", "aac", 44100), ("x.webm", "libopus", 48000)])
def test_m4a_and_webm_give_stems_and_pitch(
    name: str, codec: str, rate: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_with_av(tmp_path / name, codec, rate)
    options = ("--out", str(tmp_path / "out"), "--precision", "float32")
    assert run(capsys, "separate", str(tmp_path / name), *options)[0] == 0
    assert run(capsys, "pitch", str(tmp_path / name), *options)[0] == 0
    for stem in ("vocals", "accompaniment"):
        info = soundfile.info(tmp_path / "out" / "x" / f"{stem}.wav")
        assert (info.samplerate, info.channels) == (rate, 2)
        assert abs(info.frames - rate) < 0.1 * rate
    assert (tmp_path / "out" / "x.f0.csv").exists()


@pytest.mark.parametrize("command", ["separate", "pitch"])
def test_a_cut_off_file_is_warned_of_once(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cut_off(tmp_path / "cut.wav")
    code, out, err = run(capsys, command, str(tmp_path / "cut.wav"), "--out", str(tmp_path / "out"), "--json")
    warning = f"{tmp_path / 'cut.wav'}: cut off: 12489 of 30000 samples are there"
    assert code == 0
    assert json.loads(out)["tracks"][0]["warnings"] == [warning]
    assert err.count("cut off") == 1
    assert f"warning: {warning}\n" in err


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "c"):
        soundfile.write(tmp_path / f"{name}.wav", tone(5000), RATE)
    (tmp_path / "b.wav").write_text("no audio")
    code, out, _ = run(capsys, "separate", str(tmp_path), "--out", str(tmp_path / "out"), "--json")
    assert code == 1
    result = json.loads(out)
    assert [track["status"] for track in result["tracks"]] == ["done", "failed", "done"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "c"]


@pytest.mark.parametrize("command", ["separate", "pitch"])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_output_folder_that_is_a_file_says_so(
    command: str, below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), RATE)
    (tmp_path / "out").write_text("a file")
    code, _, err = run(capsys, command, str(tmp_path / "a.wav"), "--out", str(tmp_path / "out" / below))
    assert code == 1
    assert "cannot be written" in err
    assert "is not a folder\nhint: choose another folder with --out" in err
    assert "tmp-majl" not in err
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", ["separate", "pitch"])
def test_read_only_output_folder_says_so(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), RATE)
    (tmp_path / "out").mkdir(mode=0o500)
    code, _, err = run(capsys, command, str(tmp_path / "a.wav"), "--out", str(tmp_path / "out"))
    assert code == 1
    assert "cannot be written: Permission denied\nhint: " in err
    assert list((tmp_path / "out").iterdir()) == []


def test_full_disk_says_so_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), RATE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    code, _, err = run(capsys, "separate", str(tmp_path / "a.wav"), "--out", str(tmp_path / "out"))
    assert code == 1
    assert "the disk is full" in err
    assert not [p for p in tmp_path.rglob("*") if p.name != "a.wav" and p.is_file()]


def test_unknown_model_names_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), RATE)
    code, _, err = run(capsys, "separate", str(tmp_path / "a.wav"), "--model", "majl-bass")
    assert code == 1
    assert "no model 'majl-bass'" in err
    assert "did you mean majl-base?" in err


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(RATE * 600, 1).astype(np.float32), RATE)
    command = [sys.executable, "-m", "majl_cli", "separate", str(tmp_path / "long.wav"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--precision", "float32"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("out/**/.*tmp-majl*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in errors
    assert not [p for p in tmp_path.rglob("*") if p.name != "long.wav"]
