"""The local hub, asked by the Hub's own client: what holds here is what the other tests of this folder rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import CommitOperationAdd, HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

WEIGHTS = bytes(range(256)) * 400
FILES = {"config.json": b'{"format_version": 1}', "model.safetensors": WEIGHTS, "more/notes.txt": b"words"}


@pytest.fixture
def hub(hub_server: HubServer) -> HubServer:
    hub_server.add_repo("someone/model", FILES)
    hub_server.tokens["secret"] = "someone"
    hub_server.tokens["other"] = "stranger"
    return hub_server


def test_files_come_as_they_are_and_large_ones_from_elsewhere_without_the_token(hub: HubServer) -> None:
    for name, content in FILES.items():
        path = Path(hf_hub_download("someone/model", name, token="secret"))
        assert path.read_bytes() == content
    (fetched,) = hub.of("GET", "model.safetensors")
    assert fetched.origin == "cdn" and fetched.token is None
    assert [request.token for request in hub.of("GET", "config.json")] == ["secret"]


def test_a_snapshot_is_named_by_its_commit_and_old_revisions_stay(hub: HubServer) -> None:
    repo = hub.repos["someone/model"]
    old = repo.branches["main"]
    new = repo.commit({"config.json": b"{}", "more/notes.txt": None})
    assert Path(snapshot_download("someone/model")).name == new
    folder = Path(snapshot_download("someone/model", revision=old))
    assert folder.name == old
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES
    repo.commit({"config.json": b"branched"}, branch="dev/half")
    path = Path(hf_hub_download("someone/model", "config.json", revision="dev/half"))
    assert path.read_bytes() == b"branched"
    assert len(repo.history()) == 3


def test_model_info_tells_sizes_digests_and_card(hub: HubServer) -> None:
    card = b"---\nlicense: mit\ntags: [majl]\nlibrary_name: majl\n---\nwords"
    sha = hub.repos["someone/model"].commit({"README.md": card})
    info = HfApi().model_info("someone/model", files_metadata=True)
    assert (info.sha, info.author, info.gated, info.library_name) == (sha, "someone", False, "majl")
    assert info.tags == ["majl", "license:mit"]
    assert info.siblings is not None and info.card_data is not None and info.card_data.license == "mit"
    weights = next(sibling for sibling in info.siblings if sibling.rfilename == "model.safetensors")
    assert weights.size == len(WEIGHTS) and weights.lfs is not None and len(weights.lfs.sha256) == 64
    (listed,) = HfApi().get_paths_info("someone/model", ["config.json", "absent"])
    assert listed.path == "config.json"
    assert [branch.name for branch in HfApi().list_repo_refs("someone/model").branches] == ["main"]


def test_a_cut_download_goes_on_where_it_ended(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client keeps whole chunks only, of 10 MB where nobody asks for less.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.fault("cut", "model.safetensors", size=40_000)
    assert Path(hf_hub_download("someone/model", "model.safetensors")).read_bytes() == WEIGHTS
    first, second = hub.of("GET", "model.safetensors")
    assert (first.range, second.range) == (None, "bytes=40000-")


def test_a_corrupt_body_has_the_right_size(hub: HubServer) -> None:
    hub.fault("corrupt", "model.safetensors")
    content = Path(hf_hub_download("someone/model", "model.safetensors")).read_bytes()
    assert content != WEIGHTS and len(content) == len(WEIGHTS)


def test_what_is_missing_is_named(hub: HubServer) -> None:
    for token in (None, "secret"):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(token=token).model_info("someone/absent")
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("someone/absent", "config.json", token=token)
    with pytest.raises(RevisionNotFoundError):
        HfApi().model_info("someone/model", revision="absent")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("someone/model", "config.json", revision="0" * 40)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("someone/model", "absent.json")


def test_gated_and_private_files_are_for_those_who_may(hub: HubServer) -> None:
    gated = hub.add_repo("someone/gated", FILES, gated=True)
    hub.add_repo("someone/private", FILES, private=True)
    assert HfApi().model_info("someone/gated").gated == "manual"
    for token in (None, "other"):
        with pytest.raises(GatedRepoError):
            hf_hub_download("someone/gated", "config.json", token=token)
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("someone/private", "config.json", token=token)
    gated.readers.add("stranger")
    assert Path(hf_hub_download("someone/gated", "config.json", token="other")).read_bytes() == FILES["config.json"]
    assert Path(hf_hub_download("someone/private", "config.json", token="secret")).exists()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(token="expired").model_info("someone/model")


def test_a_short_outage_is_outlived_and_a_renamed_repository_found(hub: HubServer) -> None:
    hub.fault("fail", "config.json", status=503)
    hub.fault("delay", "config.json", seconds=0.2)
    assert Path(hf_hub_download("someone/model", "config.json")).read_bytes() == FILES["config.json"]
    hub.moved["someone/former"] = "someone/model"
    assert HfApi().model_info("someone/former").id == "someone/model"
    assert Path(hf_hub_download("someone/former", "model.safetensors")).read_bytes() == WEIGHTS


def test_offline_asks_nobody(hub: HubServer, tmp_path: Path) -> None:
    code = "from huggingface_hub import snapshot_download as pull; print(pull('someone/model'))"

    def run(**options: bool) -> subprocess.CompletedProcess[str]:
        environment = hub.environment(tmp_path / "process", **options)
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    missing = run(offline=True)
    assert missing.returncode == 1 and LocalEntryNotFoundError.__name__ in missing.stderr
    assert hub.requests == []
    online = run()
    assert online.returncode == 0, online.stderr
    asked = len(hub.requests)
    offline = run(offline=True)
    assert offline.stdout == online.stdout and len(hub.requests) == asked > 0


def test_what_is_uploaded_comes_back_in_one_commit(hub: HubServer, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    api = HfApi(token="secret")
    assert api.whoami()["name"] == "someone"
    assert api.create_repo("someone/new") == f"{hub.url}/someone/new"
    api.create_repo("someone/new", exist_ok=True)
    commit = api.upload_folder(folder_path=tmp_path / "folder", repo_id="someone/new", commit_message="All of it")
    assert hub.repos["someone/new"].history() == ["Initial commit", "All of it"]
    assert commit.oid == hub.repos["someone/new"].branches["main"]
    pulled = Path(snapshot_download("someone/new"))
    assert {name: (pulled / name).read_bytes() for name in FILES} == FILES
    api.upload_folder(folder_path=tmp_path / "folder", repo_id="someone/new")
    assert len(hub.repos["someone/new"].history()) == 2, "nothing had changed"
    assert len(hub.of("PUT")) == 1


def test_writing_is_for_the_owner(hub: HubServer) -> None:
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(token="other").create_repo("someone/new")
    add = [CommitOperationAdd(path_in_repo="a.txt", path_or_fileobj=b"a")]
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(token="other").create_commit("someone/model", operations=add, commit_message="Mine")
    card = CommitOperationAdd(path_in_repo="README.md", path_or_fileobj=b"---\nlicense: research use\n---\n")
    with pytest.raises(ValueError, match="license"):
        HfApi(token="secret").create_commit("someone/model", operations=[card], commit_message="A card")
    HfApi(token="secret").create_branch("someone/model", branch="next")
    assert hub.repos["someone/model"].branches["next"] == hub.repos["someone/model"].branches["main"]
