"""Random training segments: a pure function of (seed, index), so that a resumed run sees the same data.

Letters: C channels, T samples, N pitch frames; sources are ordered (target, accompaniment).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from majl_cli.audio import read_audio
from majl_cli.data.augment import (
    AugmentConfig,
    add_below,
    add_reverb,
    balance,
    draw_speed,
    level_gain,
    place,
    produced,
    rms,
    scaled,
    stutter,
    through_codec,
    without_rumble,
)
from majl_cli.data.labels import PitchLabels, frames_from_labels, read_confidence, read_pitch
from majl_cli.data.manifest import Stem, Track, accompaniment_stems, check_rate
from majl_cli.errors import DataError
from majl_cli.resample import resample, to_channels

if TYPE_CHECKING:
    from majl_cli.data.synth.stream import Stream

Audio = NDArray[np.float32]
MARGIN_SECONDS = 0.01  # read on either side for the resampler's filter


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Audio (C, T) that starts at ``start`` seconds of its track, played at ``speed``."""

    audio: Audio
    start: float
    speed: float


@dataclass(kw_only=True)
class Segment:
    """What augmentation changes: ``voice`` and ``music`` (C, T), ``f0`` in Hz and ``known`` (N,), ``bandwidth`` in
    Hz."""

    voice: Audio
    music: Audio
    f0: NDArray[np.float64]
    known: NDArray[np.bool_]
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is known of a segment, one value a frame (N,); ``bandwidth`` in Hz."""

    f0: NDArray[np.float64]
    pitch_known: NDArray[np.bool_]
    sources_known: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    pseudo: bool
    bandwidth: float


class SegmentDataset(Dataset[dict[str, Any]]):
    """Segments of ``segment_seconds`` at ``sample_rate``, pitch labels every ``frame_seconds``.

    ``augment`` None gives original pairs at their own levels. ``corpus_weights`` multiply the chance of a corpus, which
    otherwise is its share of the audio; ``buckets`` (full, mss, pe, ...) then say which share of the segments each
    bucket gives, and one that is not named gives none (empty: all as they are). What the target has below ``lowest_hz``
    is taken out. Raises DataError if there is no target, or nothing to put it over.

    Tracks that stand for pieces without end (``Track.stream``) have them made in ``streams_folder`` when a segment is
    drawn from them.

    Where the filter left nothing of a pseudo-labelled track, ``keep_true_labels`` still trains on the label that is
    true: the stems of an mss track, the pitch of a pe track over its own accompaniment.

    An item is a dict: ``mixture`` (C, T), ``sources`` (2, C, T) that sum to it, ``sources_known`` (N,) 1 or 0, ``f0``
    (N,) in Hz (0 = unvoiced), ``pitch_known`` (N,) 1 or 0, ``confidence`` (N,) in [0, 1] of pseudo-labels (1 of true
    ones), ``pseudo`` 1 where a model made a label, ``bandwidth`` in Hz up to which the sources are known, ``track``.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        sample_rate: int,
        channels: int,
        segment_seconds: float,
        frame_seconds: float,
        augment: AugmentConfig | None,
        target: str = "vocals",
        corpus_weights: Mapping[str, float] | None = None,
        buckets: Mapping[str, float] | None = None,
        keep_true_labels: bool = True,
        lowest_hz: float = 0.0,
        seed: int = 0,
        length: int = 1,
        streams_folder: Path | None = None,
    ) -> None:
        self.sample_rate, self.channels, self.target, self.seed, self.length = (
            sample_rate, channels, target, seed, length,
        )  # fmt: skip
        self.samples = round(segment_seconds * sample_rate)
        self.seconds = segment_seconds
        self.frame_times = np.arange(round(segment_seconds / frame_seconds) + 1) * frame_seconds
        self.augment = None if augment is None else scaled(augment)
        self.lowest_hz, self.keep_true_labels = lowest_hz, keep_true_labels
        if buckets:
            tracks = [track for track in tracks if buckets.get(track.bucket, 0.0) > 0]
        self.sung = [t for t in tracks if target in t.stems or (t.labels == "pe" and t.mixture and not t.octave_free)]
        self.backed = [t for t in tracks if accompaniment_stems(t, target)]
        if augment is None:
            self.sung = [track for track in self.sung if track in self.backed or track.labels == "pe"]
        if not self.sung or not self.backed:
            missing = f"no track with {target}" if not self.sung else "no track with an accompaniment"
            raise DataError(missing, f"training needs {target} and something to mix them with")
        self._sung_ends = self._ends(self.sung, corpus_weights or {}, buckets or {})
        self._backed_ends = self._ends(self.backed, corpus_weights or {}, buckets or {})
        if not (self._sung_ends[-1] > 0 and self._backed_ends[-1] > 0):
            raise DataError("all training tracks have the weight or the duration 0", "give a corpus a weight above 0")
        self._streams = _open_streams([*self.sung, *self.backed], streams_folder)
        self._labels: dict[Path, PitchLabels] = {}
        self._confidences: dict[Path, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, index])))
        track = self._draw_sung(index, generator)
        if self.target not in track.stems:
            return self._pitch_only(track, generator)
        speed = 1.0 if self.augment is None else draw_speed(self.augment, generator)
        vocals = self._excerpt(track, [(1, track.stems[self.target])], self._start(track, speed, generator), speed)
        f0, known = self._pitch(track, vocals)
        backing, accompaniment = self._accompaniment(index, track, vocals, generator)
        times, other_times = self._times(vocals), self._times(accompaniment)
        kept = _kept(track, times)
        # A pseudo-stem laid over another accompaniment may lack the voice its pitch label speaks of.
        own_mixture = backing is track and track.pseudo == "stems"
        if not (own_mixture and self.keep_true_labels):
            known = known & kept
        sources_known = np.ones(len(times), bool)
        for made, when in ((track, times), (backing, other_times)):
            if made.pseudo == "stems":
                sources_known &= _kept(made, when)
        bandwidth = min(_bandwidth(track) * speed, _bandwidth(backing) * accompaniment.speed, self.sample_rate / 2)
        segment = Segment(
            voice=without_rumble(vocals.audio, self.sample_rate, self.lowest_hz),
            music=accompaniment.audio,
            f0=f0,
            known=known,
            bandwidth=bandwidth,
        )
        config = self.augment
        if config is not None:
            # A pseudo-stem and its rest are one recording only as they are.
            if not own_mixture:
                self._augment(index, segment, kept, config, generator, may_rest=backing.pseudo != "stems")
            gain = np.float32(level_gain(segment.voice + segment.music, config, generator))
            segment.voice, segment.music = segment.voice * gain, segment.music * gain
        sources = torch.from_numpy(np.stack((segment.voice, segment.music)).astype(np.float32))
        labels = Labels(
            f0=segment.f0,
            pitch_known=segment.known,
            sources_known=sources_known,
            confidence=self._confidence(track, times),
            pseudo=bool(track.pseudo),
            bandwidth=segment.bandwidth,
        )
        return _item(sources.sum(dim=0), sources, labels, f"{track.id} + {backing.id}")

    def _augment(
        self,
        index: int,
        segment: Segment,
        kept: NDArray[np.bool_],
        config: AugmentConfig,
        generator: np.random.Generator,
        *,
        may_rest: bool,
    ) -> None:
        """Change a segment by chance; ``may_rest``: its accompaniment surely holds no voice, and may be left alone."""
        if generator.random() < config.stutter_probability:
            segment.voice = stutter(segment.voice, self.sample_rate, config, generator)
            segment.known = np.zeros_like(segment.known)
        if generator.random() < config.second_vocals_probability:
            other, limit = self._second_vocals(index, config, generator)
            segment.voice = add_below(segment.voice, other, generator.uniform(*config.second_vocals_db))
            segment.bandwidth = min(segment.bandwidth, limit)
            segment.known = segment.known & (segment.f0 > 0)  # where the lead rests, the other may sing
        if generator.random() < config.reverb_probability:
            segment.voice = add_reverb(segment.voice, self.sample_rate, config, generator)
        segment.voice = produced(segment.voice, self.sample_rate, config, generator)
        segment.voice = place(segment.voice, config.vocals_pan_db, config, generator)
        segment.music = produced(segment.music, self.sample_rate, config, generator)
        segment.music = place(segment.music, config.accompaniment_pan_db, config, generator)
        if generator.random() < config.second_accompaniment_probability:
            more, limit = self._second_accompaniment(index, rms(segment.music), config, generator)
            segment.music, segment.bandwidth = segment.music + more, min(segment.bandwidth, limit)
        segment.music = balance(segment.voice, segment.music, config, generator)
        coded = through_codec(segment.voice, segment.music, self.sample_rate, config, generator)
        segment.voice, segment.music = coded
        chance = generator.random()
        if chance < config.vocals_absent_probability:
            if may_rest:
                segment.voice, segment.f0 = np.zeros_like(segment.voice), np.zeros_like(segment.f0)
                segment.known = np.ones_like(segment.known)
        elif chance < config.vocals_absent_probability + config.accompaniment_absent_probability:
            segment.music, segment.known = np.zeros_like(segment.music), segment.known & kept

    def _ends(
        self, tracks: Sequence[Track], corpus_weights: Mapping[str, float], buckets: Mapping[str, float]
    ) -> NDArray[np.float64]:
        """Ends of the intervals in which a random number draws each track."""
        lengths = [sum(end - start for start, end in self._drawn(track)) for track in tracks]
        weights = np.array(lengths, dtype=np.float64) * [corpus_weights.get(track.corpus, 1.0) for track in tracks]
        for bucket, share in buckets.items():
            mine = np.array([track.bucket == bucket for track in tracks])
            if mine.any() and weights[mine].sum() > 0:
                weights[mine] *= share / weights[mine].sum()
        return np.cumsum(weights)

    def _draw_sung(self, index: int, generator: np.random.Generator) -> Track:
        return self._piece(_draw(self.sung, self._sung_ends, generator), index, generator)

    def _draw_backed(self, index: int, generator: np.random.Generator) -> Track:
        return self._piece(_draw(self.backed, self._backed_ends, generator), index, generator)

    def _piece(self, track: Track, index: int, generator: np.random.Generator) -> Track:
        """The track itself, or a piece of those it stands for."""
        return track if track.stream is None else self._streams[track.stream].piece(track.id, index, generator)

    def _drawn(self, track: Track) -> Sequence[tuple[float, float]]:
        """The parts of a track that segments are drawn from."""
        return ((0.0, track.duration),) if track.kept is None or self.keep_true_labels else track.kept

    def _accompaniment(
        self, index: int, track: Track, vocals: Excerpt, generator: np.random.Generator
    ) -> tuple[Track, Excerpt]:
        """The track's own accompaniment at the vocals' place and speed, or another track's anywhere."""
        own = accompaniment_stems(track, self.target)
        doubtful = track.pseudo == "stems" and _kept(track, self._times(vocals)).mean() < 0.5
        remixes = self.augment is not None and generator.random() < self.augment.remix_probability
        if own and (doubtful or not remixes):
            return track, self._excerpt(track, own, vocals.start, vocals.speed)
        assert self.augment is not None
        backing = self._draw_backed(index, generator)
        speed = draw_speed(self.augment, generator)
        start = self._start(backing, speed, generator)
        return backing, self._excerpt(backing, accompaniment_stems(backing, self.target), start, speed)

    def _second_accompaniment(
        self, index: int, level: float, config: AugmentConfig, generator: np.random.Generator
    ) -> tuple[Audio, float]:
        track = self._draw_backed(index, generator)
        if track.pseudo == "stems":  # may hold some of the voice, and nothing would mask it
            return np.zeros((self.channels, self.samples), np.float32), np.inf
        stems = accompaniment_stems(track, self.target)
        audio = self._excerpt(track, stems, self._start(track, 1.0, generator), 1.0).audio
        audio = place(audio, config.accompaniment_pan_db, config, generator)
        return audio * np.float32(level / max(rms(audio), 1e-3)), _bandwidth(track)

    def _second_vocals(self, index: int, config: AugmentConfig, generator: np.random.Generator) -> tuple[Audio, float]:
        """Another voice (C, T), and the bandwidth it is known in."""
        track = self._draw_sung(index, generator)
        if self.target not in track.stems or track.pseudo == "stems":
            return np.zeros((self.channels, self.samples), np.float32), np.inf
        speed = draw_speed(config, generator)
        start = self._start(track, speed, generator)
        audio = self._excerpt(track, [(1, track.stems[self.target])], start, speed).audio
        audio = without_rumble(audio, self.sample_rate, self.lowest_hz)
        return place(audio, config.vocals_pan_db, config, generator), _bandwidth(track) * speed

    def _pitch_only(self, track: Track, generator: np.random.Generator) -> dict[str, Any]:
        assert track.mixture is not None
        speed = 1.0 if self.augment is None else draw_speed(self.augment, generator)
        excerpt = self._excerpt(track, [(1, track.mixture)], self._start(track, speed, generator), speed)
        f0, known = self._pitch(track, excerpt)
        mixture = torch.from_numpy(excerpt.audio)
        sources = torch.stack((torch.zeros_like(mixture), mixture))
        labels = Labels(
            f0=f0,
            pitch_known=known,
            sources_known=np.zeros(len(f0), bool),
            confidence=np.ones(len(f0)),
            pseudo=False,
            bandwidth=self.sample_rate / 2,
        )
        return _item(mixture, sources, labels, track.id)

    def _start(self, track: Track, speed: float, generator: np.random.Generator) -> float:
        """A random start in seconds; before 0 for a track shorter than the segment, which then begins with silence.
        Of a filtered track the middle of the segment is one of the kept moments, where the track's ends allow."""
        spare = track.duration - self.seconds * speed
        parts = self._drawn(track)
        if track.kept is None or parts is not track.kept:
            return float(generator.uniform(min(0.0, spare), max(0.0, spare)))
        lengths = np.cumsum([end - start for start, end in parts])
        place = generator.uniform(0.0, float(lengths[-1]))
        run = int(np.searchsorted(lengths, place, side="right").clip(0, len(lengths) - 1))
        middle = parts[run][1] - (float(lengths[run]) - place)
        return float(np.clip(middle - self.seconds * speed / 2, min(0.0, spare), max(0.0, spare)))

    def _excerpt(self, track: Track, stems: Sequence[tuple[int, Stem]], start: float, speed: float) -> Excerpt:
        parts = [np.float32(sign) * self._read(track, stem, start, speed) for sign, stem in stems]
        return Excerpt(audio=parts[0] if len(parts) == 1 else np.sum(parts, axis=0), start=start, speed=speed)

    def _read(self, track: Track, stem: Stem, start: float, speed: float) -> Audio:
        """(C, T) from ``start`` seconds on, played at ``speed``; silence where the file has nothing."""
        rate = track.sample_rate
        first = round((start - MARGIN_SECONDS) * rate)
        wanted = round((self.seconds * speed + 2 * MARGIN_SECONDS) * rate) + 2
        frames = max(0, wanted + min(0, first))
        audio, found = read_audio(stem.path, start=max(0, first), frames=frames, stream=stem.stream)
        check_rate(track, stem, found)
        if not np.isfinite(audio).all():
            raise DataError(f"{stem.path}: holds values that are not numbers", "export the file again, or leave it out")
        if stem.channel is not None:
            audio = audio[:, stem.channel : stem.channel + 1]
        audio = np.pad(audio, ((max(0, -first), 0), (0, 0)))
        audio = np.pad(audio, ((0, max(0, wanted - len(audio))), (0, 0)))
        audio = resample(to_channels(audio, self.channels), rate * speed, self.sample_rate)
        skip = round((start - first / rate) / speed * self.sample_rate)
        return np.ascontiguousarray(audio[skip : skip + self.samples].T)

    def _times(self, excerpt: Excerpt) -> NDArray[np.float64]:
        """Where the frames lie in their track, in seconds."""
        return (excerpt.start + self.frame_times * excerpt.speed).astype(np.float64)

    def _pitch(self, track: Track, excerpt: Excerpt) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """f0 and known per frame; labels move with the speed, and outside the recording nobody sings."""
        frames = len(self.frame_times)
        if track.pitch is None or track.octave_free:
            return np.zeros(frames), np.zeros(frames, bool)
        labels = self._labels.get(track.pitch)
        if labels is None:
            labels = read_pitch(track)
            if not any(track.pitch.is_relative_to(stream.folder) for stream in self._streams.values()):
                self._labels[track.pitch] = labels  # those of pieces without end would be without end too
        times = self._times(excerpt)
        f0, known = frames_from_labels(labels, times)
        outside = (times < 0) | (times > track.duration)
        return np.where(outside, 0.0, f0 * excerpt.speed), known | outside

    def _confidence(self, track: Track, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Confidence per frame; 1 for true labels and outside the recording."""
        if track.confidence is None:
            return np.ones(len(times))
        if track.confidence not in self._confidences:
            self._confidences[track.confidence] = read_confidence(track.confidence)
        known_times, values = self._confidences[track.confidence]
        outside = (times < 0) | (times > track.duration)
        return np.where(outside, 1.0, np.interp(times, known_times, values))


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack tensors; other values become lists."""
    first = items[0]
    return {
        key: torch.stack([item[key] for item in items]) if torch.is_tensor(value) else [item[key] for item in items]
        for key, value in first.items()
    }


def _item(mixture: torch.Tensor, sources: torch.Tensor, labels: Labels, track: str) -> dict[str, Any]:
    return {
        "mixture": mixture,
        "sources": sources,
        "sources_known": torch.from_numpy(labels.sources_known.astype(np.float32)),
        "f0": torch.from_numpy(labels.f0.astype(np.float32)),
        "pitch_known": torch.from_numpy(labels.pitch_known.astype(np.float32)),
        "confidence": torch.from_numpy(labels.confidence.astype(np.float32)),
        "pseudo": torch.tensor(float(labels.pseudo)),
        "bandwidth": torch.tensor(labels.bandwidth, dtype=torch.float32),
        "track": track,
    }


def _kept(track: Track, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which moments the filter left, (N,); outside the recording there is silence, and nothing to doubt."""
    if track.kept is None:
        return np.ones(len(times), bool)
    edges = np.array(track.kept, dtype=np.float64).reshape(-1)  # start, end, start, end, ...
    inside = np.searchsorted(edges, times, side="right") % 2 == 1
    return inside | (times < 0) | (times > track.duration)


def _bandwidth(track: Track) -> float:
    return track.bandwidth if track.bandwidth is not None else track.sample_rate / 2


def _open_streams(tracks: Sequence[Track], folder: Path | None) -> dict[Path, Stream]:
    """The streams that tracks stand for, by their files. Raises MajlError."""
    files = sorted({track.stream for track in tracks if track.stream is not None})
    if not files:
        return {}
    if folder is None:
        raise DataError(f"{files[0]}: there is no folder for its pieces", "name one")
    from majl_cli.data.synth.stream import Stream

    return {file: Stream(file, folder) for file in files}


def _draw(tracks: Sequence[Track], ends: NDArray[np.float64], generator: np.random.Generator) -> Track:
    """A track with the chance its interval in ``ends`` gives it."""
    return tracks[int(np.searchsorted(ends, generator.uniform(0.0, float(ends[-1])), side="right"))]
