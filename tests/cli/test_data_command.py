"""``majl data``: what it says and leaves behind, whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from synth_recordings import write_recordings

from majl_cli.data.manifest import read_manifest


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyworld", reason="pyworld is not installed; the synth extra brings it")
    return write_recordings(tmp_path_factory.mktemp("recordings"))


def test_help_lists_the_commands_and_each_ends_with_an_example(majl):
    listed = majl("data", "--help")
    assert listed.code == 0
    for command in ("synth", "voice-bank"):
        assert f"  {command} " in listed.out and f"majl data {command}" in listed.out.rsplit("Examples:", 1)[1]
        assert f"majl data {command}" in majl("data", command, "--help").out.rsplit("Example:", 1)[1]


def test_help_imports_nothing_heavy():
    code = """
    import sys
    from majl_cli.cli.app import main
    try:
        main(["data", "synth", "--help"])
    except SystemExit:
        heavy = {"torch", "numpy", "scipy", "soundfile", "mido", "pyworld", "tinysoundfont"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_synth_makes_pieces_once_and_counts_them(majl, recordings, tmp_path):
    command = ["data", "synth", "--recordings", recordings, "--out", tmp_path, "--voices", "1", "--jobs", "1"]
    done = majl(*command)
    assert done.code == 0
    assert done.out.startswith("2 files made, 0 were there\n")
    assert f"{tmp_path / 'train.jsonl'}: 4 tracks\n" in done.out
    assert len(read_manifest(tmp_path / "train.jsonl")) == 4
    again = majl(*command, "--json")
    result = json.loads(again.out)
    assert (result["made"], result["kept"]) == (0, 2)
    assert result["manifests"][str(tmp_path / "open.jsonl")]["synth resung-open/train/vocals"].startswith("1 tracks")
    assert majl(*command, "--quiet").out == ""


def test_what_is_missing_is_one_line_and_a_hint(majl, recordings, tmp_path):
    out = tmp_path / "out"
    done = majl("data", "synth", "--recordings", recordings, "--out", out, "--accompaniments", "1")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --accompaniments needs --soundfont\nhint: ")
    done = majl("data", "synth", "--recordings", tmp_path, "--out", out, "--json")
    assert done.code == 1 and set(json.loads(done.out)) == {"error", "hint"}
    assert not out.exists()


def test_a_complete_voice_bank_is_left_as_it_is(majl, recordings):
    units = recordings / "bank" / "units.csv"
    before = units.stat().st_mtime_ns
    done = majl("data", "voice-bank", recordings / "bank")
    assert (done.code, done.out) == (0, f"{recordings / 'bank'}: 2 words of 1 speakers, there already\n")
    assert units.stat().st_mtime_ns == before


SLOW_PIECES = """
import signal, sys, time
from pathlib import Path
import majl_cli.data.synth.pieces as pieces
from majl_cli.cli.app import main

interrupted = Path(sys.argv.pop(1))

def interrupt(*about):
    interrupted.touch()
    signal.default_int_handler(*about)

def slow(path, audio, rate, **options):
    path.write_bytes(b"half")
    print("started", file=sys.stderr, flush=True)
    end = time.monotonic() + 60
    while not interrupted.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    path.write_bytes(b"whole")

pieces.soundfile.write = slow
signal.signal(signal.SIGINT, interrupt)
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_leaves_nothing_half_written(recordings, tmp_path, jobs):
    command = ["data", "synth", "--recordings", str(recordings), "--out", str(tmp_path), "--voices", "9", "--jobs"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_PIECES, str(tmp_path / "interrupted"), *command, str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for _ in range(jobs):  # a piece is finished only after the interruption was noticed, however slow the machine
        while process.stderr.readline() not in ("started\n", ""):
            pass
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the worker processes get it too
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    told = [line for line in stderr.splitlines() if line != "started"]
    assert told == [f"interrupted; what is in {tmp_path} is kept", "hint: start the same command again to go on"]
    assert not list(tmp_path.rglob(".tmp-majl-*"))
    made = list(tmp_path.rglob("*.wav"))
    assert len(made) <= jobs and all(path.read_bytes() == b"whole" for path in made)
