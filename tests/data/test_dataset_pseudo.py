"""Segments of pseudo-labelled tracks: what the filter masks, what stays because it is true, where segments come from.

Every label tells its time: the pitch is 200 Hz at 0 s and an octave more every 4 s, the confidence is time / 4.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from songs import pseudo_labelled, write_csv, write_song

from majl_cli.data.augment import AugmentConfig
from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.dataset import SegmentDataset
from majl_cli.data.manifest import Track, accompaniment_stems

RATE, SECONDS = 16000, 4.0
KEPT = ((1.0, 2.0),)
PLAIN = AugmentConfig(
    remix_probability=0.0,
    polarity=False,
    resample_probability=0.0,
    second_accompaniment_probability=0.0,
    second_vocals_probability=0.0,
    reverb_probability=0.0,
    vocals_absent_probability=0.0,
    accompaniment_absent_probability=0.0,
)
REMIXED = dataclasses.replace(PLAIN, remix_probability=1.0)


@pytest.fixture
def songs(tmp_path: Path) -> dict[str, Track]:
    """A track of each bucket, without pseudo-labels."""
    for labels in ("full", "mss", "pe"):
        write_song(tmp_path / "songs", labels, labels, seconds=SECONDS)
    tracks = {track.id: track for track in stems_folder(tmp_path / "songs")}
    for track in tracks.values():
        if track.pitch is not None:
            tell_time(track.pitch)
    return tracks


def tell_time(pitch: Path) -> None:
    write_csv(pitch, "time,frequency", SECONDS, lambda time: 200 * 2 ** (time / 4))


def labelled(track: Track, folder: Path, kept: tuple[tuple[float, float], ...] | None = KEPT) -> Track:
    done = pseudo_labelled(track, folder / "pseudo", kept=kept)
    assert done.pitch is not None and done.confidence is not None
    if track.labels == "mss":
        tell_time(done.pitch)
    write_csv(done.confidence, "time,confidence", SECONDS, lambda time: time / 4)
    return done


def items(tracks: list[Track], augment: AugmentConfig | None, count: int = 24, **options: Any) -> list[dict[str, Any]]:
    dataset = SegmentDataset(
        tracks, sample_rate=RATE, channels=1, segment_seconds=0.5, frame_seconds=0.01, augment=augment, **options
    )
    return [dataset[index] for index in range(count)]


def times_of(item: dict[str, Any]) -> np.ndarray:
    return 4 * np.log2(item["f0"].double().numpy() / 200)


def was_kept(times: np.ndarray) -> np.ndarray:
    assert np.abs(times[:, None] - np.array(KEPT).ravel()).min() > 1e-6, "a frame on an edge proves nothing"
    return (times > KEPT[0][0]) & (times < KEPT[0][1])


def is_known(item: dict[str, Any], label: str) -> np.ndarray:
    return item[f"{label}_known"].numpy() == 1


def test_the_pitch_of_an_mss_track_is_known_where_it_was_kept_and_its_stems_are_everywhere(
    songs: dict[str, Track], tmp_path: Path
) -> None:
    shares = []
    for item in items([labelled(songs["mss"], tmp_path)], None):
        kept = was_kept(times_of(item))
        assert (is_known(item, "pitch") == kept).all()
        assert is_known(item, "sources").all()
        assert item["pseudo"] == 1
        shares.append(kept.mean())
    assert min(shares) == 0 and max(shares) == 1 and any(0 < share < 1 for share in shares)


@pytest.mark.parametrize("true_labels", [True, False])
def test_the_stems_of_a_pe_track_are_known_where_they_were_kept_and_its_pitch_if_true_labels_stay(
    songs: dict[str, Track], tmp_path: Path, true_labels: bool
) -> None:
    some_masked = False
    for item in items([labelled(songs["pe"], tmp_path)], PLAIN, keep_true_labels=true_labels):
        kept = was_kept(times_of(item))
        assert (is_known(item, "sources") == kept).all()
        assert (is_known(item, "pitch") == (True if true_labels else kept)).all()
        some_masked |= not kept.all()
    assert some_masked


def test_a_pe_track_kept_whole_is_remixed_with_all_labels(songs: dict[str, Track], tmp_path: Path) -> None:
    own = labelled(songs["pe"], tmp_path, kept=((0.0, SECONDS),))
    backings = set()
    for item in items([own, songs["full"]], REMIXED):
        voice, backing = item["track"].split(" + ")
        assert is_known(item, "sources").all() and is_known(item, "pitch").all()
        assert (item["sources"].sum(dim=0) == item["mixture"]).all()
        if voice == "pe":
            backings.add(backing)
            assert item["confidence"].numpy() == pytest.approx(times_of(item) / 4, abs=1e-4)
    assert backings == {"pe", "full"}


def test_over_another_accompaniment_a_pe_track_has_the_pitch_that_was_kept_alone(
    songs: dict[str, Track], tmp_path: Path
) -> None:
    """There the voice is what the pseudo-stem holds; and where that is mostly in doubt, it stays with its own."""
    seen = set()
    for item in items([labelled(songs["pe"], tmp_path), songs["full"]], REMIXED, 60):
        voice, backing = item["track"].split(" + ")
        if voice == "full":
            continue
        kept = was_kept(times_of(item))
        if backing == "full":
            assert kept.mean() >= 0.5
            assert (is_known(item, "pitch") == kept).all()
            assert (is_known(item, "sources") == kept).all()
            seen.add("other, all kept" if kept.all() else "other, some kept")
        elif kept.mean() < 0.5:
            assert is_known(item, "pitch").all()
            seen.add("own, in doubt")
    assert seen == {"other, all kept", "other, some kept", "own, in doubt"}


@pytest.mark.parametrize("bucket", ["mss", "pe"])
def test_without_true_labels_segments_are_drawn_around_kept_moments(
    songs: dict[str, Track], tmp_path: Path, bucket: str
) -> None:
    track = labelled(songs[bucket], tmp_path)
    middles = [times_of(item).mean() for item in items([track], PLAIN, 40, keep_true_labels=False)]
    assert min(middles) >= 1.0 and max(middles) <= 2.0
    assert min(middles) < 1.2 and max(middles) > 1.8
    everywhere = [times_of(item).mean() for item in items([track], PLAIN, 40, keep_true_labels=True)]
    assert min(everywhere) < 0.8 and max(everywhere) > 2.5


def test_without_true_labels_a_track_is_drawn_as_often_as_it_has_kept_moments(
    songs: dict[str, Track], tmp_path: Path
) -> None:
    tracks = [labelled(songs["mss"], tmp_path), songs["full"]]
    for true_labels, share in ((True, 0.5), (False, 0.2)):  # 4 s of 8, 1 s of 5
        drawn = items(tracks, None, 200, keep_true_labels=true_labels)
        assert np.mean([item["track"].startswith("mss") for item in drawn]) == pytest.approx(share, abs=0.09)


def test_confidence_is_interpolated_and_1_for_true_labels(songs: dict[str, Track], tmp_path: Path) -> None:
    track = labelled(songs["mss"], tmp_path)
    assert track.confidence is not None
    track.confidence.write_text("time,confidence\n0.0,0.0\n4.0,1.0\n")
    for item in items([track], None, 6):
        assert item["confidence"].numpy() == pytest.approx(times_of(item) / 4, abs=1e-4)
    for item in items([songs["full"]], None, 3):
        assert (item["confidence"] == 1).all() and item["pseudo"] == 0
    for item in items([songs["pe"], songs["full"]], None, 8):
        if item["track"] == "pe":
            assert (item["confidence"] == 1).all() and item["pseudo"] == 0


def test_labels_whose_octave_is_not_known_teach_nothing(songs: dict[str, Track]) -> None:
    free = [dataclasses.replace(songs[name], octave_free=True) for name in ("full", "pe")]
    drawn = items(free, None)
    assert {item["track"] for item in drawn} == {"full + full"}  # the other has nothing else to teach
    for item in drawn:
        assert not is_known(item, "pitch").any() and not item["f0"].any()
        assert is_known(item, "sources").all()


@pytest.mark.parametrize("absent", [0.0, 1.0])
def test_an_accompaniment_that_was_not_kept_hides_the_sources(
    songs: dict[str, Track], tmp_path: Path, absent: float
) -> None:
    """The accompaniment of the pe track is 500 Hz where it was kept, to 2 s, and 1500 Hz after. It is never left
    without a voice, as a true one is by chance: it may hold some of its own, and nobody could say that nobody sings."""
    track = labelled(songs["pe"], tmp_path, kept=((0.0, 2.0),))
    time = np.arange(round(SECONDS * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * np.where(time < 2.0, 500.0, 1500.0) * time)
    voice, _ = soundfile.read(track.stems["vocals"].path)
    assert track.mixture is not None
    soundfile.write(track.mixture.path, tone + voice, RATE, subtype="FLOAT")
    augment = dataclasses.replace(REMIXED, vocals_absent_probability=absent)
    seen = set()
    for item in items([songs["full"], track], augment, 80):
        if item["track"] != "full + pe":
            continue
        crossings = np.abs(np.diff(np.signbit(item["sources"][1, 0].numpy()))).astype(float)
        # Per 20 ms around each frame: 20 of 500 Hz, 60 of 1500 Hz.
        rates = np.array([crossings[max(0, n * 160 - 160) : n * 160 + 160].mean() * 320 for n in range(51)])
        clear = np.abs(rates - 40) > 15
        assert clear.mean() > 0.9
        expected = rates < 40
        assert (is_known(item, "sources") == expected)[clear].all()
        assert is_known(item, "pitch").all()
        assert item["sources"][0].abs().max() > 0.01
        assert item["pseudo"] == 0
        seen.add(bool(expected.all()) if expected.all() or not expected.any() else None)
    assert seen >= {True, False}


@pytest.mark.parametrize(("bucket", "alone"), [("full", False), ("pe", True)])
def test_a_second_accompaniment_is_never_a_pseudo_label(
    songs: dict[str, Track], tmp_path: Path, bucket: str, alone: bool
) -> None:
    """It may hold some of a voice, and no mask would say so. The true one of the full track shows the difference."""
    track = songs["full"] if bucket == "full" else labelled(songs["pe"], tmp_path, kept=((0.0, SECONDS),))
    stems = accompaniment_stems(track, "vocals")
    music = sum(sign * soundfile.read(stem.path)[0] for sign, stem in stems)
    for item in items([track], dataclasses.replace(PLAIN, second_accompaniment_probability=1.0), 8):
        first = round(times_of(item)[0] * RATE)
        likeness = np.corrcoef(item["sources"][1, 0].numpy(), music[first : first + RATE // 2])[0, 1]
        assert (likeness > 0.99) == alone
