"""Models joined of two halves: each keeps its weights, its terms and what it was trained on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import write_registry
from test_losses import tiny_joint
from tiny import SEPARATION

import majl_cli
from majl_cli.errors import CheckpointError, HubError, MajlError, UsageError
from majl_cli.evaluation.model_estimator import trained_on
from majl_cli.hub import assemble, find, find_parts, model_stems
from majl_cli.hub.assemble import load_joint
from majl_cli.models.checkpoint import save_checkpoint
from majl_cli.models.registry import build_pitch, build_separation
from majl_cli.models.separation.unet import UNet
from majl_cli.models.stems import StemNames

STEMS = ("drums", "vocals")
OPTIONS: dict[str, Any] = {**SEPARATION["unet"]["16 kHz mono"], "stems": list(STEMS)}
CREPE: dict[str, Any] = {"size": "tiny", "segment": 1.0}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def entry(task: str, architecture: str, options: dict[str, Any], *files: str, stems: tuple[str, ...] = ()) -> str:
    sources = ", ".join(
        f'{{ url = "https://files.test/{name}", stem = "{name.split(".")[0] if len(files) > 1 else ""}" }}'
        for name in files
    )
    return "\n".join(
        (
            f'task = "{task}"\ntitle = "tiny"\narchitecture = "{architecture}"\noptions = {toml(options)}',
            f'sample_rate = 16000\nstems = {toml(stems)}\nlicence = "mit"\nlicence_words = "says so"\ndata = "{task}"',
            f'trained_on = ["CORPUS-{task}"]\nsources = [{sources}]',
        )
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models of others and a default one of majl, all tiny, all here."""
    home = tmp_path / "home"
    monkeypatch.setenv("MAJL_HOME", str(home))
    monkeypatch.setattr(find, "WEIGHTS", tmp_path / "weights")
    training = {"corpora": {"MIR-1K/train/full": "3 tracks"}}
    for name in ("majl-base", "majl-other"):
        metadata = {"licence": f"terms of {name}", "training": training}
        save_checkpoint(
            tmp_path / "weights" / name, tiny_joint(), separation="unet", pitch="salience-cnn", metadata=metadata
        )
    write_registry(
        home,
        stemmer=entry("separation", "unet", OPTIONS, "stemmer.pth", stems=STEMS),
        tuner=entry("pitch", "crepe", CREPE, "tuner.pt"),
    )
    torch.manual_seed(1)
    save(home, "stemmer.pth", build_separation("unet", OPTIONS).half().state_dict())
    save(home, "tuner.pt", {"model": build_pitch("crepe", CREPE).state_dict(), "step": 3})
    return home


def save(home: Path, name: str, content: Any) -> None:
    path = home / "downloads" / "files.test" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    label = f"https://files.test/{name}"
    pins = json.loads((home / "pins.json").read_text()) if (home / "pins.json").exists() else {}
    pins[label] = {"sha256": "0" * 64, "bytes": 1, "day": "2026-11-26"}
    (home / "pins.json").write_text(json.dumps(pins))


@pytest.mark.parametrize(
    "name, full_name, separation, pitch",
    [
        ("majl-base", "majl-base", "unet", "salience-cnn"),
        ("stemmer", "stemmer+majl-base", "unet", "salience-cnn"),
        ("tuner", "majl-base+tuner", "unet", "crepe"),
        ("stemmer+tuner", "stemmer+tuner", "unet", "crepe"),
        ("stemmer+majl-other", "stemmer+majl-other", "unet", "salience-cnn"),
        ("majl-other+tuner", "majl-other+tuner", "unet", "crepe"),
    ],
)
def test_any_two_are_joined(home: Path, name: str, full_name: str, separation: str, pitch: str) -> None:
    joint, info = load_joint(name)
    assert info.name == full_name
    assert info.architecture["separation"]["name"] == separation and info.architecture["pitch"]["name"] == pitch
    assert not joint.training and joint.target == "vocals"
    assert all(tensor.dtype != torch.float16 for tensor in joint.state_dict().values())
    with torch.no_grad():
        output = joint(0.1 * torch.randn(1, joint.separation.channels, 4000))
    assert output.logits.isfinite().all()
    assert joint.separation.stems == (STEMS if name.startswith("stemmer") else ("vocals", "accompaniment")[:1])


