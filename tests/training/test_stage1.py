"""Stage I runs, resumes exactly, overfits, guards against NaN and tells what it would cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_losses import losses_of as joint_losses_of
from test_losses import tiny_batch, tiny_joint

from majl_cli.config import to_dict
from majl_cli.data.manifest import Track
from majl_cli.data.sources import load_tracks
from majl_cli.errors import AudioError, ConfigError, DataError, MajlError, TrainingError
from majl_cli.files import locked
from majl_cli.models.checkpoint import load_checkpoint
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage1 import Stage1, Stage1Config


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in MIR-1K's layout: left chords of noise, right a harmonic voice whose f0 is the label."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "Wavfile").mkdir()
    (folder / "PitchLabel").mkdir()
    generator = np.random.default_rng(0)
    for n, singer in enumerate(("amy", "leon", "annar", "jmzen")):
        samples = 4 * 16000
        midi = 57 + 3 * n
        time_s = np.arange(samples) / 16000
        f0 = 440 * 2 ** ((midi - 69) / 12)
        voice = sum(np.sin(2 * np.pi * f0 * h * time_s) / h for h in range(1, 6))
        noise = generator.standard_normal(samples)
        audio = 0.1 * np.stack((noise, voice), axis=1)
        soundfile.write(folder / "Wavfile" / f"{singer}_1_01.wav", audio, 16000)
        lines = (samples - 640) // 320 + 1
        (folder / "PitchLabel" / f"{singer}_1_01.pv").write_text(f"{midi}\n" * lines)
    return folder


COMPILE = "loop.compile=true"


def tracks_of(config: Stage1Config) -> list[Track]:
    return load_tracks(manifests=config.data.manifests, folders=config.data.folders)


def stage(corpus: Path, run: Path, *assignments: str) -> Stage1:
    config = resolve_config(Stage1Config, "tiny", assignments, folders=[f"mir-1k={corpus}"])
    return Stage1(config, run, tracks_of(config))


def losses_of(run: Path) -> list[float]:
    records = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [record["loss"] for record in records if record["event"] == "step"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("loop.accumulate=2", "loop.workers=1"),
        # Dropout: the state of torch's own random numbers matters too.
        ("model.pitch=crepe", "model.pitch_options={size = 'tiny'}", "data.segment_seconds=0.2", "validation.tracks=1"),
    ],
)
def test_resumed_run_equals_an_unbroken_one_bit_for_bit(corpus: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    options = ("loop.steps=6", "loop.save_every=3", "loop.validate_every=100", "device=cpu", *options)
    unbroken = stage(corpus, tmp_path / "a", *options)
    unbroken.train()

    class Killed(Exception):
        pass

    def kill(record: dict[str, object]) -> None:
        if record["step"] == 5:
            raise Killed

    broken = stage(corpus, tmp_path / "b", *options)
    with pytest.raises(Killed):
        broken.train(kill)
    resumed = stage(corpus, tmp_path / "b", *options)
    resumed.train()
    assert resumed.state.step == 6
    for name, tensor in unbroken.joint.state_dict().items():
        assert torch.equal(tensor, resumed.joint.state_dict()[name]), name
    for name, tensor in unbroken.state.ema.state_dict().items():
        assert torch.equal(tensor, resumed.state.ema.state_dict()[name]), name
    assert losses_of(tmp_path / "a") == losses_of(tmp_path / "b")


@pytest.mark.slow
def test_run_leaves_config_log_state_and_a_best_checkpoint_that_loads(corpus: Path, tmp_path: Path) -> None:
    records: list[dict[str, object]] = []
    result = stage(corpus, tmp_path / "run", "loop.steps=4", "loop.validate_every=2").train(records.append)
    assert result["steps"] == 4
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {"config.toml", "log.jsonl", "checkpoints", "best", ".majl.lock"}
    joint, info = load_checkpoint(tmp_path / "run" / "best")
    assert joint.separation.sample_rate == 16000
    assert info.metadata["training"]["steps"] in (2, 4)
    validations = [r for r in records if r["event"] == "validation"]
    assert len(validations) == 2
    assert str(corpus) not in (tmp_path / "run" / "best" / "config.json").read_text()  # nobody else's business
    assert {"sdr", "sdr_gain", "rpa", "vfa", "oa", "rpa_clean"} <= set(validations[0])


@pytest.mark.slow
def test_one_batch_overfits() -> None:
    joint = tiny_joint().train()
    batch = tiny_batch()
    time_s = torch.arange(batch["mixture"].shape[-1]) / 16000
    voice = sum(torch.sin(2 * torch.pi * 220 * h * time_s) / h for h in range(1, 6)) * 0.1
    batch["sources"][:, 0] = voice
    batch["mixture"] = batch["sources"].sum(dim=1)
    optimizer = torch.optim.AdamW(joint.parameters(), lr=5e-3)
    history = []
    for _ in range(60):
        losses = joint_losses_of(joint, batch, "dwhs")
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        history.append((losses.separation.item(), losses.pitch.item()))
    assert history[-1][0] < 0.5 * history[0][0]
    assert history[-1][1] < 0.5 * history[0][1]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no g++; torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch", "ignore:The .grad attribute:UserWarning")
def test_compiled_networks_have_the_same_losses(corpus: Path, tmp_path: Path) -> None:
    options = ("loop.steps=3", "loop.validate_every=100", "loop.precision=no", "device=cpu")
    plain, compiled = stage(corpus, tmp_path / "a", *options), stage(corpus, tmp_path / "b", *options, COMPILE)
    plain.train()
    compiled.train()
    assert plain.joint.state_dict().keys() == compiled.joint.state_dict().keys()
    expected, found = losses_of(tmp_path / "a"), losses_of(tmp_path / "b")
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)


def test_compiling_without_a_compiler_says_what_to_install(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TrainingError, match="needs a C\\+\\+ compiler"):
        stage(corpus, tmp_path / "run", COMPILE)


def test_a_loss_that_is_not_finite_names_its_track(corpus: Path, tmp_path: Path) -> None:
    run = stage(corpus, tmp_path / "run", "loop.steps=2")
    with torch.no_grad():
        next(run.joint.separation.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="step 1: the loss is not finite, from .*(amy|leon)_1_01"):
        run.train()


def test_a_file_that_cannot_be_read_is_an_error_of_one_line_from_a_worker_too(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    run = stage(folder, tmp_path / "run", "loop.workers=1")
    for path in (folder / "Wavfile").iterdir():
        path.unlink()
    with pytest.raises(AudioError, match="there is no such file"):
        run.train()


def test_a_recording_with_nan_is_named(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    run = stage(folder, tmp_path / "run")
    audio = np.zeros((4 * 16000, 2), np.float32)
    audio[::100] = np.nan
    soundfile.write(folder / "Wavfile" / "leon_1_01.wav", audio, 16000, subtype="FLOAT")
    with pytest.raises(MajlError, match="leon_1_01.wav"):
        run.train()


def test_without_validation_tracks_the_last_weights_are_kept(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    for singer in ("annar", "jmzen"):
        (folder / "Wavfile" / f"{singer}_1_01.wav").unlink()
    stage(folder, tmp_path / "run", "loop.steps=4", "loop.validate_every=2").train()
    _, info = load_checkpoint(tmp_path / "run" / "best")
    assert info.metadata["training"]["steps"] == 4


def test_a_lowered_learning_rate_holds_after_resuming(corpus: Path, tmp_path: Path) -> None:
    stage(corpus, tmp_path / "run", "loop.steps=4", "loop.learning_rate=1e-3").train()
    lower = stage(corpus, tmp_path / "run", "loop.steps=8", "loop.learning_rate=1e-5")
    lower.state.load(tmp_path / "run")
    rates = [group["lr"] for group in lower.state.optimizer.param_groups]
    assert max(rates) <= 1e-5
    lower.train()
    assert lower.state.step == 8


def test_two_processes_share_a_run(corpus: Path, tmp_path: Path) -> None:
    """Both CPU processes step together (gloo); one of them speaks and writes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "majl_cli"]
    command += ["train-stage1", "--config", "tiny", "--data", f"mir-1k={corpus}", "--out", str(tmp_path / "run")]
    command += ["--set", "loop.steps=2", "--device", "cpu", "--threads", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["steps"] == 2
    assert len(losses_of(tmp_path / "run")) == 2
    assert load_checkpoint(tmp_path / "run" / "best")


def test_tensorboard_gets_the_scalars(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed; the dev extra brings it")
    stage(corpus, tmp_path / "run", "loop.steps=2", "tensorboard=true").train()
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"step/loss_pe" in content and b"validation/sdr" in content


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loop.precision=fp32", "loop.precision 'fp32'"),
        ("loop.validate_every=0", "loop.validate_every 0 is too small"),
        ("loop.workers=-1", "loop.workers -1 is too small"),
        ("device=banana", "no device 'banana'"),
        ("data.weights={mir1k = 1.0}", "no corpus 'mir1k'"),
        ("data.weights={MIR-1K = 0.0}", "weight or the duration 0"),
        ("model.separation_options.stems=['vocals', 'drums']", "estimates vocals, drums, the target is vocals"),
    ],
)
def test_settings_that_cannot_be_are_refused(corpus: Path, tmp_path: Path, assignment: str, message: str) -> None:
    with pytest.raises(MajlError, match=re.escape(message)):
        stage(corpus, tmp_path / "run", assignment)


