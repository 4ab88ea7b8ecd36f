"""Render music without singing from MIDI files with randomly drawn synthesizer sounds: pads, organs, bells, plucks.

    python examples/recipes/v0/render_accompaniments.py ../shared/data/labels_only/pop909_midi_100.tar.gz runs/rendered
    python examples/recipes/v0/render_accompaniments.py ... runs/chimes --sounds chime --count 60

The recordings at hand hold little full-band music: a model trained on them alone takes a steady synthesizer pad for a
voice. Steadiness is the cue these renderings teach. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 44100
SECONDS = 30
SOUNDS = {"pad": 0.4, "organ": 0.15, "bell": 0.2, "pluck": 0.25}  # the chance of each; "chime" has to be asked for
TOP_FREQUENCY = 16000.0
Audio = NDArray[np.float32]
Note = tuple[float, float, int]  # onset and length in seconds, MIDI number


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Additive synthesis: partials (ratio, amplitude), times in seconds, ``decay`` of the first partial to -60 dB."""

    ratios: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    attack: float
    decay: float
    release: float
    detune_cents: NDArray[np.float64]
    tremolo: tuple[float, float]


def draw_sound(kind: str, generator: np.random.Generator) -> Sound:
    """A sound of that kind: "pad", "organ", "bell", "pluck" or "chime" (next to no overtones, ringing on)."""
    numbers = np.arange(1, 25, dtype=np.float64)
    amplitudes = numbers ** -generator.uniform(0.7, 2.5)
    if generator.random() < 0.3:
        amplitudes[1::2] *= generator.uniform(0.0, 0.3)
    if kind == "organ":
        amplitudes = np.where(np.isin(numbers, (1, 2, 3, 4, 6, 8, 10, 12, 16)), generator.uniform(0, 1, 24), 0.0)
    ratios = numbers
    if kind == "bell":
        count = int(generator.integers(4, 10))
        ratios = np.concatenate(([1.0], np.sort(generator.uniform(1.5, 9.0, count - 1))))
        amplitudes = generator.uniform(0.1, 1.0, count) / ratios ** generator.uniform(0.0, 1.0)
    if kind == "chime":
        amplitudes = numbers ** -generator.uniform(2.5, 6.0)
        ratios = numbers.copy()
        ratios[3], amplitudes[3] = generator.uniform(2.7, 10.5), generator.uniform(0.0, 0.2)
    sustained = kind in ("pad", "organ")
    return Sound(
        ratios=ratios,
        amplitudes=amplitudes,
        attack=generator.uniform(0.1, 1.5) if kind == "pad" else generator.uniform(0.002, 0.03),
        decay=np.inf if sustained else generator.uniform(0.3, 5.0),
        release=generator.uniform(0.2, 3.0) if kind == "pad" else generator.uniform(0.03, 0.5),
        detune_cents=generator.uniform(-12.0, 12.0, int(generator.integers(1, 4))) * (kind != "bell"),
        tremolo=(generator.uniform(0.2, 7.0), generator.uniform(0.0, 0.6) if generator.random() < 0.3 else 0.0),
    )


def play(notes: list[Note], sound: Sound, generator: np.random.Generator) -> Audio:
    """(2, samples) of these notes, at a root mean square of 1."""
    out = np.zeros((2, SECONDS * RATE), np.float32)
    for onset, length, midi in notes:
        first = round(onset * RATE)
        count = min(round((length + sound.release) * RATE), out.shape[1] - first)
        if count <= 0:
            continue
        time = np.arange(count, dtype=np.float32) / np.float32(RATE)
        gate = np.minimum(1.0, time / sound.attack) * np.clip((length + sound.release - time) / sound.release, 0, 1)
        rate, depth = sound.tremolo
        gate = gate * (1.0 + depth * np.sin(2 * np.pi * rate * (onset + time)))
        frequency = 440.0 * 2.0 ** ((midi - 69) / 12)
        for cents in sound.detune_cents:
            tone = np.zeros(count, np.float32)
            for ratio, amplitude in zip(sound.ratios, sound.amplitudes, strict=True):
                partial = frequency * ratio * 2.0 ** (cents / 1200)
                if amplitude < 1e-3 or partial > TOP_FREQUENCY:
                    continue
                angle = np.float32(2 * np.pi * partial) * time + np.float32(generator.uniform(0, 2 * np.pi))
                level = amplitude * np.exp(-6.9 * ratio**0.7 * time / sound.decay)
                tone += (level * np.sin(angle)).astype(np.float32)
            side = generator.uniform(0.3, 0.7)
            out[:, first : first + count] += np.array([[side], [1 - side]], np.float32) * (tone * gate)
    return out / max(float(np.sqrt(np.mean(out**2))), 1e-6)


