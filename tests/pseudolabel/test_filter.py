"""The filter on confidences made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.filter import filter_tracks


def pseudo(folder: Path, name: str, confidence: list[float], *, hop: float = 0.5, bucket: str = "mss") -> Track:
    """A track with these confidences, ``hop`` s apart from t = 0, that ends at the last frame."""
    path = folder / f"{name}.csv"
    rows = [f"{n * hop:.6f},{value:.5f}\n" for n, value in enumerate(confidence)]
    path.write_text("time,confidence\n" + "".join(rows))
    return Track(
        id=name, corpus="hand", labels="full", pseudo={"mss": "pitch", "pe": "stems"}[bucket], confidence=path,
        stems={"vocals": Stem(path=folder / "v.wav")}, sample_rate=8000, channels=1,
        duration=(len(confidence) - 1) * hop,
    )  # fmt: skip


def test_kept_runs_are_those_of_surviving_frames_in_surviving_segments(tmp_path: Path) -> None:
    # Frames at 0, 0.5, ... 7 s: segments of 6, 6 and 3 frames.
    first, second, third = [0.9, 0.9, 0.2, 0.7, 0.1, 0.1], [0.9, 0.9, 0.0, 0.0, 0.0, 0.0], [0.1, 0.7, 0.8]
    result = filter_tracks([pseudo(tmp_path, "a", first + second + third)], 0.7)
    assert result.tracks[0].kept == ((0.0, 0.75), (1.25, 1.75), (6.25, 7.0))
    group = result.groups[0]
    assert (group.corpus, group.bucket) == ("hand", "mss")
    assert (group.given.tracks, group.given.segments, group.given.frames) == (1, 3, 15)
    assert (group.kept.tracks, group.kept.segments, group.kept.frames) == (1, 2, 5)
    assert group.given.hours == pytest.approx(7.0 / 3600)
    assert group.kept.hours == pytest.approx((0.75 + 0.5 + 0.75) / 3600)
    assert group.mean_confidence == pytest.approx(np.mean(first + second + third))


def test_half_of_the_frames_is_enough_and_less_is_not(tmp_path: Path) -> None:
    half, less = [0.9] * 3 + [0.1] * 3, [0.9] * 2 + [0.1] * 4
    result = filter_tracks([pseudo(tmp_path, "half", half), pseudo(tmp_path, "less", less)], 0.5)
    assert [track.id for track in result.tracks] == ["half"]
    assert result.groups[0].kept.tracks == 1
    assert [t.id for t in filter_tracks([pseudo(tmp_path, "less", less)], 0.5, least_share=0.3).tracks] == ["less"]


def test_segments_have_the_length_asked_for(tmp_path: Path) -> None:
    track = pseudo(tmp_path, "a", [0.9, 0.1, 0.1, 0.9, 0.9, 0.9])
    assert filter_tracks([track], 0.5, segment_seconds=1.5).tracks[0].kept == ((1.25, 2.5),)
    assert filter_tracks([track], 0.5).tracks[0].kept == ((0.0, 0.25), (1.25, 2.5))


def test_a_frame_on_the_edge_of_segments_belongs_to_the_right_one_despite_rounding(tmp_path: Path) -> None:
    # 900 hops of 1/300 s: the file says 3.000000, a computed edge may be a little more.
    confidence = [0.9] * 900 + [0.1] * 2
    result = filter_tracks([pseudo(tmp_path, "a", confidence, hop=1 / 300)], 0.5)
    assert result.groups[0].given.segments == 2
    assert result.groups[0].kept.segments == 1
    assert result.groups[0].kept.frames == 900


def test_th_itself_is_kept_and_everything_kept_is_said(tmp_path: Path) -> None:
    track = pseudo(tmp_path, "a", [0.7] * 7)
    result = filter_tracks([track], 0.7)
    assert result.everything_kept
    assert result.tracks[0].kept == ((0.0, 3.0),)
    assert not filter_tracks([pseudo(tmp_path, "b", [0.7] * 6 + [0.6])], 0.7).everything_kept


def test_histogram_counts_frames_by_bucket(tmp_path: Path) -> None:
    tracks = [pseudo(tmp_path, "a", [0.0, 0.049, 0.051, 1.0]), pseudo(tmp_path, "b", [0.5, 0.5], bucket="pe")]
    histogram = filter_tracks(tracks, 0.0).histogram
    assert histogram["mss"] == [2, 1, *[0] * 17, 1]
    assert histogram["pe"] == [*[0] * 10, 2, *[0] * 9]


def test_groups_are_per_corpus_and_bucket(tmp_path: Path) -> None:
    tracks = [pseudo(tmp_path, "a", [0.9] * 3), pseudo(tmp_path, "b", [0.8] * 5, bucket="pe")]
    result = filter_tracks([*tracks, pseudo(tmp_path, "c", [0.1] * 4)], 0.5)
    assert [(g.bucket, g.given.tracks, g.kept.tracks, g.kept.frames) for g in result.groups] == [
        ("mss", 2, 1, 3),
        ("pe", 1, 1, 5),
    ]
    assert (result.given.frames, result.kept.frames) == (12, 8)


@pytest.mark.parametrize("th", [-0.01, 1.01, float("nan")])
def test_th_outside_0_to_1_is_refused(tmp_path: Path, th: float) -> None:
    with pytest.raises(UsageError, match="not a confidence") as caught:
        filter_tracks([pseudo(tmp_path, "a", [0.5] * 3)], th)
    assert "from 0 to 1" in caught.value.hint


def test_nothing_kept_names_the_highest_confidence_and_what_would_keep_half(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        filter_tracks([pseudo(tmp_path, "a", [0.2, 0.3, 0.468, 0.5, 0.834])], 0.9)
    assert caught.value.message == "th 0.9 keeps nothing: the highest confidence is 0.834"
    assert caught.value.hint == "half of the frames reach 0.46: use --th 0.46"


def test_what_is_not_a_confidence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no track to filter"):
        filter_tracks([], 0.5)
    good = pseudo(tmp_path, "a", [0.5] * 3)
    bare = Track(id="x", corpus="c", labels="full", sample_rate=1, channels=1, duration=1.0, stems=good.stems)
    with pytest.raises(DataError, match="track x: has no confidence"):
        filter_tracks([bare], 0.5)
    assert good.confidence is not None
    for text, message in (
        ("time,confidence\n", "not times and confidences"),
        ("time,confidence\n0,1.5\n", "outside \\[0, 1\\]"),
        ("time,confidence\n1,0.5\n0,0.5\n", "not times and confidences"),
        ("time,confidence\na,b\n", "not readable"),
    ):
        good.confidence.write_text(text)
        with pytest.raises(DataError, match=message), np.errstate(all="ignore"):
            filter_tracks([good], 0.5)
    good.confidence.unlink()
    with pytest.raises(DataError, match="not readable"):
        filter_tracks([good], 0.5)
