"""Tracks laid out for scoring: what is written is what the manifest means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_tracks import RATE, backing, voice, write_track

from majl_cli.data.manifest import Stem
from majl_cli.errors import AudioError, DataError
from majl_cli.evaluation.prepared import prepare_track
from majl_cli.metrics.separation import global_sdr

STEMS = ("vocals", "accompaniment")


def energy_db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.square(audio, dtype=np.float64).sum()))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0])
def test_stems_are_mixed_at_the_level_asked_for(tmp_path: Path, snr_db: float) -> None:
    prepared = prepare_track(write_track(tmp_path, "song"), tmp_path / "work", stems=STEMS, snr_db=snr_db)
    vocals, accompaniment, mixture = (
        soundfile.read(path, dtype="float32")[0] for path in (*prepared.references.values(), prepared.mixture)
    )
    assert energy_db(vocals) - energy_db(accompaniment) == pytest.approx(snr_db, abs=1e-3)
    assert np.abs(vocals + accompaniment - mixture).max() < 1e-6
    assert np.array_equal(vocals, voice(3.0))
    assert global_sdr(estimate=mixture, reference=vocals) == pytest.approx(snr_db, abs=1e-3)


def test_without_a_level_the_stems_are_as_they_are(tmp_path: Path) -> None:
    prepared = prepare_track(write_track(tmp_path, "song"), tmp_path / "work", stems=STEMS)
    assert np.array_equal(soundfile.read(prepared.references["accompaniment"], dtype="float32")[0], backing(3.0))
    assert (prepared.sample_rate, prepared.channels, prepared.samples) == (RATE, 1, 3 * RATE)


def test_a_track_with_a_mixture_of_its_own_keeps_it(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    mixture = 0.5 * (voice(3.0) + backing(3.0))
    soundfile.write(tmp_path / "mix.wav", mixture, RATE, subtype="FLOAT")
    track = replace(track, mixture=Stem(path=tmp_path / "mix.wav"))
    prepared = prepare_track(track, tmp_path / "work", stems=STEMS)
    assert np.allclose(soundfile.read(prepared.mixture)[0], mixture)
    # Mixed anew at 0 dB it is the sum of the stems.
    prepared = prepare_track(track, tmp_path / "work", stems=STEMS, snr_db=0.0)
    assert not np.allclose(soundfile.read(prepared.mixture)[0], mixture, atol=1e-3)


def test_accompaniment_is_the_mixture_less_the_vocals_where_nothing_else_is_known(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    soundfile.write(tmp_path / "mix.wav", voice(3.0) + backing(3.0), RATE, subtype="FLOAT")
    track = replace(track, stems={"vocals": track.stems["vocals"]}, mixture=Stem(path=tmp_path / "mix.wav"))
    prepared = prepare_track(track, tmp_path / "work", stems=STEMS)
    assert np.abs(soundfile.read(prepared.references["accompaniment"])[0] - backing(3.0)).max() < 1e-6
    louder = prepare_track(track, tmp_path / "work", stems=STEMS, snr_db=-20.0)
    vocals, accompaniment = (soundfile.read(path)[0] for path in louder.references.values())
    assert np.array_equal(vocals.astype(np.float32), voice(3.0))
    assert energy_db(vocals) - energy_db(accompaniment) == pytest.approx(-20.0, abs=1e-3)


def test_four_stems_add_up_to_the_accompaniment(tmp_path: Path) -> None:
    parts = {
        name: 0.1 * np.random.default_rng(i).standard_normal(RATE).astype(np.float32)
        for i, name in enumerate(("vocals", "drums", "bass", "other"))
    }
    for name, audio in parts.items():
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE, subtype="FLOAT")
    track = replace(write_track(tmp_path, "song"), stems={name: Stem(path=tmp_path / f"{name}.wav") for name in parts})
    prepared = prepare_track(track, tmp_path / "work", stems=("vocals", "drums", "accompaniment"))
    assert list(prepared.references) == ["vocals", "drums", "accompaniment"]
    found = soundfile.read(prepared.references["accompaniment"], dtype="float32")[0]
    assert np.abs(found - (parts["drums"] + parts["bass"] + parts["other"])).max() < 1e-6


def test_a_stem_shorter_than_the_others_is_padded_and_channels_are_those_of_the_widest(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    soundfile.write(tmp_path / "song/accompaniment.wav", np.stack([backing(2.0)] * 2, axis=1), RATE, subtype="FLOAT")
    prepared = prepare_track(track, tmp_path / "work", stems=STEMS)
    assert (prepared.channels, prepared.samples) == (2, 3 * RATE)
    accompaniment = soundfile.read(prepared.references["accompaniment"])[0]
    assert accompaniment.shape == (3 * RATE, 2) and not accompaniment[2 * RATE :].any()


def test_a_mixture_alone_is_the_one_that_goes_with_the_stems(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    wide = np.stack([backing(3.0), 0.2 * backing(3.0, seed=1)], axis=1)
    soundfile.write(tmp_path / "song/accompaniment.wav", wide, RATE, subtype="FLOAT")
    with_stems = prepare_track(track, tmp_path / "one", stems=STEMS, snr_db=0.0)
    alone = prepare_track(track, tmp_path / "two", stems=(), snr_db=0.0)
    assert alone.channels == 2
    assert np.array_equal(soundfile.read(alone.mixture)[0], soundfile.read(with_stems.mixture)[0])


def test_a_silent_voice_is_mixed_as_it_is(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    soundfile.write(tmp_path / "song/vocals.wav", np.zeros(3 * RATE), RATE)
    prepared = prepare_track(track, tmp_path / "work", stems=STEMS, snr_db=0.0)
    assert np.allclose(soundfile.read(prepared.mixture)[0], backing(3.0))


def test_what_cannot_be_laid_out_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    track = write_track(tmp_path, "song")
    only_mixture = replace(track, stems={}, mixture=track.stems["vocals"])
    with pytest.raises(DataError, match="cannot be mixed at 0 dB"):
        prepare_track(only_mixture, tmp_path / "work", stems=STEMS, snr_db=0.0)
    assert prepare_track(only_mixture, tmp_path / "work", stems=STEMS).references == {}
    with pytest.raises(DataError, match="its track song says 8000 Hz"):
        prepare_track(replace(track, sample_rate=8000), tmp_path / "other", stems=STEMS)
    (tmp_path / "song/accompaniment.wav").unlink()
    with pytest.raises(AudioError, match="no such file"):
        prepare_track(track, tmp_path / "other", stems=STEMS)
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]
