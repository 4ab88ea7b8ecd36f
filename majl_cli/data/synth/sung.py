"""Melodies sung by speech synthesisers' words: put on the notes by WORLD, so that every f0 is known.

A voice bank is a folder with ``units.csv`` (speaker, word, path, start and end in s) and the recordings it names.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.signal import oaconvolve

from majl_cli.audio import read_audio
from majl_cli.data.synth.contour import draw_manner, smoothed, sung_notes
from majl_cli.data.synth.resynthesis import levelled
from majl_cli.data.synth.songs import Song
from majl_cli.data.synth.world import (
    FRAME_SECONDS,
    HIGHEST_HZ,
    LOWEST_HZ,
    Audio,
    Floats,
    Voice,
    analyse,
    at_places,
    breathier,
    reshaped,
    synthesise,
)
from majl_cli.errors import DataError

STREAM = 3
RATE = 44100
LONGEST_REST = 1.5  # seconds; a song's interludes are left out
SOFT_NUCLEUS = 1.6  # natural logarithm of power below the word's loudest frame: the vowel ends there
SungNote = tuple[float, float, float]  # start and end in s, cents above A4


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A spoken word in its speaker's recording; times in seconds."""

    path: Path
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word taken apart: its vowel lasts from frame ``vowel`` to frame ``coda``."""

    voice: Voice
    vowel: int
    coda: int


def read_bank(folder: Path) -> dict[str, list[Unit]]:
    """The words of each speaker. Raises DataError."""
    speakers: dict[str, list[Unit]] = {}
    try:
        with (folder / "units.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                unit = Unit(path=folder / row["path"], start=float(row["start"]), end=float(row["end"]))
                speakers.setdefault(row["speaker"], []).append(unit)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder}: not a voice bank: {error}", "make one with majl data voice-bank FOLDER") from error
    if not speakers:
        raise DataError(f"{folder}: no words in units.csv", "make one with majl data voice-bank FOLDER")
    return speakers


def sing(
    songs: Sequence[Song],
    bank: Mapping[str, list[Unit]],
    *,
    seed: int,
    index: int,
    seconds: tuple[float, float] = (20.0, 40.0),
) -> tuple[Audio, Floats]:
    """Piece ``index`` of ``seed``: audio (T,) at RATE and the f0 (N,) it was made with, one value every
    FRAME_SECONDS."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, STREAM, index])))
    units = bank[str(generator.choice(sorted(bank)))]
    chosen = generator.choice(len(units), size=min(len(units), int(generator.integers(8, 20))), replace=False)
    recording, rate = read_audio(units[0].path)
    words = [_word(recording.mean(axis=1), rate, units[int(which)]) for which in chosen]
    length = generator.uniform(*seconds)
    notes = _draw_notes(songs[int(generator.integers(len(songs)))], length, generator)
    frames = round(length / FRAME_SECONDS)
    voice = _laid_out(words, notes, frames, generator)
    cents = sung_notes(notes, frames, draw_manner(generator), generator)
    f0 = np.clip(440.0 * 2.0 ** (cents / 1200.0), LOWEST_HZ, HIGHEST_HZ)
    formants = float(np.clip(np.exp(generator.normal(0.0, 0.1)), 0.78, 1.28))
    voice = reshaped(
        voice,
        formants=formants,
        sample_rate=RATE,
        bandwidth=voice.sample_rate / 2,
        tilt_db=generator.uniform(-24.0, -6.0),
    )
    voice = breathier(voice, generator.uniform(0.0, 0.6) * (generator.random() < 0.6))
    voice = replace(voice, f0=np.where(voice.f0 > 0, f0, 0.0))
    return levelled(_coloured(synthesise(voice), generator)), voice.f0


def nucleus(voice: Voice) -> tuple[int, int]:
    """Frames from which and to which the word's vowel lasts: the loudest voiced run, without its soft ends."""
    spectrum = np.exp(voice.log_envelope.astype(np.float64))
    power = np.log(spectrum.sum(axis=1) + 1e-12)
    power = np.where(voice.f0 > 0, power, -np.inf)
    best = int(power.argmax())
    inside = power > power[best] - SOFT_NUCLEUS
    first, end = best, best + 1
    while first > 0 and inside[first - 1]:
        first -= 1
    while end < len(inside) and inside[end]:
        end += 1
    return first, end


def _word(recording: Audio, rate: int, unit: Unit) -> Word:
    voice = analyse(recording[round(unit.start * rate) : round(unit.end * rate)], rate)
    vowel, coda = nucleus(voice)
    return Word(voice=voice, vowel=vowel, coda=coda)