def test_each_half_has_its_own_weights(home: Path) -> None:
    joint, _ = load_joint("stemmer+tuner")
    folder = home / "downloads" / "files.test"
    stored = torch.load(folder / "stemmer.pth", weights_only=True)
    assert all(
        torch.equal(tensor.half(), stored[name].half()) for name, tensor in joint.separation.state_dict().items()
    )
    stored = torch.load(folder / "tuner.pt", weights_only=True)["model"]
    assert all(torch.equal(tensor, stored[name]) for name, tensor in joint.pitch.state_dict().items())


def test_terms_and_corpora_of_both_halves_stay_known(home: Path) -> None:
    _, info = load_joint("stemmer")
    assert info.metadata["licence"] == "stemmer: mit: says so; majl-base: terms of majl-base"
    assert trained_on(info.metadata) == ("CORPUS-separation", "MIR-1K/train")
    assert info.metadata["parts"]["separation"]["data"] == "separation"
    assert trained_on(load_joint("stemmer+tuner")[1].metadata) == ("CORPUS-pitch", "CORPUS-separation")
    assert trained_on(load_joint("majl-base")[1].metadata) == ("MIR-1K/train",)


def test_stems_and_target_are_known_before_anything_is_loaded(home: Path) -> None:
    parts = find_parts("stemmer")
    assert parts.separation.stems == StemNames(estimated=STEMS)
    assert parts.pitch.stems.target == "vocals"
    assert find_parts("majl-base").separation.stems == StemNames(estimated=("vocals",))
    assert find_parts("majl-base").is_whole and not parts.is_whole


def test_weights_that_do_not_fit_name_the_first_of_them(home: Path) -> None:
    weights = build_separation("unet", OPTIONS).state_dict()
    dropped = sorted(weights)[0]
    del weights[dropped]
    save(home, "stemmer.pth", weights)
    with pytest.raises(CheckpointError, match=f"stemmer: weights and architecture .* '{dropped}' \\(1 in all\\)"):
        load_joint("stemmer")


