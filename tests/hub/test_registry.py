"""Every entry says what it is on evidence, and a registry that does not is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from majl_cli.config import build
from majl_cli.errors import ConfigError
from majl_cli.hub.find import DEFAULT_MODEL
from majl_cli.hub.foreign import TORCH_SUFFIXES
from majl_cli.hub.registry import BUILT_IN, Entry, entries, is_commit, read_entries
from majl_cli.models.registry import pitch_modules, separation_modules

ENTRIES = list(read_entries(BUILT_IN).values())
SOURCE = 'sources = [{ repo = "someone/model", file = "weights.pt" }]'
GOOD = f'task = "pitch"\ntitle = "t"\narchitecture = "crepe"\nsample_rate = 16000\n{SOURCE}\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAJL_HOME", str(tmp_path))
    return tmp_path


def by_name(entry: Entry) -> str:
    return entry.name


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_an_entry_has_terms_data_and_evidence(entry: Entry) -> None:
    assert entry.licence and len(entry.licence_words) > 10
    assert entry.data
    assert entry.score is None or (len(entry.score.kind) > 10 and entry.score.source)
    for source in entry.sources:
        assert source.url or is_commit(source.revision), "a branch may change"
        assert source.sha256 or source.sha256_start
        assert not source.sha256_start or source.sha256_start in source.url
        assert source.suffix in (".safetensors", *TORCH_SUFFIXES)
    assert {source.stem for source in entry.sources} in ({""}, set(entry.stems))


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_an_entrys_architecture_is_registered_and_has_its_options(entry: Entry) -> None:
    modules = separation_modules if entry.task == "separation" else pitch_modules
    _, config = modules[entry.architecture]
    built = build(config, entry.options)
    assert getattr(built, "sample_rate", entry.sample_rate) == entry.sample_rate


def test_what_demands_care_is_said() -> None:
    found = {entry.name: entry for entry in ENTRIES}
    assert DEFAULT_MODEL not in found
    assert [name for name, entry in found.items() if entry.non_commercial] == ["umxl"]
    for name in ("htdemucs", "htdemucs-ft-vocals", "htdemucs-6s"):
        assert "disputed" in found[name].licence and "only for scientific purposes" in found[name].terms
    assert "MIR-1K" in found["rmvpe"].trained_on
    assert found["htdemucs-ft-vocals"].stem_names().default == ("vocals", "accompaniment")


def test_own_entries_join_those_of_majl(home: Path) -> None:
    (home / "models.toml").write_text(f"[mine]\n{GOOD}")
    found = entries()
    assert list(found) == [*(entry.name for entry in ENTRIES), "mine"]
    assert found["mine"].terms.startswith("not stated: ")
    assert found["mine"].bytes == 0 and not found["mine"].sources[0].is_pinned


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("[mine]", "[htdemucs]", "'htdemucs' is a name that majl has"),
        ("[mine]", "[Mine]", "not a short name"),
        ("sample_rate = 16000", "sample_rate = 16000\nstems = ['vocals']", "separation has stems, pitch has none"),
        ("sample_rate = 16000", "", "sample_rate"),
        ("title", "titel", "unknown key 'mine.titel'"),
        (SOURCE, "sources = []", "no sources"),
        ("file = ", "url = 'https://a.b/c.pt', file = ", "neither repo and file nor url, or both"),
        (', file = "weights.pt"', "", "neither repo and file nor url"),
        ("file = ", "sha256 = '12', file = ", "not a SHA-256"),
        (SOURCE, "sources = [{ url = 'http://a.b/c.pt' }]", "not https"),
        (SOURCE, "sources = [{ url = 'https://a.b/c.pt?d=e.pt' }]", "not the address of a file"),
        (SOURCE, "sources = [{ url = 'https://a.b/c.pt#d' }]", "not the address of a file"),
        (SOURCE, "sources = [{ url = 'https://a.b/../c.pt' }]", "leads elsewhere"),
        (SOURCE, "sources = [{ url = 'https://a.b/%2e%2e/c.pt' }]", "leads elsewhere"),
        ("weights.pt", "../weights.pt", "leads elsewhere"),
        ("weights.pt", "/weights.pt", "leads elsewhere"),
        ('"weights.pt"', "'a\\weights.pt'", "leads elsewhere"),
        ("someone/model", "someone/..", "leads elsewhere"),
        ("someone/model", "/someone/model", "leads elsewhere"),
        ('task = "pitch"', "task = 'separation'\nstems = ['../drums']", "cannot be the name of a stem"),
        ('task = "pitch"', "task = 'separation'\nstems = ['drums']\ndefault_stems = ['bass']", "no stem 'bass'"),
        ('task = "pitch"', "task = 'pitch'\ndefault_stems = ['bass']", "pitch has none"),
        ("[mine]", "mine = 3\n[other]", "mine is not a table"),
        ("[mine]", "[mine", "not readable as TOML"),
    ],
)
def test_a_wrong_entry_is_refused(home: Path, old: str, new: str, message: str) -> None:
    text = f"[mine]\n{GOOD}"
    assert old in text
    (home / "models.toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        entries()


def test_the_entry_of_the_user_guide_is_understood(home: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text(encoding="utf-8")
    (home / "models.toml").write_text(guide.partition("```toml\n")[2].partition("```")[0])
    assert entries()["my-roformer"].options == {"depth": 12}
