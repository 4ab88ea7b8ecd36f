"""Notes to MIDI, and back with mido."""

from __future__ import annotations

from types import SimpleNamespace

import mido
import numpy as np
import pytest

from majl_cli.convert import midi_to_frequency
from majl_cli.inference.notes import Note, f0_to_notes
from majl_cli.report.midi import write_midi

HOP = 0.01


def tone(seconds, *, vibrato=0.0):
    """(times, f0) of one note, A4."""
    times = np.arange(round(seconds / HOP)) * HOP
    return times, midi_to_frequency(69 + vibrato * np.sin(2 * np.pi * 5.5 * times))


def test_midi_reads_back_as_the_notes(tmp_path):
    notes = [
        Note(start=0.1, end=0.5, midi=60, frequency=261.6),
        Note(start=0.5, end=1.25, midi=64, frequency=329.6),
        Note(start=1.5, end=2.0, midi=64, frequency=329.6),
    ]
    write_midi(notes, tmp_path / "a.mid", title="歌 ♯.wav")
    read, now, started = [], 0.0, {}
    file = mido.MidiFile(tmp_path / "a.mid", charset="utf-8")
    for message in file:
        now += message.time
        if message.type == "note_on":
            started[message.note] = now
        elif message.type == "note_off":
            read.append((started.pop(message.note), now, message.note))
    assert started == {}
    np.testing.assert_allclose(read, [(note.start, note.end, note.midi) for note in notes], atol=1e-3)
    assert file.tracks[0].name == "歌 ♯.wav"


def test_pitch_bends_follow_the_voice(tmp_path):
    times, f0 = tone(1.0, vibrato=0.5)
    notes = f0_to_notes(times, f0)
    write_midi(notes, tmp_path / "a.mid", bends=SimpleNamespace(times=times, f0=f0))
    messages = list(mido.MidiFile(tmp_path / "a.mid"))
    bends = np.array([message.pitch for message in messages if message.type == "pitchwheel"]) / 8192 * 2
    assert len(bends) > 50
    assert bends.max() == pytest.approx(0.5, abs=0.02) and bends.min() == pytest.approx(-0.5, abs=0.02)
    kinds = [message.type for message in messages]
    assert kinds.index("pitchwheel") < kinds.index("note_on")


def test_a_bend_beyond_the_wheel_stays_at_its_end(tmp_path):
    times, f0 = tone(0.5)
    f0[20:24] *= 2
    write_midi(f0_to_notes(times, f0), tmp_path / "a.mid", bends=SimpleNamespace(times=times, f0=f0))
    wheel = [message.pitch for message in mido.MidiFile(tmp_path / "a.mid") if message.type == "pitchwheel"]
    assert max(wheel) == 8191


def test_midi_without_notes_is_a_valid_file(tmp_path):
    write_midi([], tmp_path / "a.mid")
    assert mido.MidiFile(tmp_path / "a.mid").length == 0
