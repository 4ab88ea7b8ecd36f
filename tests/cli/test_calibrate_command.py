"""``majl calibrate`` end to end: what it writes, that the checkpoint is used with its threshold, what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny import PITCH, SEPARATION

import majl_cli
from majl_cli.data.manifest import Stem, Track, write_manifest
from majl_cli.models.checkpoint import save_checkpoint, set_voicing_threshold
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_pitch, build_separation

RATE = 16000
CPU = ("--device", "cpu", "--precision", "float32", "--threads", "1")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    separation = build_separation("unet", SEPARATION["unet"]["16 kHz mono"])
    pitch = build_pitch("salience-cnn", PITCH["salience-cnn"]["tiny"])
    folder = tmp_path / "model"
    metadata = {"licence": "none", "training": {"steps": 3}}
    save_checkpoint(folder, JointModel(separation, pitch), separation="unet", pitch="salience-cnn", metadata=metadata)
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two sung tracks of half a second, and an accompaniment."""
    generator = np.random.default_rng(0)
    tracks = []
    for n in range(2):
        tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE // 2) / RATE)
        audio, label = tmp_path / f"{n}.wav", tmp_path / f"{n}.csv"
        soundfile.write(audio, np.stack((0.1 * generator.standard_normal(RATE // 2), tone), axis=1), RATE)
        label.write_text("".join(f"{k / 100},{220 if k < 30 else 0}\n" for k in range(51)))
        stems = {"accompaniment": Stem(path=audio, channel=0), "vocals": Stem(path=audio, channel=1)}
        facts: dict[str, Any] = {"corpus": "songs", "split": "validation", "sample_rate": RATE, "channels": 1}
        tracks.append(Track(id=f"t{n}", labels="full", stems=stems, pitch=label, duration=0.5, **facts))
    band = {"accompaniment": stems["accompaniment"]}
    tracks.append(Track(id="band", labels="accompaniment", stems=band, duration=0.5, **facts))
    path = tmp_path / "songs.jsonl"
    write_manifest(path, tracks)
    return path


def test_writes_its_report_and_leaves_the_checkpoint_alone(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    before = (checkpoint / "config.json").read_bytes()
    done = majl("calibrate", checkpoint, "--manifest", manifest, "--out", tmp_path / "out", *CPU)
    assert done.code == 0, done.err
    assert (checkpoint / "config.json").read_bytes() == before
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files - {"reliability.png"} == {"calibration.json", "calibration.md"}
    page = (tmp_path / "out" / "calibration.md").read_text()
    assert page.rstrip() == done.out.rstrip()
    assert "# Calibration of model\n\nChosen and measured on 3 tracks of split validation: songs (3)" in page
    found = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert found["tracks"] == ["t0", "t1", "band"]
    assert [part["input"] for part in found["inputs"]] == [
        "mixture", "vocals", "mixture at -5 dB", "mixture at 0 dB", "mixture at 5 dB",
    ]  # fmt: skip
    assert f"before: 0.4; chosen: **{found['threshold']:g}**" in page
    assert [part["name"] for part in found["unsung"]][-2:] == ["accompaniments of the tracks", "band"]
    assert found["unsung"][0]["level_dbfs"] is None  # digital silence


def test_json_is_what_the_file_holds(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    levels = ("--snr-db", "3", "--limit", "1")
    done = majl("calibrate", checkpoint, "--manifest", manifest, "--out", out, *levels, "--json", *CPU)
    said = json.loads(done.out)
    assert (said.pop("command"), said.pop("out"), said.pop("written")) == ("calibrate", str(out), None)
    assert said == json.loads((out / "calibration.json").read_text())
    assert (said["snr_db"], said["tracks"]) == ([3.0], ["t0", "band"])
    assert [part["input"] for part in said["inputs"]] == ["mixture", "vocals"]


def test_write_changes_only_the_threshold_and_the_model_uses_it(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    set_voicing_threshold(checkpoint, 0.9871, calibration={})  # one that is not chosen
    before = json.loads((checkpoint / "config.json").read_text())
    weights = hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    done = majl("calibrate", checkpoint, "--manifest", manifest, "--out", tmp_path / "out", "--write", "--json", *CPU)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    threshold = said["threshold"]
    assert (said["threshold_before"], said["written"]) == (0.9871, str(checkpoint))
    assert f"{checkpoint}: voicing threshold 0.9871 -> {threshold:g}" in done.err
    after = json.loads((checkpoint / "config.json").read_text())
    assert after["architecture"]["pitch"]["options"].pop("voicing_threshold") == threshold != 0.9871
    assert before["architecture"]["pitch"]["options"].pop("voicing_threshold") == 0.9871
    kept = after["metadata"].pop("calibration")
    before["metadata"].pop("calibration")
    assert after == before
    assert after["metadata"] == {"licence": "none", "training": {"steps": 3}}
    assert (kept["threshold"], kept["threshold_before"], kept["corpora"]) == (threshold, 0.9871, {"songs": 3})
    assert kept["inputs"]["vocals"]["f1"] == pytest.approx(said["inputs"][1]["chosen"]["f1"], abs=1e-4)
    assert hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest() == weights
    assert sorted(path.name for path in checkpoint.iterdir()) == ["config.json", "model.safetensors"]
    model = majl_cli.load_model(checkpoint, device="cpu", precision="float32", threads=1)
    track = model.estimate_pitch(tmp_path / "0.wav", input="vocals")
    assert track.threshold == threshold
    assert np.array_equal(track.voiced, track.confidence >= threshold)


def test_an_embedded_model_is_not_written_to_but_a_copy_is(
    majl: Callable[..., Any], manifest: Path, tmp_path: Path
) -> None:
    done = majl("calibrate", "majl-base", "--manifest", manifest, "--out", tmp_path / "out", "--write")
    assert (done.code, done.err) == (
        2,
        "error: majl-base: not a checkpoint folder of your own\nhint: copy the model's folder, and give the copy\n",
    )
    done = majl("calibrate", "majl-base+majl-base", "--manifest", manifest, "--out", tmp_path / "out", "--write")
    assert done.err.startswith("error: majl-base+majl-base: not a checkpoint folder of your own")
    assert not (tmp_path / "out").exists()


def test_a_run_folder_stands_for_its_best_checkpoint(
    majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    best = checkpoint.rename(tmp_path / "run" / "best")
    done = majl(
        "calibrate", tmp_path / "run", "--manifest", manifest, "--limit", "1", "--snr-db", "0", "--out",
        tmp_path / "out", "--write", "--json", *CPU,
    )  # fmt: skip
    assert json.loads(done.out)["written"] == str(best)
    assert json.loads((best / "config.json").read_text())["metadata"]["calibration"]["snr_db"] == [0.0]


def test_what_is_missing_is_said(majl: Callable[..., Any], checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    done = majl("calibrate", checkpoint, *out, *CPU)
    assert (done.code, done.err) == (
        1,
        "error: no track with vocals alone and their pitch among the 0 given\n"
        "hint: give labelled tracks with --data or --manifest\n",
    )
    done = majl("calibrate", checkpoint, "--manifest", manifest, "--split", "test", *out, *CPU)
    assert done.err.startswith("error: folder: no track of split test; there are 2 of split validation")
    done = majl("calibrate", tmp_path / "nowhere", "--manifest", manifest, *out)
    assert done.err.startswith(f"error: no model '{tmp_path / 'nowhere'}'")
    (tmp_path / "1.wav").unlink()
    done = majl("calibrate", checkpoint, "--manifest", manifest, *out, *CPU)
    assert (done.code, done.err) == (1, f"error: {tmp_path / '1.wav'}: there is no such file\nhint: check the path\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.data
def test_the_embedded_models_confidence_is_worth_something_on_real_singers(
    majl: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    corpus = f"mir-1k={shared_data / 'mir1k'}"
    done = majl(
        "calibrate", "majl-base", "--data", corpus, "--limit", "2", "--snr-db", "0", "--json", "--out", tmp_path
    )
    said = json.loads(done.out)
    mixture, vocals = said["inputs"]
    assert 0.1 < said["threshold"] < 0.6
    assert vocals["chosen"]["f1"] > 0.9
    assert mixture["chosen"]["f1"] > 0.85
    assert mixture["octaves"]["up"] + mixture["octaves"]["down"] < 0.05 * mixture["octaves"]["frames"]
    assert max(mixture["ece"], vocals["ece"]) < 0.15
    silence = said["unsung"][0]
    assert (silence["name"], silence["voiced_chosen"], silence["passes"]) == ("silence", 0.0, True)


def test_silence_has_no_voice_for_the_embedded_model() -> None:
    from majl_cli.evaluation.calibration.unsung import hear_silence_and_noise
    from majl_cli.inference.workers import Stop

    model = majl_cli.load_model("majl-base", device="cpu", precision="float32", threads=1)
    for part in hear_silence_and_noise(model, Stop()):
        assert part.tally.share_voiced(model.joint.pitch.voicing_threshold) == 0.0, (part.name, part.input)
        if (part.name, part.input) == ("silence", "mixture"):
            assert part.vocals_power < 1e-8
