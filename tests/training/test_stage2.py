"""Stage II trains on true and kept pseudo-labels, from scratch or from given weights, and resumes exactly."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from songs import pseudo_labelled, write_song

from majl_cli.config import read_toml
from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.manifest import Track, read_manifest, write_manifest
from majl_cli.errors import ConfigError, DataError, HubError, TrainingError
from majl_cli.models.checkpoint import load_checkpoint
from majl_cli.training.dwm import DynamicWeights
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage2 import Stage2, Stage2Config

SHORT = ("device=cpu", "loop.precision=no", "data.segment_seconds=0.5", "loop.validate_every=100")
SINGLE = ("train/mss-1", "train/mss-2", "train/pe-1", "train/pe-2")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Track]:
    """Two fully labelled tracks, one of them to validate on, and two of each other bucket, of a second each."""
    folder = tmp_path_factory.mktemp("corpus") / "songs"
    write_song(folder, "train/full", "full", hertz=220)
    write_song(folder, "validation/full", "full", hertz=262)
    for n, id in enumerate(SINGLE):
        write_song(folder, id, id[6:].partition("-")[0], hertz=294 + 30 * n)
    return {track.id: track for track in stems_folder(folder)}


@pytest.fixture(scope="module")
def kept(songs: dict[str, Track], tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    """What a filter left of one mss and one pe track; it dropped the other two."""
    folder = tmp_path_factory.mktemp("pseudo")
    tracks = [pseudo_labelled(songs[id], folder, kept=((0.0, 0.8),)) for id in ("train/mss-1", "train/pe-1")]
    write_manifest(folder / "kept.jsonl", tracks)
    return read_manifest(folder / "kept.jsonl")


@pytest.fixture
def tracks(songs: dict[str, Track], kept: list[Track]) -> list[Track]:
    """As a project gives them: everything, and the kept pseudo-labels beside it."""
    return [*songs.values(), *kept]


def stage(tracks: list[Track], run: Path, *assignments: str) -> Stage2:
    return Stage2(resolve_config(Stage2Config, "tiny", [*SHORT, *assignments]), run, tracks)


def log_of(run: Path) -> list[dict[str, float]]:
    records = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records if record["event"] == "step"]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_on_kept_pseudo_labels_leaves_a_checkpoint_of_stage_2(tracks: list[Track], tmp_path: Path) -> None:
    result = stage(tracks, tmp_path / "run", "loop.steps=3", "loop.batch_size=4").train()
    assert result["steps"] == 3
    joint, info = load_checkpoint(tmp_path / "run" / "best")
    training = info.metadata["training"]
    assert (training["stage"], training["steps"]) == (2, 3)
    assert training["corpora"] == {
        "songs/train/full": "3 tracks, 0.00 h",
        "songs/train/mss": "1 tracks, 0.00 h",
        "songs/train/pe": "1 tracks, 0.00 h",
        "songs/validation/full": "1 tracks, 0.00 h",
    }
    assert read_toml(tmp_path / "run" / "config.toml")["data"]["buckets"] == {"full": 1.0, "mss": 1.0, "pe": 1.0}
    records = log_of(tmp_path / "run")
    assert [record["step"] for record in records] == [1, 2, 3]
    assert all(record["loss_mss"] > 0 and record["loss_pe"] > 0 for record in records)


def test_without_pseudo_labels_it_says_what_to_run_first(songs: dict[str, Track], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        stage(list(songs.values()), tmp_path / "run")
    assert str(caught.value).splitlines() == [
        "no pseudo-labelled track",
        "  run majl pseudolabel and majl filter first, and give the kept.jsonl",
    ]
    assert not (tmp_path / "run").exists()


def test_from_scratch_the_weights_are_those_of_the_seed(tracks: list[Track], tmp_path: Path) -> None:
    one, same, other = (stage(tracks, tmp_path, f"seed={seed}").joint.state_dict() for seed in (1, 1, 2))
    assert equal(one, same) and not equal(one, other)


def test_fine_tuning_starts_from_the_given_weights(tracks: list[Track], tmp_path: Path) -> None:
    stage(tracks, tmp_path / "first", "loop.steps=2").train()
    given = load_checkpoint(tmp_path / "first" / "best")[0].state_dict()
    for name in (tmp_path / "first", tmp_path / "first" / "best"):
        tuned = stage(tracks, tmp_path / "second", f"init='{name}'", "loop.steps=1", "seed=5")
        assert equal(tuned.joint.state_dict(), given)
        assert equal(tuned.averaged.state_dict(), given)
    tuned.train()
    assert not equal(tuned.joint.state_dict(), given)
    assert str(tmp_path) not in (tmp_path / "second" / "best" / "config.json").read_text()  # nobody else's business


def test_weights_that_do_not_fit_are_refused(tracks: list[Track], tmp_path: Path) -> None:
    stage(tracks, tmp_path / "first", "loop.steps=1").train()
    with pytest.raises(ConfigError) as caught:
        stage(tracks, tmp_path / "second", f"init='{tmp_path / 'first'}'", "model.pitch_options.width=4")
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'first'}: another architecture than this run's",
        "  give the model section it was trained with",
    ]
    with pytest.raises(HubError, match="no folder runs/nowhere"):
        stage(tracks, tmp_path / "second", "init=runs/nowhere")


@pytest.mark.parametrize(
    ("true_labels", "left"),
    [("true", ["train/mss-1", "train/mss-2", "train/pe-1", "train/pe-2"]), ("false", ["train/mss-1", "train/pe-1"])],
)
def test_tracks_that_the_filter_dropped_train_with_their_true_labels_if_asked(
    tracks: list[Track], tmp_path: Path, true_labels: str, left: list[str]
) -> None:
    """And a track with a pseudo-label is there once, with it."""
    run = stage(tracks, tmp_path, f"data.keep_true_labels={true_labels}")
    assert sorted(track.id for track in run.tracks) == sorted([*left, "train/full", "validation/full"])
    assert {track.id for track in run.tracks if track.pseudo} == {"train/mss-1", "train/pe-1"}
    drawn = {run.dataset[index]["track"].partition(" + ")[0] for index in range(60)}
    assert drawn == {*left, "train/full"}


@pytest.mark.parametrize("true_labels", ["true", "false"])
def test_a_track_of_another_corpus_may_have_the_same_name(
    tracks: list[Track], songs: dict[str, Track], tmp_path: Path, true_labels: str
) -> None:
    """Leaving out what a pseudo-label stands for must not take namesakes along."""
    namesakes = [dataclasses.replace(songs["train/full"], id="train/mss-1", corpus="more")]
    run = stage([*tracks, *namesakes], tmp_path, f"data.keep_true_labels={true_labels}")
    assert [track.corpus for track in run.tracks if track.id == "train/mss-1"].count("more") == 1


def test_shares_of_the_buckets_are_those_asked_for(tracks: list[Track], tmp_path: Path) -> None:
    """Whatever their lengths, and whether their labels are pseudo-labels or what a filter left of the true ones."""
    shorter = [dataclasses.replace(t, duration=0.6) if t.bucket == "mss" else t for t in tracks]
    run = stage(shorter, tmp_path, "data.buckets={full = 1, mss = 1, pe = 2}", "data.segment_seconds=0.1")
    bucket_of = {track.id: track.bucket for track in run.tracks}
    counts = Counter(bucket_of[run.dataset[n]["track"].partition(" + ")[0]] for n in range(600))
    assert {bucket: count / 600 for bucket, count in counts.items()} == pytest.approx(
        {"full": 0.25, "mss": 0.25, "pe": 0.5}, abs=0.06
    )


def test_a_bucket_that_is_not_named_gives_no_segment(tracks: list[Track], tmp_path: Path) -> None:
    run = stage(tracks, tmp_path, "data.buckets={full = 1, pe = 1}", "data.segment_seconds=0.1")
    names = " ".join(run.dataset[n]["track"] for n in range(80))
    assert "pe" in names and "full" in names and "mss" not in names
    with pytest.raises(DataError, match="no training track in the buckets vocals: there is only full, mss, pe"):
        stage(tracks, tmp_path, "data.buckets={vocals = 1}")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["dwhs", "dwm"])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tracks: list[Track], tmp_path: Path, variant: str) -> None:
    options = ("loop.steps=4", "loop.save_every=2", f"weighting.variant={variant}")
    unbroken = stage(tracks, tmp_path / "a", *options)
    unbroken.train()

    class Killed(Exception):
        pass

    def kill(record: dict[str, object]) -> None:
        if record["step"] == 3:
            raise Killed

    with pytest.raises(Killed):
        stage(tracks, tmp_path / "b", *options).train(kill)
    resumed = stage(tracks, tmp_path / "b", *options)
    resumed.train()
    assert resumed.state.step == 4
    assert equal(unbroken.joint.state_dict(), resumed.joint.state_dict())
    assert equal(unbroken.state.ema.state_dict(), resumed.state.ema.state_dict())
    assert log_of(tmp_path / "a") == log_of(tmp_path / "b")
    if variant == "dwm":
        before, after = unbroken.state.weighting, resumed.state.weighting
        assert isinstance(before, DynamicWeights) and isinstance(after, DynamicWeights)
        assert equal(before.network.state_dict(), after.network.state_dict())
        assert before.network.out.weight.any(), "it has learned something"
        moments = [state.optimizer.state_dict()["state"] for state in (before, after)]
        assert moments[0].keys() == moments[1].keys() and len(moments[0]) == 4
        assert all(equal(moments[0][n], moments[1][n]) for n in moments[0])


def test_weights_of_the_table_are_no_state_of_a_weight_network(tracks: list[Track], tmp_path: Path) -> None:
    stage(tracks, tmp_path, "loop.steps=1").train()
    with pytest.raises(TrainingError, match="last.pt: does not belong to this model"):
        stage(tracks, tmp_path, "loop.steps=2", "weighting.variant=dwm").train()
