"""Which tracks a model is calibrated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError
from majl_cli.evaluation.protocols import protocols, select_tracks

ACCOMPANIMENT = "accompaniment"


@dataclass(frozen=True, kw_only=True)
class CalibrationTracks:
    """The ``tracks`` of a ``split`` and the levels ``snr_db`` at which those with an accompaniment are mixed."""

    tracks: list[Track]
    split: str
    snr_db: list[float]

    @property
    def corpora(self) -> dict[str, int]:
        """Tracks by corpus."""
        return dict(sorted(Counter(track.corpus for track in self.tracks).items()))


def is_sung(track: Track, target: str) -> bool:
    """Whether the track has the target alone and its pitch, octave included and not by a model of majl."""
    return target in track.stems and track.pitch is not None and not track.octave_free and not track.pseudo


def is_unsung(track: Track) -> bool:
    """Whether the track is an accompaniment alone."""
    return track.labels == ACCOMPANIMENT and ACCOMPANIMENT in track.stems


def select(
    given: Sequence[Track], *, target: str, split: str, snr_db: Sequence[float], limit: int | None = None
) -> CalibrationTracks:
    """The sung tracks of the split ("all": any), ``limit`` of them spread evenly, and all its accompaniments alone.
    Raises DataError if none is sung."""
    sung = [track for track in given if is_sung(track, target)]
    if not sung:
        message = f"no track with {target} alone and their pitch among the {len(given)} given"
        raise DataError(message, "give labelled tracks with --data or --manifest")
    unsung = [track for track in given if is_unsung(track) and split in (track.split, "all")]
    chosen = select_tracks(protocols["folder"], sung, split=split, limit=limit)
    return CalibrationTracks(tracks=[*chosen, *unsung], split=split, snr_db=sorted(set(snr_db)))
