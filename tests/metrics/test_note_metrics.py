"""Note measures against pairs counted by hand, mir_eval, and two annotators of the same song."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import mir_eval
import numpy as np
import pytest
from numpy.typing import NDArray

from majl_cli.data.labels import read_csv
from majl_cli.errors import DataError
from majl_cli.inference.notes import f0_to_notes, pitched_intervals
from majl_cli.metrics.names import METRICS
from majl_cli.metrics.notes import NoteScores, note_scores

Floats = NDArray[np.float64]
INTERVALS = np.array([[0.0, 0.5], [0.5, 1.0], [1.0, 2.0], [2.0, 2.1]])
PITCHES = np.array([220.0, 247.0, 262.0, 294.0])


def random_notes(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    onsets = np.sort(rng.uniform(0.1, 20, count))
    return np.stack([onsets, onsets + rng.uniform(0.25, 1, count)], axis=1), 220 * 2 ** (rng.integers(0, 4, count) / 12)


def vocadito_notes(path: Path) -> tuple[Floats, Floats]:
    """Rows of onset s, frequency Hz, duration s."""
    rows = np.loadtxt(path, delimiter=",")
    return np.stack([rows[:, 0], rows[:, 0] + rows[:, 2]], axis=1), rows[:, 1]


def test_counted_by_hand() -> None:
    # Right in all; an end 110 ms late, beyond 20 % of 0.5 s; 60 cents off; 60 ms late; one too many.
    intervals = [[0.04, 0.5], [0.5, 1.11], [1.0, 2.0], [2.06, 2.16], [3.0, 4.0]]
    result = note_scores(INTERVALS, PITCHES, intervals, [*PITCHES * 2 ** (np.array([40, 0, 60, 0]) / 1200), 300])
    assert (result.con_precision, result.con_recall) == (3 / 5, 3 / 4)
    assert (result.conp_precision, result.conp_recall) == (2 / 5, 2 / 4)
    assert (result.conpoff_precision, result.conpoff_recall) == (1 / 5, 1 / 4)
    f1 = [2 * right / (4 + 5) for right in (3, 2, 1)]
    assert (result.con_f1, result.conp_f1, result.conpoff_f1) == pytest.approx(tuple(f1))
    assert (result.reference_notes, result.estimate_notes) == (4, 5)


def test_the_end_of_a_long_note_has_a_fifth_of_its_length_to_be_right() -> None:
    for late, right in ((0.19, 1.0), (0.21, 0.0)):
        result = note_scores([[0.0, 1.0]], [220.0], [[0.0, 1.0 + late]], [220.0])
        assert (result.conp_f1, result.conpoff_f1) == (1.0, right)


def test_a_note_in_two_pieces_counts_once() -> None:
    result = note_scores([[0.0, 1.0]], [220.0], [[0.0, 0.02], [0.03, 1.0]], [220.0, 220.0])
    assert (result.conpoff_precision, result.conpoff_recall) == (0.5, 1.0)


def test_perfect_notes_are_perfect_in_any_order() -> None:
    order = [2, 0, 3, 1]
    result = dataclasses.asdict(note_scores(INTERVALS, PITCHES, INTERVALS[order], PITCHES[order]))
    counts = {result.pop("reference_notes"), result.pop("estimate_notes")}
    assert set(result.values()) == {1.0} and counts == {4}


@pytest.mark.parametrize("seed", range(10))
def test_equals_mir_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    intervals, pitches = random_notes(rng, 80)
    extra = random_notes(rng, 40)
    moved, mistuned = intervals + rng.uniform(-0.1, 0.1, (80, 2)), pitches * rng.choice([1, 1, 1.02, 1.06], 80)
    reference = (intervals, pitches)
    estimate = (np.concatenate([moved, extra[0]]), np.concatenate([mistuned, extra[1]]))
    result = note_scores(*reference, *estimate)
    expected = mir_eval.transcription.evaluate(*reference, *estimate)
    assert result.con_f1 == expected["Onset_F-measure"]
    assert result.conp_precision == expected["Precision_no_offset"]
    assert result.conp_recall == expected["Recall_no_offset"]
    assert result.conp_f1 == expected["F-measure_no_offset"]
    assert result.conpoff_precision == expected["Precision"]
    assert result.conpoff_recall == expected["Recall"]
    assert result.conpoff_f1 == expected["F-measure"]
    assert 0 < result.conpoff_f1 < result.conp_f1 < result.con_f1 < 1


def test_what_onsets_and_pitches_forgive() -> None:
    for shift, forgiven in ((0.049, 1.0), (0.051, 0.0)):
        assert note_scores(INTERVALS, PITCHES, INTERVALS + shift, PITCHES).con_f1 == forgiven
    for cents, forgiven in ((49, 1.0), (51, 0.0)):
        result = note_scores(INTERVALS, PITCHES, INTERVALS, PITCHES * 2 ** (cents / 1200))
        assert (result.con_f1, result.conp_f1) == (1.0, forgiven)


def test_no_reference_gives_nan_and_no_estimate_zero() -> None:
    for estimate in ((INTERVALS, PITCHES), (np.zeros((0, 2)), []), ([], [])):
        result = dataclasses.asdict(note_scores([], [], *estimate))
        assert (result.pop("reference_notes"), result.pop("estimate_notes")) == (0, len(estimate[1]))
        assert all(math.isnan(value) for value in result.values())
    result = dataclasses.asdict(note_scores(INTERVALS, PITCHES, [], []))
    assert (result.pop("reference_notes"), result.pop("estimate_notes")) == (4, 0)
    assert set(result.values()) == {0.0}


@pytest.mark.parametrize(
    ("intervals", "pitches", "message"),
    [
        (INTERVALS, PITCHES[:3], "do not belong together"),
        (INTERVALS.ravel(), PITCHES, "do not belong together"),
        (INTERVALS[:, ::-1], PITCHES, "from 0.5 s to 0 s"),
        (INTERVALS - 1, PITCHES, "from -1 s to -0.5 s"),
        (INTERVALS, PITCHES * 0, "a note of 0 Hz"),
        (INTERVALS, PITCHES * np.nan, "not finite"),
    ],
)
def test_malformed_notes_are_refused(intervals: Floats, pitches: Floats, message: str) -> None:
    for side, arguments in (
        ("reference", (intervals, pitches, INTERVALS, PITCHES)),
        ("estimate", (INTERVALS, PITCHES, intervals, pitches)),
    ):
        with pytest.raises(DataError, match=f"{side}: .*{message}"):
            note_scores(*arguments)


def test_every_score_has_a_name() -> None:
    counts = {"reference_notes", "estimate_notes"}
    assert {field.name for field in dataclasses.fields(NoteScores)} - counts <= METRICS.keys()


def test_notes_of_an_f0_curve_are_those_it_was_made_of() -> None:
    times = np.arange(210) * 0.01
    f0 = np.zeros(210)
    for (onset, offset), pitch in zip(INTERVALS, PITCHES, strict=True):
        f0[round(onset * 100) : round(offset * 100)] = pitch
    assert note_scores(INTERVALS, PITCHES, *pitched_intervals(f0_to_notes(times, f0))).conpoff_f1 == 1.0


@pytest.mark.data
def test_two_annotators_of_vocadito_agree_as_was_counted_once(shared_data: Path) -> None:
    first, second = (vocadito_notes(shared_data / "vocadito" / f"vocadito_1_notes{name}.csv") for name in ("A1", "A2"))
    result = note_scores(*first, *second)
    assert dataclasses.asdict(result) == pytest.approx(
        {
            "con_precision": 53 / 64,
            "con_recall": 53 / 59,
            "con_f1": 106 / 123,
            "conp_precision": 53 / 64,
            "conp_recall": 53 / 59,
            "conp_f1": 106 / 123,
            "conpoff_precision": 45 / 64,
            "conpoff_recall": 45 / 59,
            "conpoff_f1": 90 / 123,
            "reference_notes": 59,
            "estimate_notes": 64,
        }
    )
    # The other way round precision and recall change places.
    assert note_scores(*second, *first).conpoff_recall == result.conpoff_precision


@pytest.mark.data
def test_notes_of_the_annotated_f0_agree_with_annotators_as_they_do_with_each_other(shared_data: Path) -> None:
    times, f0, _ = read_csv(shared_data / "vocadito" / "vocadito_1_f0.csv")
    reference = vocadito_notes(shared_data / "vocadito" / "vocadito_1_notesA1.csv")
    result = note_scores(*reference, *pitched_intervals(f0_to_notes(times, f0)))
    assert (result.con_f1, result.conp_f1, result.conpoff_f1) == pytest.approx((106 / 119, 104 / 119, 86 / 119))
