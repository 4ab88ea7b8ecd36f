"""A song, a voice and a folder of recordings, made here, for the tests of the data engine."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray
from tiny_soundfont import tiny_soundfont

from majl_cli.data.synth.world import FRAME_SECONDS, Voice, synthesise

RATE = 16000
BINS = 513
CHORDS = [(48, 64, 67, 72), (45, 60, 64, 69), (41, 60, 65, 69), (43, 59, 62, 67)]  # C, A minor, F, G


def midi_song(bars: int = 16, late: float = 0.0) -> bytes:
    """A song of four chords, a bar each, whose first bar begins ``late`` beats into the file."""
    midi = mido.MidiFile(ticks_per_beat=480)
    for name in ("MELODY", "BRIDGE", "PIANO"):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name, time=0)])
        now = 0
        for bar in range(bars):
            chord = CHORDS[bar % 4]
            onsets = [(0.0, chord)] if name == "PIANO" else [(beat, chord[1 + beat % 3 :][:1]) for beat in range(4)]
            for beat, pitches in onsets:
                start, length = round((late + bar * 4 + beat) * 480), 1900 if name == "PIANO" else 400
                for n, pitch in enumerate(pitches):
                    track.append(mido.Message("note_on", note=pitch, velocity=80, time=0 if n else start - now))
                for n, pitch in enumerate(pitches):
                    track.append(mido.Message("note_off", note=pitch, time=0 if n else length))
                now = start + length
        midi.tracks.append(track)
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def vowel(f0: NDArray[np.float64], formants: tuple[float, ...] = (700.0, 1200.0, 2600.0)) -> Voice:
    """A voice of steady formants, unvoiced where ``f0`` is 0."""
    frequencies = np.linspace(0.0, RATE / 2, BINS)
    envelope = sum(np.exp(-(((frequencies - formant) / 150.0) ** 2)) for formant in formants) + 1e-3
    aperiodicity = np.where(f0[:, None] > 0, np.clip(frequencies / 8000.0, 0.01, 0.6), 1.0)
    return Voice(
        f0=f0,
        log_envelope=np.tile(np.log(1e-3 * envelope), (len(f0), 1)).astype(np.float32),
        aperiodicity=aperiodicity.astype(np.float32),
        sample_rate=RATE,
    )


def spoken(seconds: float = 1.0) -> NDArray[np.float32]:
    """A consonant, a vowel, silence; at RATE."""
    f0 = np.full(round(seconds / FRAME_SECONDS), 180.0)
    f0[:20], f0[-30:] = 0.0, 0.0
    audio = synthesise(vowel(f0))
    audio[-25 * 80 :] *= 0.001
    return audio


def write_recordings(root: Path) -> Path:
    """A folder of one free voice and one that is not, their index, songs, a voice bank and a soundfont."""
    root.mkdir(parents=True, exist_ok=True)
    voice = np.tile(spoken(), 3)
    soundfile.write(root / "voice.wav", voice, RATE)
    soundfile.write(root / "other.wav", voice, RATE)
    (root / "index.csv").write_text(
        "path,corpus,split,role,stem,artist,song,seconds,sample_rate,channels,licence,clearly_free,labels\n"
        f"voice.wav,Turkish makam a cappella,train,vocals-only,vocals,ada,song,3.0,{RATE},1,CC0,yes,\n"
        f"other.wav,SSVD v2.0,train,vocals-only,vocals,bob,song,3.0,{RATE},1,,no,\n"
    )
    (root / "labels_only").mkdir()
    with tarfile.open(root / "labels_only" / "pop909_midi_100.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("pop909/001.mid")
        member.size = len(midi_song())
        archive.addfile(member, io.BytesIO(midi_song()))
    (root / "tiny.sf2").write_bytes(tiny_soundfont())
    (root / "bank").mkdir()
    words = np.concatenate((spoken(0.6), spoken(0.8)))
    soundfile.write(root / "bank" / "one.wav", words, RATE)
    with (root / "bank" / "units.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["speaker", "word", "path", "start", "end"],
                ["one", "la", "one.wav", 0, 0.6],
                ["one", "lo", "one.wav", 0.6, 1.4],
            ]
        )
    return root
