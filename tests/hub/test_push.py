"""Publishing a checkpoint: what the card says, what arrives, and every refusal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub_server import HubServer
from huggingface_hub import constants, snapshot_download
from test_losses import tiny_joint

from majl_cli.errors import CheckpointError, HubError, UsageError
from majl_cli.hub.card import Described, model_card
from majl_cli.hub.licence import front_matter, hub_tag
from majl_cli.hub.push import plan_push, push_checkpoint
from majl_cli.models.checkpoint import load_checkpoint, save_checkpoint

Majl = Callable[..., subprocess.CompletedProcess[str]]
TRAINING = {
    "stage": 2,
    "steps": 1200,
    "hours": 0.5,
    "seed": 3,
    "corpora": {
        "MIR-1K/train/full": "683 tracks, 1.52 h",
        "MUSDB18-HQ/train/mss": "86 tracks, 5.3 h",
        "ikala at home/train/mss": "3 tracks, 0.07 h",
    },
    "validation": {"sdr": 8.4007, "sdr_gain": 7.25, "rpa": 0.9381, "rpa_clean": 0.9842, "vfa": 0.0656, "score": 26.8},
    "config": {"init": "first", "validation": {"tracks": 12, "snr_db": 0.0}},
}


def save(folder: Path, *, licence: str | None = "CC BY-NC 4.0", half: bool = False) -> Path:
    metadata: dict[str, Any] = {"training": TRAINING} | ({} if licence is None else {"licence": licence})
    save_checkpoint(folder, tiny_joint(), half=half, separation="unet", pitch="salience-cnn", metadata=metadata)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "best")


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """Whoever runs the test is ``someone``."""
    hub_server.tokens |= {"secret": "someone", "other": "stranger"}
    monkeypatch.setenv("HF_TOKEN", "secret")
    return hub_server


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".gitattributes"}


def test_the_card_says_what_the_checkpoint_says(folder: Path) -> None:
    card = plan_push(str(folder), "someone/singer").card
    _, front, text = card.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "cc-by-nc-4.0",
        "library_name": "majl",
        "pipeline_tag": "audio-to-audio",
        "tags": ["majl", "music-source-separation", "pitch-estimation", "melody-extraction"],
        "datasets": ["mir-1k", "musdb18"],
    }
    joint, _ = load_checkpoint(folder)
    parameters = sum(parameter.numel() for parameter in joint.separation.parameters())
    for words in (
        "majl separate song.wav --model someone/singer",
        f"| separation | `unet` | {parameters:,} | 16000 Hz |",
        "| MIR-1K | train | stems and pitch | 683 tracks, 1.52 h | none stated: research use |",
        "| MUSDB18-HQ | train | stems | 86 tracks, 5.3 h | for academic use only",
        "| ikala at home | train | stems | 3 tracks, 0.07 h | not stated |",
        "Stage 2, from first, 1200 steps, 0.5 hours of computing, seed 3.",
        "| SDR of vocals | 8.40 dB | global SDR (one ratio over a whole track), mean over tracks |",
        "| raw pitch accuracy (50 cents) | 93.8% | mean over tracks, from the mixture |",
        "| raw pitch accuracy (50 cents) | 98.4% | mean over tracks, from the clean vocals |",
        "12 tracks of the validation split, mixed at 0 dB",
        "no test result",
        "These weights: CC BY-NC 4.0",
    ):
        assert words in text, words
    assert "26.8" not in text, "what the best was chosen by is no measure"


def test_a_card_of_little_says_what_is_not_stated() -> None:
    modules = {"separation": {"name": "unet"}, "pitch": {"name": "crepe"}}
    config = {"architecture": modules, "stems": ["vocals"], "metadata": {}}
    described = Described(repo="a/b", config=config, licence="own", parameters={"separation": 1, "pitch": 2})
    card = model_card(described)
    for words in ("How it was trained: not stated.", "Training data: not stated.", "## Scores\n\nNot stated."):
        assert words in card
    assert "datasets" not in card and "license: other\nlicense_name: own\n" in card


@pytest.mark.parametrize(
    ("words", "tag"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("Apache License 2.0", "apache-2.0"),
        ("MIT licence", "mit"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0"),
        ("research use", None),
    ],
)
def test_licence_words_become_a_tag_of_the_hub(words: str, tag: str | None) -> None:
    assert hub_tag(words) == tag


def test_other_licence_words_become_a_name() -> None:
    assert front_matter("Research use: trained on MIR-1K") == {"license": "other", "license_name": "research-use"}
    assert front_matter("(c) me")["license_name"] == "own-words"


def test_what_is_pushed_comes_back_as_it_was(hub: HubServer, folder: Path) -> None:
    (folder / "LICENSE").write_text("words")
    (folder / "optimizer.bin").write_bytes(b"not for others")
    pushed = push_checkpoint(plan_push(str(folder), "someone/singer"))
    assert pushed.url == f"{hub.url}/someone/singer"
    pulled = Path(snapshot_download("someone/singer", revision=pushed.commit))
    card = hub.repos["someone/singer"].find("main").files["README.md"]  # type: ignore[union-attr]
    expected = {name: data for name, data in content(folder).items() if name != "optimizer.bin"}
    assert content(pulled) == {**expected, "README.md": card}
    assert load_checkpoint(pulled)[1].metadata["training"] == TRAINING


def test_each_push_is_one_commit(hub: HubServer, folder: Path) -> None:
    first = push_checkpoint(plan_push(str(folder), "someone/singer"), message="First")
    save(folder, half=True)
    second = push_checkpoint(plan_push(str(folder), "someone/singer"), message="Second")
    repo = hub.repos["someone/singer"]
    assert repo.history() == ["Initial commit", "First", "Second"]
    assert repo.branches == {"main": second.commit} and first.commit != second.commit
    unchanged = push_checkpoint(plan_push(str(folder), "someone/singer"), message="Third")
    assert unchanged.commit == second.commit and len(repo.history()) == 3


def test_a_branch_leaves_main_alone(hub: HubServer, folder: Path) -> None:
    push_checkpoint(plan_push(str(folder), "someone/singer"))
    save(folder, half=True)
    pushed = push_checkpoint(plan_push(str(folder), "someone/singer@trial"))
    branches = hub.repos["someone/singer"].branches
    assert branches["trial"] == pushed.commit != branches["main"]


def test_a_private_repository_stays_so(hub: HubServer, folder: Path) -> None:
    push_checkpoint(plan_push(str(folder), "someone/singer"), private=True)
    assert hub.repos["someone/singer"].private
    hub.add_repo("someone/public", {"a.txt": b"a"})
    with pytest.raises(HubError, match="there already, and public"):
        push_checkpoint(plan_push(str(folder), "someone/public"), private=True)
    assert len(hub.repos["someone/public"].history()) == 1


def test_a_card_of_ones_own_is_kept(folder: Path) -> None:
    (folder / "README.md").write_text("# Mine\n")
    card = plan_push(str(folder), "someone/singer").card
    assert card.endswith("---\n\n# Mine\n") and "license: cc-by-nc-4.0" in card
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# Mine\n")
    assert plan_push(str(folder), "someone/singer").files["README.md"] == folder / "README.md"


def test_a_card_of_ones_own_states_the_licence_of_the_checkpoint(folder: Path) -> None:
    (folder / "README.md").write_text("---\ntags: [mine]\n---\n# Mine\n")
    card = plan_push(str(folder), "someone/singer").card
    assert card == "---\nlicense: cc-by-nc-4.0\ntags: [mine]\n---\n# Mine\n"
    for licence in ("mit", "other", ""):
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# Mine\n")
        with pytest.raises(CheckpointError, match="front matter says license: .*, the checkpoint 'CC BY-NC 4.0'"):
            plan_push(str(folder), "someone/singer")
    for text in ("[", "a list"):
        (folder / "README.md").write_text(f"---\n{text}\n---\n# Mine\n")
        with pytest.raises(CheckpointError, match="not a YAML mapping"):
            plan_push(str(folder), "someone/singer")


def test_nobody_is_told_where_the_files_lie(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["metadata"]["training"]["config"] |= {
        "init": "/home/me/runs/first/best",
        "data": {
            "manifests": ["/home/me/mir-1k.jsonl", "C:\\Users\\me\\b.jsonl", "near.jsonl"],
            "folders": ["stems=/home/me/songs", "musdb18=~/my/MUSDB18"],
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    plan = plan_push(str(folder), "someone/singer")
    pushed = json.loads(plan.files["config.json"])  # type: ignore[arg-type]
    assert pushed["metadata"]["training"]["config"] == {
        "init": "best",
        "data": {"manifests": ["mir-1k.jsonl", "b.jsonl", "near.jsonl"], "folders": ["stems=songs", "musdb18=MUSDB18"]},
        "validation": TRAINING["config"]["validation"],  # type: ignore[index]
    }
    assert pushed["architecture"] == config["architecture"] and "home" not in plan.card.replace("ikala at home", "")


def test_a_licence_is_needed_and_said_once(tmp_path: Path) -> None:
    for number, nothing in enumerate((None, "not stated", "")):
        folder = save(tmp_path / str(number), licence=nothing)
        with pytest.raises(CheckpointError, match="states no licence") as refused:
            plan_push(str(folder), "someone/singer")
        assert "--licence" in refused.value.hint
    plan = plan_push(str(folder), "someone/singer", licence="mit")
    stated = json.loads(plan.files["config.json"])  # type: ignore[arg-type]
    assert stated["metadata"] == {"training": TRAINING, "licence": "mit"}
    assert json.loads((folder / "config.json").read_text())["metadata"]["licence"] == "", "the folder is left alone"
    with pytest.raises(CheckpointError, match="states the licence 'CC BY-NC 4.0', not 'mit'"):
        plan_push(str(save(tmp_path / "stated")), "someone/singer", licence="mit")


def test_only_checkpoints_and_only_to_repositories(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a repository"):
        plan_push(str(folder), "singer")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="not a majl model"):
        plan_push(str(tmp_path / "empty"), "someone/singer")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        plan_push(str(folder), "someone/singer")


def test_who_may_not_write_is_told(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_push(str(folder), "someone/singer")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="no token") as refused:
        push_checkpoint(plan)
    assert "hf auth login" in refused.value.hint and hub.requests == []
    monkeypatch.setenv("HF_TOKEN", "expired")
    with pytest.raises(HubError, match="does not take your token"):
        push_checkpoint(plan)
    monkeypatch.setenv("HF_TOKEN", "other")
    with pytest.raises(HubError, match="not yours to write to"):
        push_checkpoint(plan)
    hub.add_repo("someone/singer", {"a.txt": b"a"})
    with pytest.raises(HubError, match="not yours to write to"):
        push_checkpoint(plan)
    hub.add_repo("someone/secret", {"a.txt": b"a"}, private=True)
    with pytest.raises(HubError, match="not yours to write to"):
        push_checkpoint(plan_push(str(folder), "someone/secret"))
    assert all(len(repo.history()) == 1 for repo in hub.repos.values())


def test_what_breaks_off_publishes_nothing(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    plan = plan_push(str(folder), "someone/singer")
    hub.fault("fail", "/upload/", status=400, times=99)
    with pytest.raises(HubError, match="the upload broke off"):
        push_checkpoint(plan)
    hub.fault("fail", "/commit/", status=500, times=99)
    hub.fault("fail", "/preupload/", status=412)
    with pytest.raises(HubError, match="somebody else has just changed it"):
        push_checkpoint(plan)
    assert hub.repos["someone/singer"].history() == ["Initial commit"]
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags: [1]\n---\n")
    with pytest.raises(HubError, match="refuses the files.*tags"):
        push_checkpoint(plan_push(str(folder), "someone/singer"))


def test_offline_and_nobody_there(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_push(str(folder), "someone/singer")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        push_checkpoint(plan)
    assert hub.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"no answer from http://127\.0\.0\.1:9"):
        push_checkpoint(plan)


def test_the_command_shows_and_asks(
    hub: HubServer, folder: Path, majl_here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = majl_here("models", "push", folder, "someone/singer", "--dry-run")
    assert shown.code == 0 and shown.out.startswith("---\nlicense: cc-by-nc-4.0\n")
    assert "model.safetensors, " in shown.err
    as_json = json.loads(majl_here("models", "push", folder, "someone/singer", "--dry-run", "--json").out)
    assert as_json["dry_run"] and as_json["card"].startswith("---\n") and as_json["licence"] == "CC BY-NC 4.0"
    unasked = majl_here("models", "push", folder, "someone/singer")
    assert unasked.code == 2 and "--yes" in unasked.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_arguments, **_options: False)
    declined = majl_here("models", "push", folder, "someone/singer")
    assert declined.code == 130 and "nothing was published" in declined.err
    monkeypatch.delenv("HF_TOKEN")
    refused = majl_here("models", "push", folder, "someone/singer", "--yes", "--json")
    assert refused.code == 1 and "hf auth login" in json.loads(refused.out)["hint"]
    assert hub.requests == []


def test_the_command_publishes(hub: HubServer, folder: Path, majl: Majl) -> None:
    done = majl("models", "push", folder, "someone/singer", "--yes", "--json", token="secret")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["url"] == f"{hub.url}/someone/singer"
    assert result["commit"] == hub.repos["someone/singer"].branches["main"]
    assert result["files"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size