def drums(beat: float, generator: np.random.Generator) -> Audio:
    """(2, samples) of a kick, a snare and a hat on a random pattern of eighths, root mean square 1."""
    mono = np.zeros(SECONDS * RATE + RATE, np.float32)
    time = np.arange(round(0.4 * RATE)) / RATE
    sweep = generator.uniform(45, 60) * time - generator.uniform(2, 8) * np.exp(-40 * time)
    noise = generator.standard_normal((2, len(time)))
    snare = noise[0] + 2 * np.sin(2 * np.pi * generator.uniform(160, 240) * time)
    hits = [
        np.sin(2 * np.pi * sweep) * np.exp(-time * generator.uniform(6, 20)) * 3,
        snare * np.exp(-time * generator.uniform(12, 40)),
        np.diff(noise[1], prepend=0) * np.exp(-time * generator.uniform(40, 120)) * 0.3,
    ]
    pattern = generator.random((3, 16)) < np.array([[0.3], [0.2], [0.6]])
    for step in range(int(SECONDS / beat * 2)):
        first = round(step * beat / 2 * RATE)
        for hit, row in zip(hits, pattern, strict=True):
            if row[step % 16]:
                mono[first : first + len(hit)] += hit.astype(np.float32)
    out = np.stack((mono, mono))[:, : SECONDS * RATE]
    return out / max(float(np.sqrt(np.mean(out**2))), 1e-6)


def room(audio: Audio, generator: np.random.Generator) -> Audio:
    """The audio with exponentially decaying noise convolved in, 4 to 16 dB below it."""
    time = np.arange(3 * RATE) / RATE
    tail = generator.standard_normal((2, len(time))) * np.exp(-6.9 * time / generator.uniform(0.5, 4.0))
    size = 1 << (audio.shape[1] + len(time)).bit_length()
    damping = 1.0 + (np.fft.rfftfreq(size, 1 / RATE) / generator.uniform(1500, 8000)) ** 2
    wet = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(tail, size) / damping, size)[:, : audio.shape[1]]
    gain = 10 ** (generator.uniform(-16, -4) / 20) * np.sqrt(np.mean(audio**2) / np.mean(wet**2))
    return (audio + gain * wet).astype(np.float32)


def notes_of(song: mido.MidiFile, name: str) -> list[Note]:
    """The notes of the track called ``name``, in beats."""
    track = next(track for track in song.tracks if track.name == name)
    now, sounding, notes = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = now
        elif message.type in ("note_on", "note_off") and message.note in sounding:
            start = sounding.pop(message.note)
            notes.append((start / song.ticks_per_beat, (now - start) / song.ticks_per_beat, message.note))
    return notes


def render(song: mido.MidiFile, generator: np.random.Generator, sounds: dict[str, float]) -> Audio:
    """(samples, 2): 30 s from somewhere in the song, in two or three layers."""
    beat = 60 / generator.uniform(70, 160)
    chords, melody = notes_of(song, "PIANO"), notes_of(song, "MELODY")
    start = generator.uniform(0.0, max(note[0] for note in chords) * 0.7)
    shift = int(generator.integers(-6, 7))
    layers = []
    kinds = generator.choice(list(sounds), size=3, p=list(sounds.values()))
    for notes, kind, chance in ((chords, kinds[0], 1.0), (melody, kinds[1], 0.5), (chords, kinds[2], 0.3)):
        if generator.random() < chance:
            stretch = beat * (generator.choice([1.0, 2.0, 4.0]) if kind == "pad" else generator.choice([1.0, 2.0]))
            shifted = int(shift + 12 * generator.integers(-1, 2))
            placed = [((on - start) * stretch, length * stretch, midi + shifted) for on, length, midi in notes]
            placed = [note for note in placed if 0 <= note[0] < SECONDS and 24 <= note[2] <= 108]
            layers.append(play(placed, draw_sound(kind, generator), generator) * generator.uniform(0.3, 1.0))
    if generator.random() < 0.4:
        layers.append(drums(beat, generator) * generator.uniform(0.2, 1.0))
    audio = np.sum(layers, axis=0)
    if generator.random() < 0.6:
        audio = room(audio, generator)
    return (0.7 * audio / max(float(np.abs(audio).max()), 1e-6)).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("midi", type=Path, help="tar.gz of MIDI files with the tracks MELODY and PIANO")
    parser.add_argument("folder", type=Path, help="where the Ogg files go")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--sounds", help="these kinds only, with commas between them, each as likely as the others")
    arguments = parser.parse_args()
    names = arguments.sounds.split(",") if arguments.sounds else []
    sounds = dict.fromkeys(names, 1.0 / len(names)) if names else SOUNDS
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(arguments.midi) as archive:
        members = sorted((m for m in archive.getmembers() if m.name.endswith(".mid")), key=lambda m: m.name)
        for number, member in enumerate(members[: arguments.count]):
            file = archive.extractfile(member)
            assert file is not None
            song = mido.MidiFile(file=io.BytesIO(file.read()))
            audio = render(song, np.random.default_rng([0, number]), sounds)
            soundfile.write(arguments.folder / f"{Path(member.name).stem}.ogg", audio, RATE)
    print(f"{arguments.folder}: {len(members[: arguments.count])} files of {SECONDS} s")


if __name__ == "__main__":
    main()
