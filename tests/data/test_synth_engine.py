"""The data engine: manifests, what is kept, what is refused, and that pieces do not depend on who makes them."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synth_recordings import write_recordings

from majl_cli.data.augment import AugmentConfig
from majl_cli.data.dataset import SegmentDataset
from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import read_manifest
from majl_cli.data.synth import engine
from majl_cli.data.synth.engine import Order, plan, run, write_manifests
from majl_cli.data.synth.pieces import Job, make
from majl_cli.data.synth.sung import read_bank
from majl_cli.data.synth.voice_bank import SPEAKERS, make_voice_bank
from majl_cli.errors import DataError, DependencyError, MajlError, UsageError

pytest.importorskip("pyworld", reason="pyworld is not installed; the synth extra brings it")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("recordings"))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".csv")]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_manifests_list_what_was_made_and_training_reads_them(recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont", reason="tinysoundfont is not installed: pip install --no-deps tinysoundfont")
    order = Order(
        recordings=recordings,
        out=tmp_path,
        soundfont=recordings / "tiny.sf2",
        voice_bank=recordings / "bank",
        accompaniments=1,
        voices=1,
        sung=1,
        decode=True,
    )
    planned = plan(order)
    assert len(planned.todo) == 6
    heard: list[Job] = []
    run(planned, listener=heard.append)
    write_manifests(planned)
    assert len(heard) == 6 and not plan(order).todo
    tracks = {t.id: t for t in read_manifest(tmp_path / "train.jsonl")}
    pieces = {"accompaniments_00000", "sung_00000", "resung_00000", "resung-open_00000"}
    assert set(tracks) == pieces | {"ada_song", "bob_song"}
    assert {t.id for t in read_manifest(tmp_path / "open.jsonl")} == set(tracks) - {"bob_song", "resung_00000"}
    assert tracks["ada_song"].stems["vocals"].path.is_relative_to(tmp_path)
    times, frequencies, known = read_pitch(tracks["sung_00000"])
    assert known.all() and times[-1] == pytest.approx(tracks["sung_00000"].duration, abs=0.02)
    assert ((frequencies == 0) | ((frequencies >= 65) & (frequencies <= 1100))).all()
    dataset = SegmentDataset(list(tracks.values()), sample_rate=44100, channels=2, segment_seconds=1.0,
                             frame_seconds=0.01, augment=AugmentConfig())  # fmt: skip
    assert dataset[0]["mixture"].shape == (2, 44100)


def test_pieces_are_the_same_however_many_processes_make_them(recordings: Path, tmp_path: Path) -> None:
    order = Order(recordings=recordings, out=tmp_path / "one", voices=2, sung=1, voice_bank=recordings / "bank")
    run(plan(order))
    again = replace(order, out=tmp_path / "two")
    run(plan(again), jobs=2)
    assert len(digests(tmp_path / "one")) == 10
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_what_is_there_is_kept_and_a_lost_piece_comes_back(recordings: Path, tmp_path: Path) -> None:
    order = Order(recordings=recordings, out=tmp_path, voices=2)
    run(plan(order))
    before = digests(tmp_path)
    kept, lost = tmp_path / "resung" / "00000.wav", tmp_path / "resung" / "00001.wav"
    lost.unlink()
    (tmp_path / "resung" / ".tmp-majl-1-2").write_bytes(b"half")
    written = kept.stat().st_mtime_ns
    todo = plan(order).todo
    assert [job.path for job in todo] == [lost.resolve()]
    run(plan(order))
    assert digests(tmp_path) == before
    assert kept.stat().st_mtime_ns == written
    assert not list(tmp_path.rglob(".tmp-majl-*"))


def test_open_only_makes_and_lists_clearly_free_material_alone(recordings: Path, tmp_path: Path) -> None:
    planned = plan(Order(recordings=recordings, out=tmp_path, voices=1, open_only=True))
    run(planned)
    assert [path.name for path in write_manifests(planned)] == ["open.jsonl"]
    assert {t.id for t in read_manifest(tmp_path / "open.jsonl")} == {"ada_song", "resung-open_00000"}
    assert not (tmp_path / "resung").exists()


def test_a_folder_keeps_to_its_seed(recordings: Path, tmp_path: Path) -> None:
    run(plan(Order(recordings=recordings, out=tmp_path, voices=1, seed=3)))
    with pytest.raises(DataError, match="holds pieces of seed 3") as error:
        plan(Order(recordings=recordings, out=tmp_path, voices=1))
    assert "use --seed 3" in error.value.hint


def test_audio_is_never_without_its_label(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(Order(recordings=recordings, out=tmp_path, voices=1))

    def interrupted(*_arguments: object, **_options: object) -> None:
        next(tmp_path.rglob("*")).stat()
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(planned.material, planned.pieces[0])
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".csv"}


def test_a_worker_that_is_killed_is_reported(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(Order(recordings=recordings, out=tmp_path, voices=2))
    monkeypatch.setattr(engine, "make", lambda material, job: os._exit(9))
    with pytest.raises(MajlError, match="was killed") as error:
        run(planned, jobs=2)
    assert "--jobs" in error.value.hint


def test_missing_ingredients_are_named(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order(recordings=recordings, out=tmp_path)
    with pytest.raises(UsageError, match="--accompaniments needs --soundfont"):
        replace(order, accompaniments=1)
    with pytest.raises(UsageError, match="--sung needs --voice-bank"):
        replace(order, sung=1)
    with pytest.raises(DataError, match="no index.csv"):
        plan(replace(order, recordings=tmp_path))
    with pytest.raises(DataError, match="not a voice bank") as error:
        plan(replace(order, sung=1, voice_bank=tmp_path))
    assert "majl data voice-bank" in error.value.hint
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(DependencyError, match="pyworld is not installed") as missing:
        plan(replace(order, voices=1))
    assert missing.value.hint == "pip install 'majl[synth]'"
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(DependencyError, match="tinysoundfont is not installed"):
        plan(replace(order, accompaniments=1, soundfont=recordings / "tiny.sf2"))


def speech(path: Path, body: str) -> None:
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)


FAKE = """
import sys, wave, array, math
out = sys.argv[sys.argv.index("-o" if "-o" in sys.argv else "-w") + 1]
with wave.open(out, "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    tone = [round(9000 * math.sin(k / 5)) for k in range(1600)]
    file.writeframes(array.array("h", [0] * 800 + tone + [0] * 800).tobytes())
"""


@pytest.mark.skipif(os.name == "nt", reason="scripts of POSIX")
def test_voice_bank_holds_each_word_without_the_silence_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in SPEAKERS:
        speech(programs / name, FAKE)
    monkeypatch.setenv("PATH", str(programs))
    heard: list[str] = []
    speakers = {"flite": {"ada": "la lo la"}, "espeak-ng": {"bob": "oh"}}
    assert make_voice_bank(tmp_path / "bank", speakers=speakers, listener=heard.append) == 3
    assert heard == ["ada", "bob"]
    bank = read_bank(tmp_path / "bank")
    assert {speaker: len(units) for speaker, units in bank.items()} == {"ada": 2, "bob": 1}
    audio, rate = soundfile.read(bank["ada"][0].path)
    for unit in bank["ada"]:
        word = audio[round(unit.start * rate) : round(unit.end * rate)]
        assert 0.2 < len(word) / rate < 0.25
        assert np.abs(word[-400:-200]).max() > 0.2 and np.abs(word[200:400]).max() > 0.2


@pytest.mark.skipif(os.name == "nt", reason="scripts of POSIX")
def test_voice_bank_names_the_program_that_is_missing_or_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="flite is not installed") as missing:
        make_voice_bank(tmp_path / "bank")
    assert "apt-get install flite" in missing.value.hint
    speech(tmp_path / "flite", "import sys; sys.exit(1)")
    with pytest.raises(DataError, match="flite does not say 'la' as ada"):
        make_voice_bank(tmp_path / "bank", speakers={"flite": {"ada": "la"}})
    assert not (tmp_path / "bank" / "units.csv").exists()
