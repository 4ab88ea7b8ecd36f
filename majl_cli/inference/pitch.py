"""Streamed pitch: blocks of a mixture or of a solo voice in, one f0 per frame out.

Channels are averaged. Memory holds a chunk of audio, a chunk of salience and four numbers per frame. "argmax"
decodes each frame as it becomes final. "viterbi" decodes windows of 60 s that share 4 s, and of the shared part each
window gives the half that lies farther from its edge: a lag of 2 s, far beyond what the best path remembers.

Letters: C channels, n samples of a block, N frames, K pitch bins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majl_cli.convert import frames_to_seconds
from majl_cli.device import Runtime
from majl_cli.errors import UsageError
from majl_cli.inference.chunks import Block, OverlapAdd, cut_chunks, in_batches, plan_chunks, run_module
from majl_cli.inference.separation import estimate_blocks, resample_blocks
from majl_cli.models.contracts import PitchModule
from majl_cli.models.joint import JointModel
from majl_cli.models.pitch.decode import DECODERS, decode_salience
from majl_cli.resample import StreamResampler, resampled_length, to_channels

INPUTS = ("mixture", "vocals")
VITERBI_WINDOW_SECONDS, VITERBI_LAG_SECONDS = 60.0, 2.0


@dataclass(frozen=True, kw_only=True)
class PitchTrack:
    """The melody of a track, one value a frame; arrays (N,).

    ``times`` in s, ``frequency`` in Hz (the guess, given everywhere), ``confidence`` in [0, 1], ``voiced`` where the
    confidence reaches ``threshold``; ``input`` is what the audio was taken for, "mixture" or "vocals"; the audio
    lasts ``seconds``.
    """

    times: NDArray[np.float64]
    frequency: NDArray[np.float64]
    confidence: NDArray[np.float64]
    voiced: NDArray[np.bool_]
    hop_seconds: float
    threshold: float
    input: str
    seconds: float

    @property
    def f0(self) -> NDArray[np.float64]:
        """Hz, 0 where unvoiced; (N,)."""
        return np.where(self.voiced, self.frequency, 0.0)


def estimate_pitch_blocks(
    model: JointModel,
    blocks: Iterable[Block],
    sample_rate: int,
    channels: int,
    *,
    input: str = "mixture",
    runtime: Runtime,
    decoder: str = "argmax",
    threshold: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> PitchTrack:
    """Blocks (n, C) at ``sample_rate`` to a pitch track of floor(samples at the pitch rate / hop) + 1 frames.

    ``input="mixture"`` separates first. ``progress`` gets the seconds of audio done so far. Raises UsageError.
    """
    if input not in INPUTS:
        raise UsageError(f"no kind of input {input!r}", f"use one of {', '.join(INPUTS)}")
    check_decoding(decoder, threshold)
    pitch = model.pitch
    counted = _Counted(blocks)
    audio = _mono_at_pitch_rate(model, counted, sample_rate, channels, input, runtime)
    decoded = _Decoder(pitch, decoder)
    for salience in salience_blocks(pitch, _reported(audio, pitch.sample_rate, progress), runtime=runtime):
        decoded.push(salience)
    frequency, confidence = decoded.finish()
    threshold = pitch.voicing_threshold if threshold is None else threshold
    return PitchTrack(
        times=frames_to_seconds(np.arange(len(frequency)), pitch.hop_length, pitch.sample_rate),
        frequency=frequency,
        confidence=confidence,
        voiced=confidence >= threshold,
        hop_seconds=pitch.hop_length / pitch.sample_rate,
        threshold=threshold,
        input=input,
        seconds=counted.samples / sample_rate,
    )


def check_decoding(decoder: str, threshold: float | None) -> None:
    """Raise UsageError for an unknown decoder or a threshold outside [0, 1]."""
    if decoder not in DECODERS:
        raise UsageError(f"no decoder {decoder!r}", f"use one of {', '.join(DECODERS)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold}: not a confidence", "use a value from 0 to 1")


def salience_blocks(pitch: PitchModule, blocks: Iterable[Block], *, runtime: Runtime) -> Iterator[Block]:
    """Mono blocks (n, 1) at the module's rate to final salience (N, K) in [0, 1]."""
    plan = plan_chunks(pitch, unit=pitch.hop_length)
    joined = OverlapAdd(plan.in_frames(pitch.hop_length))
    for chunks in in_batches(cut_chunks(blocks, plan), runtime.batch):
        batch = run_module(pitch, np.concatenate([chunk.audio for chunk in chunks]), runtime)
        for chunk, logits in zip(chunks, batch, strict=True):
            if not chunk.last:
                # The frame on the inner edge belongs to the next chunk.
                logits = logits[:-1]
            salience = 1.0 / (1.0 + np.exp(-logits.clip(-60.0, 60.0)))
            lead = chunk.lead // pitch.hop_length
            yield joined.add(salience.T, first=chunk.first, last=chunk.last, lead=lead).T


