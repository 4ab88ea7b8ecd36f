"""Suites: their tracks are found or made from a folder of recordings, once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings_folder import MUSIC, SETS, VOICE, write_recordings

from majl_cli.data.recordings import read_index
from majl_cli.errors import DataError, UsageError
from majl_cli.evaluation.melody_scoring import note_labels
from majl_cli.evaluation.suites import excerpts, find_suite
from majl_cli.evaluation.suites.benchmark_set import Recordings
from majl_cli.metrics.names import METRICS


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recordings:
    root = write_recordings(tmp_path / "recordings", monkeypatch)
    return Recordings(root=root, rows=read_index(root), made=tmp_path / "made")


def test_every_set_has_its_tracks_and_columns_that_are_scored(recordings: Recordings) -> None:
    counts = {item.name: len(item.tracks(recordings)) for item in find_suite("dev")}
    assert counts == {**dict.fromkeys(SETS, 1), "vocadito-notes": 2}
    for item in find_suite("dev"):
        parts = {"mixture": {"melody", "notes"}, "vocals": {"melody_clean", "notes_clean"}}
        known = set(item.protocol.stems).union(*(parts[name] for name in item.inputs))
        for column in item.columns:
            part, _, metric = column.key.partition("/")
            assert part in known and metric in METRICS


def test_mixtures_are_at_0_db_without_rumble_and_made_once(recordings: Recordings) -> None:
    (track,) = excerpts.fixed_mixtures(recordings)
    parts = {stem: soundfile.read(track.stems[stem].path)[0] for stem in ("vocals", "accompaniment")}
    assert {audio.shape for audio in parts.values()} == {(44100, 2)}
    vocals, music = (np.square(audio).sum() for audio in parts.values())
    assert 10 * np.log10(vocals / music) == pytest.approx(0, abs=1e-4)
    assert (track.id, track.corpus, track.split) == ("part_1_over_awakening", "Turkish makam a cappella", "validation")
    path = track.stems["vocals"].path
    before = path.stat().st_mtime_ns
    excerpts.fixed_mixtures(recordings)
    assert path.stat().st_mtime_ns == before
    os.utime(recordings.root / VOICE, (1, 1))
    excerpts.fixed_mixtures(recordings)
    assert path.stat().st_mtime_ns != before


def test_rumble_goes_and_the_voice_stays() -> None:
    time = np.arange(44100) / 44100
    rumble, voice = (np.float32(np.sin(2 * np.pi * f * time))[:, None] for f in (40.0, 200.0))
    inside = slice(4410, -4410)
    assert np.abs(excerpts.without_rumble(rumble)[inside]).max() < 0.01
    np.testing.assert_allclose(excerpts.without_rumble(voice)[inside], voice[inside], atol=0.01)


def test_the_packaged_mixtures_are_twelve_of_twenty_seconds() -> None:
    items = json.loads(excerpts.MIXTURES.read_text(encoding="utf-8"))
    assert len({item["name"] for item in items}) == 12
    assert {item["seconds"] for item in items} == {20.0}


def test_notes_of_both_annotators_are_read_in_hz_and_durations(recordings: Recordings) -> None:
    tracks = next(item for item in find_suite("dev") if item.name == "vocadito-notes").tracks(recordings)
    assert [track.id for track in tracks] == ["vocadito_1_A1", "vocadito_1_A2"]
    (note,) = note_labels(tracks[0]) or []
    assert (note.onset, note.offset, note.midi) == (0.0, 1.5, pytest.approx(57.0))


def test_what_is_missing_is_named(recordings: Recordings) -> None:
    (recordings.root / MUSIC).unlink()
    with pytest.raises(DataError, match="instrumental/singularity_awakening.ogg is missing"):
        excerpts.fixed_mixtures(recordings)
    with pytest.raises(UsageError, match="no suite 'test'") as caught:
        find_suite("test")
    assert caught.value.hint == "use one of dev"
