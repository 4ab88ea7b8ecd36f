"""Training batches made where the network runs: all audio lies in memory, augmentation works on whole batches.

Small networks outrun the worker processes that otherwise read, resample and mix. A batch has the keys of
``majl_cli.data.dataset.SegmentDataset`` and is drawn in the same spirit: a voice over the accompaniment of its own or
of another track, at random levels, speeds, rooms, colours and places.

Letters: B batch, C channels, T samples, N pitch frames.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.audio import read_audio
from majl_cli.data.labels import frames_from_labels, read_pitch
from majl_cli.data.manifest import Stem, Track, accompaniment_stems
from majl_cli.resample import resample, to_channels

FRAME_SECONDS = 0.01
TAPS = 16


@dataclass(frozen=True, kw_only=True)
class Chances:
    """How often what happens; ranges are (lowest, highest)."""

    remix: float = 0.75
    speed: float = 0.6
    speed_cents: float = 300.0
    snr_db: tuple[float, float] = (-12.0, 9.0)
    level_db: tuple[float, float] = (-34.0, -12.0)
    reverb: float = 0.35
    reverb_seconds: tuple[float, float] = (0.2, 2.5)
    reverb_db: tuple[float, float] = (-20.0, -3.0)
    colour: float = 0.5
    colour_db: float = 8.0
    saturation: float = 0.15
    second_voice: float = 0.15
    second_voice_db: tuple[float, float] = (-15.0, -2.0)
    second_accompaniment: float = 0.2
    narrow: float = 0.2
    voice_absent: float = 0.07
    accompaniment_absent: float = 0.07


class Store:
    """Stems of one kind end to end in one tensor (2, samples) of float16, with where each begins, how long it is, how
    often it is drawn and up to which frequency it is known."""

    def __init__(
        self, audio: np.ndarray, lengths: np.ndarray, weights: Sequence[float], bandwidths: Sequence[float], device: str
    ) -> None:
        self.audio = torch.from_numpy(audio).to(device)
        self.lengths = torch.tensor(lengths, device=device)
        self.starts = torch.tensor(np.concatenate(([0], np.cumsum(lengths)[:-1])), device=device)
        self.bandwidths = torch.tensor(bandwidths, device=device)
        chance = torch.tensor(weights, device=device, dtype=torch.float64) * self.lengths
        self.ends = torch.cumsum(chance / chance.sum(), 0)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Numbers (count,) of tracks."""
        chance = torch.rand(count, generator=generator, device=self.ends.device, dtype=torch.float64)
        return torch.searchsorted(self.ends, chance).clamp_max(len(self.lengths) - 1)

    def begin(self, track: Tensor, samples: Tensor, generator: torch.Generator) -> Tensor:
        """A random place (B,) in each track for so many samples; before its begin where the track is shorter."""
        spare = self.lengths[track] - samples
        chance = torch.rand(len(track), generator=generator, device=track.device)
        return spare.clamp_max(0) + chance * spare.abs()

    def read(self, track: Tensor, begin: Tensor, speed: Tensor, samples: int) -> Tensor:
        """(B, 2, T) from ``begin`` samples on at ``speed``, by a windowed sinc; silence outside the track."""
        if self.audio.device.type == "cpu":
            places = zip(track.tolist(), begin.tolist(), speed.tolist(), strict=True)
            return torch.stack([self._read_one(*place, samples) for place in places])
        at = begin[:, None] + torch.arange(samples, device=begin.device) * speed[:, None]
        first = at.floor()
        share = (at - first)[..., None]
        taps = torch.arange(1 - TAPS // 2, TAPS // 2 + 1, device=at.device)
        offset = share - taps
        kernel = torch.sinc(offset) * torch.cos(offset * math.pi / TAPS).square()
        kernel = kernel / kernel.sum(-1, keepdim=True)
        out = torch.zeros(len(track), 2, samples, device=at.device)
        for n in range(TAPS):
            place = (first + taps[n]).long()
            inside = (place >= 0) & (place < self.lengths[track, None])
            place = (place.clamp_min(0) + self.starts[track, None]).clamp_max(self.audio.shape[1] - 1)
            out += (self.audio[:, place].float() * (kernel[..., n] * inside)).transpose(0, 1)
        return out

    def _read_one(self, track: int, begin: float, speed: float, samples: int) -> Tensor:
        """The same for one (2, T), in a hundredth of the time on a CPU."""
        first, length = round(begin), int(self.lengths[track])
        needed = samples if speed == 1.0 else math.ceil(samples * speed) + 1
        low, high = max(0, first), min(first + needed, length)
        start = int(self.starts[track])
        piece = self.audio[:, start + low : start + max(low, high)].float()
        piece = functional.pad(piece, (low - first, needed - (low - first) - piece.shape[1]))
        if speed == 1.0:
            return piece
        turned = soxr.resample(piece.T.numpy(), speed * 1e4, 1e4, quality="MQ")
        return functional.pad(torch.from_numpy(turned.T), (0, max(0, samples - len(turned))))[:, :samples]


class Segments:
    """``batch(size)`` gives one; ``tracks`` need a voice, an accompaniment or both. Levels and chances: ``Chances``."""

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        sample_rate: int,
        seconds: float,
        corpus_weights: Mapping[str, float],
        chances: Chances,
        lowest_hz: float,
        device: str,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        self.sample_rate, self.chances, self.lowest_hz = sample_rate, chances, lowest_hz
        self.samples = round(seconds * sample_rate)
        self.frames = round(seconds / FRAME_SECONDS) + 1
        self.generator = torch.Generator(device).manual_seed(seed)
        sung = [track for track in tracks if "vocals" in track.stems]
        backed = [track for track in tracks if accompaniment_stems(track, "vocals")]
        voices = _loaded("voices", [[(1, track.stems["vocals"])] for track in sung], sample_rate, cache)
        music = _loaded("music", [accompaniment_stems(track, "vocals") for track in backed], sample_rate, cache)
        self.voices = Store(*voices, *self._drawing(sung, corpus_weights), device)
        self.music = Store(*music, *self._drawing(backed, corpus_weights), device)
        own = {track.id: number for number, track in enumerate(backed)}
        self.own = torch.tensor([own.get(track.id, -1) for track in sung], device=device)
        self._load_pitch(sung, device)
        frequencies = torch.fft.rfftfreq(self.samples, 1.0 / sample_rate, device=device)
        self.log_frequency = torch.log2(frequencies.clamp_min(20.0) / 20.0) / math.log2(sample_rate / 40.0)
        self.rumble = (2.0 * torch.log2(frequencies.clamp_min(1e-3) / max(lowest_hz, 1e-3))).clamp(0.0, 1.0)

    def batch(self, size: int) -> dict[str, Tensor | list[str]]:
        """A batch as ``SegmentDataset`` and ``collate`` give it."""
        c = self.chances
        track, speed = self.voices.draw(size, self.generator), self._speed(size)
        begin = self.voices.begin(track, self.samples * speed, self.generator)
        voice = self.voices.read(track, begin, speed, self.samples)
        f0, known = self._pitch(track, begin, speed)
        limit = self.voices.bandwidths[track] * speed
        music, music_limit = self._accompaniment(track, begin, speed)

        second = self._happens(size, c.second_voice)
        voice, limit = self._with_second(self.voices, voice, limit, second, self._uniform(size, *c.second_voice_db))
        known = torch.where(second[:, None] & (f0 == 0), torch.zeros_like(known), known)  # the other may sing there
        voice = self._saturate(self._place(self._reverb(self._colour(voice, c.colour, rumble=True)), 3.0))
        second = self._happens(size, c.second_accompaniment)
        music, music_limit = self._with_second(self.music, music, music_limit, second, self._uniform(size, -9.0, 3.0))
        music = self._saturate(self._place(self._colour(music, c.colour), 6.0))

        gain = _rms(voice).clamp_min(0.01) / _rms(music).clamp_min(1e-3)
        music = music * (gain * 10.0 ** (-self._uniform(size, *c.snr_db) / 20.0))[:, None, None]
        chance = torch.rand(size, generator=self.generator, device=voice.device)
        rests = (chance < c.voice_absent)[:, None]
        voice, f0 = voice * ~rests[..., None], f0 * ~rests
        known = torch.where(rests, torch.ones_like(known), known)
        alone = (chance >= c.voice_absent) & (chance < c.voice_absent + c.accompaniment_absent)
        voice, music = self._level(voice, music * ~alone[:, None, None])
        return {
            "mixture": voice + music,
            "sources": torch.stack((voice, music), dim=1),
            "sources_known": torch.ones_like(f0),
            "f0": f0,
            "pitch_known": known,
            "confidence": torch.ones_like(f0),
            "pseudo": torch.zeros(size, device=f0.device),
            "bandwidth": torch.minimum(limit, music_limit).float().clamp_max(self.sample_rate / 2),
            "track": [""] * size,
        }

    def _accompaniment(self, track: Tensor, begin: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """The voices' own accompaniment (B, 2, T) at their place and speed, or another's anywhere; and its limit."""
        own, size = self.own[track], len(track)
        remixed = (own < 0) | self._happens(size, self.chances.remix)
        backing = torch.where(remixed, self.music.draw(size, self.generator), own)
        speed = torch.where(remixed, self._speed(size), speed)
        begin = torch.where(remixed, self.music.begin(backing, self.samples * speed, self.generator), begin)
        return self.music.read(backing, begin, speed, self.samples), self.music.bandwidths[backing] * speed

    def _with_second(
        self, store: Store, audio: Tensor, limit: Tensor, which: Tensor, level_db: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Another of the same kind below those that are marked in ``which`` (B,); audio and bandwidth."""
        rows = torch.nonzero(which)[:, 0]
        if not len(rows):
            return audio, limit
        track, speed = store.draw(len(rows), self.generator), self._speed(len(rows))
        other = store.read(track, store.begin(track, self.samples * speed, self.generator), speed, self.samples)
        audio, limit = audio.clone(), limit.clone()
        audio[rows] = _add_below(audio[rows], other, level_db[rows])
        limit[rows] = torch.minimum(limit[rows], store.bandwidths[track] * speed)
        return audio, limit

    @staticmethod
    def _drawing(tracks: Sequence[Track], corpus_weights: Mapping[str, float]) -> tuple[list[float], list[float]]:
        weights = [corpus_weights.get(track.corpus, 1.0) for track in tracks]
        return weights, [track.bandwidth or track.sample_rate / 2 for track in tracks]

    def _load_pitch(self, sung: Sequence[Track], device: str) -> None:
        """f0 and known of all voices end to end, a value every 10 ms of the recording."""
        f0s, knowns, starts = [], [], [0]
        for track, length in zip(sung, self.voices.lengths.tolist(), strict=True):
            times = np.arange(int(length / self.sample_rate / FRAME_SECONDS) + 2) * FRAME_SECONDS
            f0, known = np.zeros(len(times)), np.zeros(len(times), bool)
            if track.pitch is not None and not track.octave_free:
                f0, known = frames_from_labels(read_pitch(track), times)
            if track.kept is not None:  # pseudo-labels that passed majl filter
                known &= np.searchsorted(np.reshape(track.kept, -1), times, side="right") % 2 == 1
            f0s.append(f0)
            knowns.append(known)
            starts.append(starts[-1] + len(times))
        self.f0 = torch.tensor(np.concatenate(f0s), dtype=torch.float32, device=device)
        self.known = torch.tensor(np.concatenate(knowns), dtype=torch.float32, device=device)
        self.pitch_starts = torch.tensor(starts, device=device)

    def _pitch(self, track: Tensor, begin: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """f0 in Hz and known (B, N); outside the recording nobody sings. Between voiced labels less than a semitone
        apart f0 is interpolated."""
        seconds = torch.arange(self.frames, device=track.device) * FRAME_SECONDS
        at = (begin[:, None] / self.sample_rate + seconds * speed[:, None]) / FRAME_SECONDS
        last = (self.pitch_starts[track + 1] - self.pitch_starts[track] - 1)[:, None]
        outside = (at < 0) | (at > self.voices.lengths[track, None] / self.sample_rate / FRAME_SECONDS)
        left = at.floor().clamp_min(0).minimum(last)
        right = (left + 1).minimum(last)
        share = (at - left).clamp(0.0, 1.0)
        place = self.pitch_starts[track, None]
        a, b = self.f0[(place + left).long()], self.f0[(place + right).long()]
        near = torch.where(share < 0.5, a, b)
        logs = torch.log(a.clamp_min(1e-3)) * (1 - share) + torch.log(b.clamp_min(1e-3)) * share
        close = (a > 0) & (b > 0) & ((a / b.clamp_min(1e-3)).clamp_min(1e-3).log().abs() < math.log(2) / 12)
        f0 = torch.where(close, logs.exp(), near) * speed[:, None]
        known = self.known[(place + torch.where(share < 0.5, left, right)).long()]
        return torch.where(outside, torch.zeros_like(f0), f0), torch.where(outside, torch.ones_like(known), known)

    def _happens(self, size: int, chance: float) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.generator.device) < chance

    def _uniform(self, size: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=self.generator, device=self.generator.device)

    def _speed(self, size: int) -> Tensor:
        cents = self._uniform(size, -self.chances.speed_cents, self.chances.speed_cents)
        return torch.where(self._happens(size, self.chances.speed), 2.0 ** (cents / 1200.0), torch.ones_like(cents))

    def _colour(self, audio: Tensor, chance: float, *, rumble: bool = False) -> Tensor:
        """A smooth random equaliser of eight bands; ``rumble`` also takes out what lies below ``lowest_hz``."""
        size = len(audio)
        knots = (2 * torch.rand(size, 1, 8, generator=self.generator, device=audio.device) - 1) * self.chances.colour_db
        knots = knots * self._happens(size, chance)[:, None, None]
        place = self.log_frequency * 7
        left = place.floor().long().clamp(0, 6)
        curve = knots[..., left] * (1 - (place - left)) + knots[..., left + 1] * (place - left)
        gain = 10.0 ** (curve / 20.0)
        return torch.fft.irfft(torch.fft.rfft(audio) * (gain * self.rumble if rumble else gain), self.samples)

    def _reverb(self, audio: Tensor) -> Tensor:
        """A room of decaying noise, its highs sooner gone than its lows, after up to 40 ms."""
        c = self.chances
        rows = torch.nonzero(self._happens(len(audio), c.reverb))[:, 0]
        if not len(rows):
            return audio
        dry, size = audio[rows], len(rows)
        decay = self._uniform(size, *c.reverb_seconds)[:, None, None]
        time = torch.arange(self.samples, device=audio.device) / self.sample_rate
        room = torch.randn(dry.shape, generator=self.generator, device=audio.device) * torch.exp(-6.9 * time / decay)
        room = room * (time > self._uniform(size, 0.0, 0.04)[:, None, None])
        spectrum = torch.fft.rfft(dry, 2 * self.samples) * torch.fft.rfft(room, 2 * self.samples)
        frequencies = torch.fft.rfftfreq(2 * self.samples, 1.0 / self.sample_rate, device=audio.device)
        spectrum = spectrum / (1.0 + (frequencies / self._uniform(size, 1500.0, 8000.0)[:, None, None]) ** 2)
        wet = torch.fft.irfft(spectrum)[..., : self.samples]
        audio = audio.clone()
        audio[rows] = _add_below(dry, wet, self._uniform(size, *c.reverb_db))
        return audio

    def _saturate(self, audio: Tensor) -> Tensor:
        size = len(audio)
        drive = self._uniform(size, 1.0, 4.0)[:, None, None] / audio.abs().amax(dim=(1, 2), keepdim=True).clamp_min(
            1e-3
        )
        driven = torch.tanh(audio * drive) / drive
        return torch.where(self._happens(size, self.chances.saturation)[:, None, None], driven, audio)

    def _place(self, audio: Tensor, pan_db: float) -> Tensor:
        """Channels swapped, panned, narrowed to mono, polarity turned; each by chance."""
        size = len(audio)
        audio = torch.where(self._happens(size, 0.5)[:, None, None], audio.flip(1), audio)
        narrow = audio.mean(dim=1, keepdim=True).expand_as(audio)
        audio = torch.where(self._happens(size, self.chances.narrow)[:, None, None], narrow, audio)
        side = 10.0 ** (self._uniform(size, -pan_db, pan_db) * self._happens(size, 0.4) / 40.0)
        audio = audio * torch.stack((side, 1.0 / side), dim=1)[..., None]
        return torch.where(self._happens(size, 0.5)[:, None, None], -audio, audio)

    def _level(self, voice: Tensor, music: Tensor) -> tuple[Tensor, Tensor]:
        mixture = voice + music
        gain = 10.0 ** (self._uniform(len(voice), *self.chances.level_db) / 20.0) / _rms(mixture).clamp_min(1e-3)
        gain = torch.minimum(gain, 0.99 / mixture.abs().amax(dim=(1, 2)).clamp_min(1e-6))[:, None, None]
        return voice * gain, music * gain


def _loaded(
    name: str, parts: Sequence[Sequence[tuple[int, Stem]]], sample_rate: int, cache: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Everything end to end (2, samples) and the lengths; in ``cache`` it is made once and mapped by every process."""
    ends = None if cache is None else cache / f"{name}-lengths.npy"
    if ends is None or not ends.exists():
        with multiprocessing.get_context("fork").Pool() as pool:
            loaded = pool.map(partial(_load, sample_rate=sample_rate), parts, chunksize=4)
        audio, lengths = np.concatenate(loaded, axis=1), np.array([part.shape[1] for part in loaded])
        if cache is None or ends is None:
            return audio, lengths
        cache.mkdir(parents=True, exist_ok=True)
        np.save(cache / f"{name}.npy", audio)
        np.save(ends, lengths)
    lengths = np.load(ends)
    if len(lengths) != len(parts):
        raise SystemExit(f"{cache}: made for other tracks; give another folder, or remove it")
    return np.load(ends.with_name(f"{name}.npy"), mmap_mode="c"), lengths


def _load(stems: Sequence[tuple[int, Stem]], sample_rate: int) -> np.ndarray:
    """The sum of the stems, (2, samples) of float16."""
    total: np.ndarray | None = None
    for sign, stem in stems:
        audio, rate = read_audio(stem.path, stream=stem.stream)
        if stem.channel is not None:
            audio = audio[:, stem.channel : stem.channel + 1]
        if audio.shape[1] == 1:
            audio = np.repeat(resample(audio, rate, sample_rate), 2, axis=1).T * sign
        else:
            audio = sign * resample(to_channels(audio, 2), rate, sample_rate).T
        total = audio if total is None else total[:, : audio.shape[1]] + audio[:, : total.shape[1]]
    assert total is not None
    return total.astype(np.float16)


def _rms(audio: Tensor) -> Tensor:
    return audio.square().mean(dim=(1, 2)).sqrt()


def _add_below(lead: Tensor, other: Tensor, level_db: Tensor) -> Tensor:
    """``lead`` plus ``other`` at ``level_db`` (B,) against it; unchanged where either is silent."""
    heard = torch.minimum(_rms(lead), _rms(other)) > 1e-5
    gain = _rms(lead) / _rms(other).clamp_min(1e-6) * 10.0 ** (level_db / 20.0) * heard
    return lead + gain[:, None, None] * other