def voice_salience_blocks(
    pitch: PitchModule, blocks: Iterable[Block], sample_rate: int, *, runtime: Runtime
) -> Iterator[Block]:
    """Blocks (n, C) of a solo voice at ``sample_rate`` to final salience (N, K), framed as in ``PitchTrack``."""
    counted = _Counted(blocks)
    return salience_blocks(
        pitch, _voice_at_pitch_rate(pitch, counted, sample_rate, sample_rate, counted), runtime=runtime
    )


def _mono_at_pitch_rate(
    model: JointModel, blocks: _Counted, sample_rate: int, channels: int, input: str, runtime: Runtime
) -> Iterator[Block]:
    """The voice as mono blocks (n, 1) at the pitch module's rate: the length of the input, at least one sample."""
    voice: Iterable[Block] = blocks
    rate = sample_rate
    if input == "mixture":
        module = model.separation
        estimates = estimate_blocks(module, blocks, sample_rate, channels, runtime=runtime, stems=(model.target,))
        voice, rate = (estimate[0] for estimate in estimates), module.sample_rate
    return _voice_at_pitch_rate(model.pitch, voice, rate, sample_rate, blocks)


def _voice_at_pitch_rate(
    pitch: PitchModule, voice: Iterable[Block], voice_rate: int, input_rate: int, counted: _Counted
) -> Iterator[Block]:
    mono = (to_channels(block, 1) for block in voice)
    audio = resample_blocks(mono, StreamResampler(voice_rate, pitch.sample_rate, 1), 1)
    return _fitted(audio, lambda: max(1, resampled_length(counted.samples, input_rate, pitch.sample_rate)))


class _Counted:
    """Blocks, and how many samples of them came by."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = blocks
        self.samples = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


def _fitted(blocks: Iterable[Block], total: Callable[[], int], slack: int = 64) -> Iterator[Block]:
    """Trim or pad to ``total()``, known at the end: resampling twice may round to a few samples more or fewer."""
    held = np.zeros((0, 1), np.float32)
    sent = 0
    for block in blocks:
        held = np.concatenate((held, block))
        if len(held) > slack:
            yield held[:-slack]
            sent += len(held) - slack
            held = held[-slack:]
    missing = total() - sent
    yield np.concatenate((held, np.zeros((max(0, missing - len(held)), 1), np.float32)))[:missing]


def _reported(blocks: Iterable[Block], sample_rate: int, progress: Callable[[float], None] | None) -> Iterator[Block]:
    """Reports a block when the next one is asked for: what could be done with it is done by then."""
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        if progress is not None:
            progress(done / sample_rate)


class _Decoder:
    """Salience (N, K) in pieces to frequency and confidence (N,), see the top of this file."""

    def __init__(
        self,
        pitch: PitchModule,
        method: str,
        *,
        window_seconds: float = VITERBI_WINDOW_SECONDS,
        lag_seconds: float = VITERBI_LAG_SECONDS,
    ) -> None:
        self._pitch, self._method = pitch, method
        rate = pitch.sample_rate / pitch.hop_length
        self._lag = 0 if method == "argmax" else round(lag_seconds * rate)
        self._window = 0 if method == "argmax" else round(window_seconds * rate)
        self._held: list[Block] = []
        self._lead = 0  # frames of what is held that are decoded already
        self._parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def push(self, salience: Block) -> None:
        self._held.append(salience)
        frames = sum(map(len, self._held))
        if frames > max(self._window, 2 * self._lag):
            window = self._decode(stop=frames - self._lag)
            keep = min(frames, 2 * self._lag)
            self._held = [window[frames - keep :].copy()]
            self._lead = keep - self._lag

    def finish(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._held:
            self._decode(stop=None)
        frequency, confidence = zip(*self._parts, strict=True) if self._parts else ((np.zeros(0),), (np.zeros(0),))
        return np.concatenate(frequency), np.concatenate(confidence)

    def _decode(self, stop: int | None) -> Block:
        window = np.concatenate(self._held)
        frequency, confidence = decode_salience(
            window, self._pitch.grid, method=self._method, frequency_range=self._pitch.frequency_range
        )
        self._parts.append((frequency[self._lead : stop], confidence[self._lead : stop]))
        return window