def test_a_run_can_be_repeated_from_its_config(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus.parent)
    config = resolve_config(Stage1Config, "tiny", ["loop.steps=1"], folders=[f"mir-1k={corpus.name}"])
    first = Stage1(config, tmp_path / "run", tracks_of(config))
    first.train()
    monkeypatch.chdir(tmp_path)
    again = resolve_config(Stage1Config, str(tmp_path / "run" / "config.toml"), [])
    assert again == first.config
    assert len(tracks_of(again)) == 4


def test_another_state_file_is_no_traceback(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.pt").write_bytes(b"not a state")
    with pytest.raises(TrainingError, match="does not belong to this model"):
        stage(corpus, tmp_path / "run").train()


def test_dry_run_counts_and_leaves_nothing_behind(corpus: Path, tmp_path: Path) -> None:
    report = stage(corpus, tmp_path / "run").dry_run(steps=1)
    assert report["validation_tracks"] == 2
    assert report["parameters"]["separation"] > 1000
    assert report["seconds_per_step"] > 0
    assert np.isfinite(list(report["first_loss"].values())).all()
    assert not (tmp_path / "run").exists()


def test_run_folder_of_another_model_is_refused(corpus: Path, tmp_path: Path) -> None:
    stage(corpus, tmp_path / "run", "loop.steps=1").train()
    with pytest.raises(TrainingError, match="was started with another model"):
        stage(corpus, tmp_path / "run", "loop.steps=1", "model.pitch_options.width=4").train()


def test_no_data_says_what_to_give() -> None:
    config = resolve_config(Stage1Config, "tiny", [])
    with pytest.raises(DataError, match="no data given"):
        Stage1(config, Path("run"), tracks_of(config))
    with pytest.raises(DataError, match="--data mir1k=.*x: no such corpus"):
        tracks_of(resolve_config(Stage1Config, "tiny", [], folders=["mir1k=x"]))


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown key 'loop.stepps'") as caught:
        resolve_config(Stage1Config, None, ["loop.stepps=3"])
    assert caught.value.hint == "did you mean steps?"


def test_config_survives_being_written_and_read(tmp_path: Path) -> None:
    from majl_cli.config import read_toml, write_toml

    config = resolve_config(Stage1Config, "tiny", ["seed=7", "augment.snr_db=[-5, 5]"])
    write_toml(tmp_path / "config.toml", config)
    assert to_dict(resolve_config(Stage1Config, str(tmp_path / "config.toml"), [])) == read_toml(
        tmp_path / "config.toml"
    )


@pytest.mark.slow
def test_interrupted_run_saves_its_state_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "majl_cli", "train-stage1", "--config", "tiny", "--data", f"mir-1k={corpus}"]
    command += ["--out", str(run), "--set", "loop.validate_every=1000000", "--device", "cpu", "--threads", "1"]
    process = subprocess.Popen(
        [*command, "--set", "loop.steps=100000"], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (run / "log.jsonl").exists():
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["last.pt"]
    step = torch.load(run / "checkpoints" / "last.pt", weights_only=True)["step"]
    assert step >= 1


def test_a_run_folder_is_trained_in_by_one_process_at_a_time(corpus: Path, tmp_path: Path) -> None:
    """And what a killed one left half-written is removed by the next."""
    left = tmp_path / "run" / "checkpoints" / ".tmp-majl-1-0"
    left.parent.mkdir(parents=True)
    left.touch()
    with locked(tmp_path / "run"), pytest.raises(MajlError, match="another process is training here"):
        stage(corpus, tmp_path / "run", "loop.steps=1").train()
    stage(corpus, tmp_path / "run", "loop.steps=1").train()
    assert not left.exists()


def test_a_module_of_many_stems_is_told_to_estimate_the_target(corpus: Path, tmp_path: Path) -> None:
    options = "model.separation_options={hidden=8, layers=1, n_fft=512, hop_length=128}"
    first = stage(corpus, tmp_path / "run", "model.separation=open-unmix", options)
    assert tuple(first.joint.separation.stems) == ("vocals",)
