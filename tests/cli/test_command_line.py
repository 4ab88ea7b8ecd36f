"""The table of contents: help, version, exit codes, what is imported, how an interruption ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import majl_cli
from majl_cli import hub
from majl_cli.cli.app import app
from majl_cli.errors import CheckpointError

COMMANDS = [info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands if info.callback]

SLOW_MODEL = """
import sys, time
from pathlib import Path
import majl_cli
from majl_cli.cli.app import main
from majl_cli.inference.outputs import written_aside

class SlowModel:
    def estimate_pitch(self, source, **options):
        print("started", file=sys.stderr, flush=True)
        time.sleep(30)

    def separate(self, source, *, out, **options):
        out.mkdir(parents=True, exist_ok=True)
        with written_aside(out / "vocals.wav") as file:
            file.write(b"half")
            print("started", file=sys.stderr, flush=True)
            time.sleep(30)

majl_cli.load_model = lambda *names, **options: SlowModel()
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_ends_with_an_example(command, majl):
    done = majl(command, "--help")
    assert done.code == 0
    assert "Usage: majl" in done.out
    assert f"majl {command}" in done.out.rsplit("Example:", 1)[1]


def test_help_lists_the_commands(majl):
    done = majl("--help")
    assert done.code == 0
    assert all(command in done.out for command in ("separate", "pitch"))


def test_version_is_that_of_the_package(majl):
    assert majl("--version").out == f"majl {majl_cli.__version__}\n"


def test_no_command_prints_the_help(majl):
    done = majl()
    assert "Usage: majl" in done.out + done.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["separate", "--help"], ["pitch", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments):
    code = f"""
    import sys
    from majl_cli.cli.app import main
    try:
        main({arguments!r})
    except SystemExit as exit:
        heavy = {{"torch", "numpy", "librosa", "soundfile", "matplotlib", "accelerate"}} & set(sys.modules)
        sys.exit(f"imported {{heavy}}" if heavy or exit.code else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_answers_at_once():
    """The best of five: machines are noisy, and PyTorch alone would take longer than this."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "majl_cli", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.5


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, majl_cli; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_package_offers_its_public_names_and_no_others():
    assert set(majl_cli.__all__) == set(dir(majl_cli))
    with pytest.raises(AttributeError, match="no attribute 'sperate'"):
        majl_cli.sperate  # noqa: B018


def test_python_m_runs_the_same_command():
    done = subprocess.run([sys.executable, "-m", "majl_cli", "--version"], capture_output=True, text=True)
    assert done.stdout == f"majl {majl_cli.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["separate"],
        ["no-such-command"],
        ["separate", "song.wav", "--no-such-option"],
        ["separate", "song.wav", "--device", "tpu"],
        ["separate", "song.wav", "--precision", "int8"],
        ["separate", "song.wav", "--format", "midi"],
        ["separate", "song.wav", "--overlap", "1.5"],
        ["separate", "song.wav", "--threads", "0"],
        ["pitch", "song.wav", "--decoder", "best"],
        ["pitch", "song.wav", "--input", "drums"],
        ["pitch", "song.wav", "--threshold", "2"],
        ["pitch", "song.wav", "--npz", "--raw"],
        ["pitch", "song.wav", "--pitch-bends"],
    ],
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments, majl):
    done = majl(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "rror: " in done.err


def test_an_error_is_one_line_and_a_hint(majl, monkeypatch, song):
    def load_model(*_names, **_options):
        raise CheckpointError("no model 'best'", "use majl-base")

    monkeypatch.setattr(majl_cli, "load_model", load_model)
    monkeypatch.setattr(hub, "model_stems", load_model)
    done = majl("separate", song("a.wav"), "--model", "best")
    assert (done.code, done.out, done.err) == (1, "", "error: no model 'best'\nhint: use majl-base\n")
    done = majl("separate", song("a.wav"), "--model", "best", "--json")
    result = json.loads(done.out)
    assert (result["error"], result["hint"], result["tracks"]) == ("no model 'best'", "use majl-base", [])
    done = majl("separate", song("a.wav"), "--stems", ",", "--json")
    assert (done.code, set(json.loads(done.out))) == (2, {"error", "hint"})


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["separate", "pitch"])
def test_an_interruption_says_so_in_one_line_and_leaves_nothing_half_written(command, number, song, tmp_path):
    out = tmp_path / "stems"
    command = [sys.executable, "-c", SLOW_MODEL, command, str(song("a.wav")), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline() == "started\n"
    assert list(out.iterdir())
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout, stderr) == (130, "", "interrupted\n")
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_closed_pipe_is_no_error(song, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(0.5); from majl_cli.cli.app import main; main(['--help'])"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=10)


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")
def test_a_terminal_shows_progress_with_rate_and_remaining_time(song):
    import pty

    code = SLOW_MODEL.replace("class SlowModel:", "class SlowModel:\n    runtime = None").replace(
        SLOW_MODEL[SLOW_MODEL.index("        out.mkdir") : SLOW_MODEL.index("majl_cli.load_model")],
        "        for step in range(4):\n            time.sleep(0.15)\n            options['progress'](step / 4)\n"
        "        raise majl_cli.MajlError('enough', 'stop')\n",
    )
    code = code.replace("main(sys", "import majl_cli.cli.console as c; c._duration = lambda path: 2.0\nmain(sys")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "separate", str(song("[live].wav"))],
        stderr=theirs,
        stdout=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=10) == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"\[live\]\.wav .* 50% \d+\.\dx real time, \d:\d\d left", plain), plain
    assert "error: enough\r\nhint: stop\r\n" in plain


def test_a_full_disk_is_explained(majl, fake_model, monkeypatch, song, tmp_path):
    def no_space(*_arguments, **_options):
        raise OSError(28, "No space left on device", str(tmp_path / "stems"))

    monkeypatch.setattr(type(fake_model), "separate", no_space)
    done = majl("separate", song("a.wav"))
    assert done.code == 1
    assert f"error: {tmp_path / 'stems'}: the disk is full\nhint: free some space" in done.err


def test_a_file_where_the_output_folder_should_be_is_explained(majl, fake_model, song, tmp_path):
    out = tmp_path / "taken"
    out.write_text("")
    done = majl("pitch", song("a.wav"), "--out", out)
    assert done.code == 1
    assert f"a.f0.csv: cannot be written: {out} is not a folder\nhint: choose another folder" in done.err
    assert Path(out).read_text() == ""
