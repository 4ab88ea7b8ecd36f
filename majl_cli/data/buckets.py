"""What the buckets of data hold, and what they are not enough for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from majl_cli.data.manifest import LABELS, Track

MAIN_BUCKETS = {"full": "stems and pitch", "mss": "stems alone", "pe": "pitch alone"}


@dataclass(frozen=True, kw_only=True)
class BucketCount:
    """Tracks of a bucket, their ``hours``, and how many of them there are to train on and to validate on."""

    tracks: int
    hours: float
    train: int
    validation: int


def count_buckets(tracks: Iterable[Track]) -> dict[str, BucketCount]:
    """Counts of the three main buckets, and of any other that has tracks."""
    tracks = list(tracks)
    counts = {}
    for bucket in LABELS:
        own = [track for track in tracks if track.bucket == bucket]
        if own or bucket in MAIN_BUCKETS:
            counts[bucket] = BucketCount(
                tracks=len(own),
                hours=sum(track.duration for track in own) / 3600,
                train=sum(track.split == "train" for track in own),
                validation=sum(track.split == "validation" for track in own),
            )
    return counts


def what_is_missing(counts: dict[str, BucketCount]) -> list[str]:
    """What cannot be done with these buckets, a line each."""
    lines = []
    if not counts["full"].train:
        lines.append("no training track with stems and pitch (bucket full): Stage I cannot run")
    if not counts["mss"].train and not counts["pe"].train:
        lines.append(
            "no training track with stems alone or pitch alone (buckets mss and pe): nothing to pseudo-label, "
            "Stage II cannot run"
        )
    if not counts["full"].validation:
        lines.append(
            "no validation track with stems and pitch (bucket full): nothing to choose the best weights by, "
            "and confidence cannot be calibrated"
        )
    return lines
