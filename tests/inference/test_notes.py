"""f0 to notes, on melodies whose notes are known."""

from __future__ import annotations

import numpy as np
import pytest

from majl_cli.convert import midi_to_frequency
from majl_cli.inference.notes import f0_to_notes, pitched_intervals

HOP = 0.01
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def melody(notes, seconds=0.4, *, vibrato=0.0, rate=5.5, gap=0.0, offset=0.0):
    """(times, f0) of notes one after another, each followed by ``gap`` s of silence."""
    sung, silent = round(seconds / HOP), round(gap / HOP)
    pitch = np.concatenate([[note] * sung + [np.nan] * silent for note in notes]).astype(float)
    times = np.arange(len(pitch)) * HOP
    pitch += offset + vibrato * np.sin(2 * np.pi * rate * times)
    return times, np.nan_to_num(midi_to_frequency(pitch))


@pytest.mark.parametrize("vibrato", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_a_scale_sung_with_vibrato_gives_its_notes(vibrato, gap):
    notes = f0_to_notes(*melody(SCALE, vibrato=vibrato, gap=gap))
    assert [note.midi for note in notes] == SCALE
    starts = np.arange(len(SCALE)) * (0.4 + gap)
    np.testing.assert_allclose([note.start for note in notes], starts, atol=0.06)
    np.testing.assert_allclose([note.end for note in notes], starts + 0.4, atol=0.06)


@pytest.mark.parametrize("offset", [-0.45, -0.2, 0.2, 0.45])
def test_a_singer_in_another_tuning_gets_the_same_steps(offset):
    notes = f0_to_notes(*melody(SCALE, vibrato=0.4, offset=offset))
    assert np.diff([note.midi for note in notes]).tolist() == np.diff(SCALE).tolist()


def test_notes_do_not_overlap():
    notes = f0_to_notes(*melody(SCALE, vibrato=0.5))
    assert all(note.end <= after.start for note, after in zip(notes[:-1], notes[1:], strict=True))


def test_a_gap_parts_a_repeated_note_and_a_dropped_frame_does_not():
    times, f0 = melody([69], seconds=1.0)
    f0[30:33] = 0
    assert len(f0_to_notes(times, f0)) == 1
    f0[60:66] = 0
    assert [note.midi for note in f0_to_notes(times, f0)] == [69, 69]


def test_a_short_octave_error_is_swallowed():
    times, f0 = melody([69], seconds=1.0)
    f0[50:54] *= 2
    notes = f0_to_notes(times, f0)
    assert [(note.midi, note.frequency) for note in notes] == [(69, pytest.approx(440))]


def test_a_lonely_blip_is_dropped():
    times, f0 = melody([69], seconds=1.0)
    f0[:] = 0
    f0[50:54] = 440
    assert f0_to_notes(times, f0) == []


def test_a_short_passing_note_is_kept():
    times = np.arange(68) * HOP
    f0 = midi_to_frequency([60.0] * 30 + [62] * 8 + [64] * 30)
    assert [note.midi for note in f0_to_notes(times, f0)] == [60, 62, 64]


@pytest.mark.parametrize("frames", [0, 1, 50])
def test_no_voice_gives_no_notes(frames):
    assert f0_to_notes(np.arange(frames) * HOP, np.zeros(frames)) == []


def test_notes_as_arrays_keep_their_order_and_an_empty_list_its_shape():
    intervals, frequencies = pitched_intervals(f0_to_notes(*melody([60, 64, 67])))
    np.testing.assert_allclose(intervals, [[0, 0.395], [0.395, 0.795], [0.795, 1.195]], atol=1e-9)
    np.testing.assert_allclose(frequencies, midi_to_frequency([60, 64, 67]))
    intervals, frequencies = pitched_intervals([])
    assert (intervals.shape, frequencies.shape) == ((0, 2), (0,))
