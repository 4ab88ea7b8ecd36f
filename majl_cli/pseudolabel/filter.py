"""Which pseudo-labels to train on: frames of enough confidence, in segments with enough such frames.

A frame below ``th`` is masked out. The track is cut into segments of 3 s from t = 0, the last one shorter; a segment
in which less than half of the frames are left is dropped whole, and so is a track without segments. A frame
belongs to the segment its centre is in, and stands for the time of half a hop on either side of it.

Letters: N frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.labels import read_confidence
from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, UsageError
from majl_cli.pseudolabel.confidence import Bools, Floats

SEGMENT_SECONDS = 3.0
LEAST_SHARE = 0.5
HISTOGRAM_BINS = 20
Runs = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much there was of tracks, segments, frames and hours."""

    tracks: int = 0
    segments: int = 0
    frames: int = 0
    hours: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)})


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tracks of one ``corpus`` and ``bucket`` (mss or pe): what was ``given``, what was ``kept``, and the mean
    confidence of the frames given."""

    corpus: str
    bucket: str
    given: Amount
    kept: Amount
    mean_confidence: float


@dataclass(frozen=True, kw_only=True)
class FilterResult:
    """The kept ``tracks`` with their ``kept`` runs in s, per-group amounts, and how often frames have a confidence in
    each of 20 equally wide bins, by bucket."""

    th: float
    tracks: list[Track]
    groups: list[Group]
    histogram: dict[str, list[int]]

    @property
    def given(self) -> Amount:
        return sum((group.given for group in self.groups), Amount())

    @property
    def kept(self) -> Amount:
        return sum((group.kept for group in self.groups), Amount())

    @property
    def everything_kept(self) -> bool:
        return self.given.frames == self.kept.frames


def filter_tracks(
    tracks: Sequence[Track],
    th: float,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
    least_share: float = LEAST_SHARE,
) -> FilterResult:
    """Keep what reaches ``th``, see the top of this file; the confidences are read from the tracks' files.

    Raises UsageError for a ``th`` outside [0, 1]; DataError if nothing is left, or a track has no confidence.
    """
    if not 0 <= th <= 1:
        raise UsageError(f"th {th}: not a confidence", "use a value from 0 to 1, or auto")
    if not tracks:
        raise DataError("no track to filter", "run majl pseudolabel first")
    kept_tracks, confidences = [], []
    sums: dict[tuple[str, str], tuple[Amount, Amount, float]] = {}
    histogram: dict[str, NDArray[np.int64]] = {}
    for track in tracks:
        if track.confidence is None:
            raise DataError(f"track {track.id}: has no confidence", "filter what majl pseudolabel has written")
        times, confidence = read_confidence(track.confidence)
        confidences.append(confidence.astype(np.float32))
        mask, segments = kept_frames(times, confidence, th, segment_seconds=segment_seconds, least_share=least_share)
        runs = frame_runs(times, mask, track.duration)
        if runs:
            kept_tracks.append(dataclasses.replace(track, kept=runs))
        given = Amount(tracks=1, segments=len(segments), frames=len(mask), hours=track.duration / 3600)
        hours = sum(end - start for start, end in runs) / 3600
        kept = Amount(tracks=bool(runs), segments=int(segments.sum()), frames=int(mask.sum()), hours=hours)
        key = (track.corpus, track.bucket)
        before = sums.get(key, (Amount(), Amount(), 0.0))
        sums[key] = (before[0] + given, before[1] + kept, before[2] + float(confidence.sum()))
        counts = np.histogram(confidence, bins=HISTOGRAM_BINS, range=(0.0, 1.0))[0]
        histogram[track.bucket] = histogram.get(track.bucket, np.zeros_like(counts)) + counts
    if not kept_tracks:
        raise _nothing_kept(th, np.concatenate(confidences))
    return FilterResult(
        th=th,
        tracks=kept_tracks,
        groups=[
            Group(corpus=corpus, bucket=bucket, given=given, kept=kept, mean_confidence=total / max(given.frames, 1))
            for (corpus, bucket), (given, kept, total) in sorted(sums.items())
        ],
        histogram={bucket: [int(count) for count in counts] for bucket, counts in sorted(histogram.items())},
    )


def kept_frames(
    times: Floats, confidence: Floats, th: float, *, segment_seconds: float, least_share: float
) -> tuple[Bools, Bools]:
    """Which frames (N,) are kept, and which segments, of those that have frames."""
    above = confidence >= th
    # The files have microseconds: a frame on the edge of two segments must not fall to the left by that.
    numbers = np.floor(times / segment_seconds + 1e-6).astype(np.int64)
    _, index = np.unique(numbers, return_inverse=True)
    sizes = np.bincount(index)
    segments = (np.bincount(index, weights=above) >= least_share * sizes) & (np.bincount(index, weights=above) > 0)
    return above & segments[index], segments


def frame_runs(times: Floats, mask: Bools, duration: float) -> Runs:
    """Runs of frames as (start, end) in s: from half a hop before the first to half a hop after the last of them,
    within [0, ``duration``]."""
    half = float(np.median(np.diff(times))) / 2 if len(times) > 1 else duration
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    runs = []
    for first, stop in zip(edges[0::2], edges[1::2], strict=True):
        start, end = max(0.0, times[first] - half), min(duration, times[stop - 1] + half)
        if end > start:
            runs.append((round(float(start), 6), round(float(end), 6)))
    return tuple(runs)


def _nothing_kept(th: float, confidence: NDArray[np.float32]) -> DataError:
    middle = np.floor(float(np.median(confidence)) * 100) / 100
    return DataError(
        f"th {th:g} keeps nothing: the highest confidence is {confidence.max():.3f}",
        f"half of the frames reach {middle:.2f}: use --th {middle:.2f}",
    )
