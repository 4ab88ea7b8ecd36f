"""Locks on folders: one process at a time, and none left behind by a process that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from majl_cli.errors import AudioError, MajlError
from majl_cli.files import LOCK_FILE, locked

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="no flock on Windows")
HOLD = """
import sys, time
from pathlib import Path
from majl_cli.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@needs_locks
def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    with locked(folder, "training"):
        with pytest.raises(MajlError) as caught, locked(folder, "training"):
            pass
        assert str(caught.value) == (
            f"another process is training here: {folder}\n  wait for it, or use another folder"
        )
        with locked(folder, name=".other.lock"):  # another lock of the same folder
            pass
    with locked(folder):
        assert (folder / LOCK_FILE).exists()


@needs_locks
def test_the_lock_of_another_process_ends_with_that_process(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(MajlError, match="another process is at work here"), locked(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with locked(tmp_path):
        pass


@needs_locks
def test_waiting_for_a_lock_gets_it_after_the_other_process(tmp_path: Path) -> None:
    hold = HOLD.replace("60", "0.5")
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with locked(tmp_path, wait=True), pytest.raises(MajlError), locked(tmp_path):
            pass
    finally:
        process.communicate()


@needs_locks
def test_a_forked_child_does_not_hold_the_lock_of_its_parent(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from majl_cli.files import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    sys.stdin.read()
    os.kill(os.getpid(), 9)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    child = int(process.stdout.readline())
    process.stdin.close()
    process.wait()
    os.kill(child, 0)  # it lives
    with locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    process.stdout.close()


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match=r"cannot be written: .*file is not a folder"), locked(tmp_path / "file"):
        pass