def _draw_notes(song: Song, length: float, generator: np.random.Generator) -> list[SungNote]:
    """A part of the melody at a random tempo, in a key whose middle lies where people sing."""
    beat = 60.0 / float(np.exp(generator.uniform(np.log(60.0), np.log(160.0))))
    melody = song.melody or song.piano
    melody = melody[int(generator.integers(max(1, len(melody) // 2))) :]
    first = melody[0].start
    middle = float(np.median([note.pitch for note in melody]))
    # Middles from 110 Hz to 520 Hz; men and women alike, whoever spoke the words.
    shift = round(generator.uniform(45.0, 72.0) - middle)
    tuning = generator.uniform(-50.0, 50.0)
    legato = generator.uniform(0.75, 1.0)
    notes: list[SungNote] = []
    skipped = 0.0
    for note in melody:
        start = 0.2 + (note.start - first) * beat - skipped
        if notes and start - notes[-1][1] > LONGEST_REST:
            skipped += start - notes[-1][1] - LONGEST_REST
            start = notes[-1][1] + LONGEST_REST
        end = min(start + max(0.08, note.length * beat * legato), length - 0.1)
        if notes and start < notes[-1][1]:
            notes[-1] = (notes[-1][0], max(start, notes[-1][0] + 0.05), notes[-1][2])
            start = notes[-1][1]
        if end - start > 0.06:
            notes.append((start, end, 100.0 * (note.pitch + shift - 69) + tuning))
    return notes or [(0.2, length - 0.2, -900.0)]


def _laid_out(words: Sequence[Word], notes: Sequence[SungNote], frames: int, generator: np.random.Generator) -> Voice:
    """The words' frames in time: each vowel begins with its note, consonants come before it."""
    silent = words[0].voice
    log_envelope = np.full((frames, silent.log_envelope.shape[1]), -25.0, np.float32)
    aperiodicity = np.ones_like(log_envelope)
    f0 = np.zeros(frames)
    dynamics = smoothed(generator.normal(0.0, 1.0, len(notes) + 2), FRAME_SECONDS * 3)
    for number, (start, end, _) in enumerate(notes):
        word = words[int(generator.integers(len(words)))]
        onset = round(start / FRAME_SECONDS)
        free = round((start - (notes[number - 1][1] if number else 0.0)) / FRAME_SECONDS)
        lead = min(word.vowel, max(free, 16), onset)
        coda = min(len(word.voice.f0) - word.coda, 24)
        next_start = notes[number + 1][0] if number + 1 < len(notes) else np.inf
        tail = coda if next_start - end > 0.15 else min(coda, 8)
        vowel = max(4, round((end - start) / FRAME_SECONDS) - tail // 2)
        places = np.concatenate((
            np.linspace(word.vowel - lead, word.vowel, lead, endpoint=False),
            _stretched(word, vowel, generator),
            np.arange(word.coda, word.coda + tail, dtype=np.float64),
        ))[: frames - onset + lead]  # fmt: skip
        part = at_places(word.voice, places)
        where = slice(onset - lead, onset - lead + len(places))
        ends = np.minimum(np.arange(len(places)) + 1, np.arange(len(places), 0, -1)) / 6.0
        level = 0.35 * dynamics[number] + 2.0 * np.log(np.minimum(1.0, ends))
        log_envelope[where] = part.log_envelope + level[:, None].astype(np.float32)
        aperiodicity[where], f0[where] = part.aperiodicity, part.f0
    return Voice(f0=f0, log_envelope=log_envelope, aperiodicity=aperiodicity, sample_rate=silent.sample_rate)


def _stretched(word: Word, frames: int, generator: np.random.Generator) -> Floats:
    """Places in the vowel for ``frames`` frames: into its middle as spoken, there slowly to and fro, and out again."""
    length = word.coda - word.vowel
    if frames <= length:
        return np.linspace(word.vowel, word.coda - 1.0, frames)
    inwards, outwards = int(0.35 * length), int(0.35 * length)
    middle = frames - inwards - outwards
    low, high = word.vowel + inwards, word.coda - outwards - 1.0
    turns = max(1.0, np.round(middle * FRAME_SECONDS / generator.uniform(0.3, 1.2)))
    turns += turns % 2 == 0  # an odd number of passes ends at the far side
    phase = np.linspace(0.0, turns, middle)
    passes = np.abs((phase + 1.0) % 2.0 - 1.0)
    return np.concatenate((
        np.arange(word.vowel, low), low + (high - low) * passes, np.arange(outwards) + word.coda - outwards
    ))  # fmt: skip


def _coloured(audio: Audio, generator: np.random.Generator) -> Audio:
    """A little of a microphone's tone: a random tilt and bump, in a short filter."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(512, 1.0 / RATE), 40.0) / 1000.0)
    bump = generator.normal(0.0, 3.0) * np.exp(-((octaves - generator.uniform(-2.0, 4.0)) ** 2))
    gain = 10.0 ** ((generator.normal(0.0, 1.5) * octaves + bump) / 20.0)
    response = np.roll(np.fft.irfft(gain), 256) * np.hanning(512)
    return oaconvolve(audio, response, mode="full")[256 : 256 + len(audio)].astype(np.float32)