def test_files_of_stems_become_one_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_separation("unet", OPTIONS).state_dict()
    names = sorted(whole)
    halves = {"drums": names[: len(names) // 2], "vocals": names[len(names) // 2 :]}
    for stem, keys in halves.items():
        save(home, f"{stem}.pth", {key: whole[key] for key in keys})

    def without_stem(self: UNet, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert {name.partition(".")[0] for name in weights} == {"drums", "vocals"}
        return {name.partition(".")[2]: tensor for name, tensor in weights.items()}

    monkeypatch.setattr(UNet, "convert_weights", without_stem)
    write_registry(home, apart=entry("separation", "unet", OPTIONS, "drums.pth", "vocals.pth", stems=STEMS))
    joint, _ = load_joint("apart")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in joint.separation.state_dict().items())


def test_options_a_file_states_are_taken_below_those_of_the_registry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {**OPTIONS, "widths": [4, 4], "segment": 9.0}
    monkeypatch.setitem(assemble.OPTIONS_IN_METADATA, "unet", lambda metadata: said)
    given = {name: value for name, value in OPTIONS.items() if name != "segment"}
    write_registry(home, stemmer=entry("separation", "unet", given, "stemmer.pth", stems=STEMS))
    joint, _ = load_joint("stemmer")
    assert joint.separation.segment == 9.0


@pytest.mark.parametrize(
    "name, error, message, hint",
    [
        ("tuner+stemmer", UsageError, "tuner has no separation module", "stemmer\\+tuner"),
        ("stemmer+stemmer", UsageError, "stemmer has no pitch module", "pitch module of B"),
        ("rmvpe+htdemucs", UsageError, "rmvpe has no separation module", "htdemucs\\+rmvpe$"),
        ("htdemucs+umxl", UsageError, "umxl has no pitch module", "pitch module of B"),
        ("htdemucs+nonsense", CheckpointError, "no model 'nonsense'", "majl models list"),
        ("", CheckpointError, "no model ''", "majl models list"),
        ("stemmer+", UsageError, "lacks the name of its pitch model", "pitch module of B"),
        ("+tuner", UsageError, "lacks the name of its separation model", "pitch module of B"),
        ("+", UsageError, "lacks the name of its separation model", "pitch module of B"),
        ("stemer", CheckpointError, "no model 'stemer'", "did you mean stemmer"),
        ("stemmer+tunr", CheckpointError, "no model 'tunr'", "did you mean tuner"),
        ("umxl", HubError, "umxl is not here yet \\(size not known; licence CC-BY-NC-SA", "majl models pull umxl"),
        ("htdemucs+tuner", HubError, "htdemucs is not here yet \\(84.0 MB; licence mit", "majl models pull htdemucs"),
        ("runs/absent", HubError, "no folder runs/absent, and the repository", "majl models pull runs/absent"),
    ],
)
def test_what_cannot_be_joined_says_why(home: Path, name: str, error: type[MajlError], message: str, hint: str) -> None:
    with pytest.raises(error, match=message) as refused:
        load_joint(name)
    assert re.search(hint, refused.value.hint)


def test_an_architecture_this_majl_lacks_is_said(home: Path) -> None:
    write_registry(home, stemmer=entry("separation", "unett", OPTIONS, "stemmer.pth", stems=STEMS))
    with pytest.raises(CheckpointError, match="stemmer: no separation module 'unett'"):
        load_joint("stemmer")


def test_a_folder_with_a_plus_in_its_name_is_a_folder(home: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a+b", tiny_joint(), separation="unet", pitch="salience-cnn")
    assert load_joint(str(tmp_path / "a+b"))[1].name == "a+b"


def test_a_folder_with_a_plus_in_its_name_is_half_of_a_pair_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "a+b", tiny_joint(), separation="unet", pitch="salience-cnn")
    monkeypatch.chdir(tmp_path)
    assert load_joint("a+b+tuner")[1].architecture["pitch"]["name"] == "crepe"
    assert load_joint("stemmer+a+b")[1].name == "stemmer+a+b"
    with pytest.raises(CheckpointError, match="no model 'tunr'"):
        load_joint("a+b+tunr")


def test_a_folder_named_like_a_model_is_one_only_if_a_checkpoint_lies_in_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stemmer").mkdir()
    assert find_parts("stemmer").separation.entry is not None
    assert find_parts("stemmer+tuner").separation.entry is not None
    save_checkpoint(tmp_path / "stemmer" / "best", tiny_joint(), separation="unet", pitch="salience-cnn")
    assert find_parts("stemmer").is_whole
    save_checkpoint(tmp_path / "tuner", tiny_joint(), separation="unet", pitch="salience-cnn")
    assert find_parts("stemmer+tuner").pitch.folder == Path("tuner")


def test_without_vocals_the_pitch_is_that_of_the_first_stem(home: Path) -> None:
    stems = ("instrumental",)
    options = {**OPTIONS, "stems": list(stems)}
    save(home, "stemmer.pth", build_separation("unet", options).state_dict())
    write_registry(home, stemmer=entry("separation", "unet", options, "stemmer.pth", stems=stems))
    assert load_joint("stemmer")[0].target == find_parts("stemmer").separation.stems.target == "instrumental"


def test_the_stems_an_entry_prefers_are_the_default_everywhere(home: Path) -> None:
    table = entry("separation", "unet", OPTIONS, "stemmer.pth", stems=STEMS)
    write_registry(home, stemmer=f'default_stems = ["drums", "no_drums"]\n{table}')
    assert model_stems("stemmer").default == ("drums", "no_drums")
    assert majl_cli.load_model("stemmer", device="cpu").stems.default == ("drums", "no_drums")


@pytest.mark.parametrize("error", [TypeError, AttributeError, IndexError, OverflowError])
def test_whatever_a_conversion_trips_over_is_explained(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def trip(self: UNet, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise error("odd")

    monkeypatch.setattr(UNet, "convert_weights", trip)
    with pytest.raises(CheckpointError, match="stemmer: its weights are not what unet has: .*odd"):
        load_joint("stemmer")
