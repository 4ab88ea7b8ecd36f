"""Labels known up to octaves: each note goes where the separated voice has its mass."""

from __future__ import annotations

import numpy as np

from majl_cli.pseudolabel.listening import Heard
from majl_cli.pseudolabel.octaves import OCTAVES, resolve_octaves


def heard_with(label: np.ndarray, known: np.ndarray, best: list[int | None]) -> Heard:
    """Frames of 10 ms at which the mass lies on these octaves of the label, None for nowhere."""
    near = np.zeros((len(label), 1, len(OCTAVES)))
    for n, octave in enumerate(best):
        if octave is not None:
            near[n, 0, OCTAVES.index(octave)] = 0.9
    frames = len(label)
    return Heard(
        times=np.arange(frames) / 100, frequency=np.full(frames, 100.0), voiced=np.ones(frames, bool),
        own=np.zeros((frames, 1)), label=label, known=known, near=near,
    )  # fmt: skip


def test_each_note_takes_the_octave_of_most_of_its_mass() -> None:
    times = np.arange(9) / 100
    label = np.array([200.0, 200.0, 200.0, 0.0, 300.0, 302.0, 304.0, 400.0, 400.0])
    known = np.ones(9, bool)
    heard = heard_with(label, known, [1, 1, 0, None, -1, -1, -1, None, None])
    (_, moved, still_known), after = resolve_octaves((times, label, known), heard)
    assert moved.tolist() == [400, 400, 400, 0, 150, 151, 152, 400, 400]
    assert still_known.all()
    assert np.allclose(after.label, moved)
    # The mass is that near the chosen octave: the third frame spoke for another one.
    assert after.near[:, 0, 0].tolist() == [0.9, 0.9, 0.0, 0.0, 0.9, 0.9, 0.9, 0.0, 0.0]
    assert after.near.shape == (9, 1, 1)


def test_notes_a_semitone_apart_are_two_and_a_rest_parts_them() -> None:
    times = np.arange(6) / 100
    label = np.array([200.0, 200.0, 211.9, 211.9, 0.0, 211.9])
    heard = heard_with(label, np.ones(6, bool), [0, 0, 1, 1, None, -1])
    (_, moved, _), _ = resolve_octaves((times, label, np.ones(6, bool)), heard)
    assert np.allclose(moved, [200.0, 200.0, 423.8, 423.8, 0.0, 105.95])


def test_unknown_frames_have_no_say() -> None:
    times = np.arange(3) / 100
    label, known = np.full(3, 200.0), np.array([False, False, True])
    heard = heard_with(label, known, [1, 1, -1])
    (_, moved, _), _ = resolve_octaves((times, label, known), heard)
    assert moved.tolist() == [100.0, 100.0, 100.0]
