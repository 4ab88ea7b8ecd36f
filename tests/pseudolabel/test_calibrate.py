"""Calibration finds a temperature that is known, tells by how much it helps, and is not done twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tones import make_track, tone_model

from majl_cli.convert import PitchGrid
from majl_cli.errors import DataError, MajlError
from majl_cli.inference.workers import Stop
from majl_cli.metrics.reliability import TEMPERATURES
from majl_cli.pseudolabel import calibrate as module
from majl_cli.pseudolabel.calibrate import TrackFrames, calibrate, fit_temperature, judge_track
from majl_cli.pseudolabel.confidence import mass_near, posteriorgram
from majl_cli.pseudolabel.held_out import read_calibration, write_calibration


def overconfident_track(temperature: float, seed: int, frames: int = 1500) -> TrackFrames:
    """Frames with one peak whose true odds are its logit's over ``temperature``: it is right so often, not more."""
    generator = np.random.default_rng(seed)
    grid = PitchGrid()
    true_logit = generator.uniform(-1.0, 3.0, frames)
    salience = np.zeros((frames, grid.bins), np.float32)
    bins = generator.integers(100, 200, frames)
    salience[np.arange(frames), bins] = 1 / (1 + np.exp(-temperature * true_logit))
    right = generator.uniform(size=frames) < 1 / (1 + np.exp(-true_logit))
    confidence = np.stack(
        [mass_near(posteriorgram(salience, float(t))[0], grid, grid.frequencies[bins]) for t in TEMPERATURES], axis=1
    )
    return TrackFrames(confidence={"pitch": confidence, "stems": confidence}, right={"pitch": right, "stems": right})


@pytest.mark.parametrize("temperature", [0.5, 2.0, 3.0])
def test_a_known_temperature_is_found_and_makes_the_confidence_honest(temperature: float) -> None:
    frames = [overconfident_track(temperature, seed) for seed in range(4)]
    found = fit_temperature(frames, ["a", "b", "c", "d"])
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    part = found.held_out["pitch"]
    assert part.ece_before > 0.05
    assert part.ece_after < 0.02 < part.ece_before / 2
    assert part.ece_cross_validated < 0.03
    assert part.confidence.shape == part.right.shape == (6000,)
    assert part.confidence.mean() == pytest.approx(part.right.mean(), abs=0.02)


def test_what_is_calibrated_already_stays_as_it_is() -> None:
    found = fit_temperature([overconfident_track(1.0, seed) for seed in range(3)], ["a", "b", "c"])
    assert found.temperature == pytest.approx(1.0, rel=0.1)


def test_halves_are_judged_by_each_others_temperature() -> None:
    frames = [overconfident_track(1.0, 0), overconfident_track(3.0, 1)]
    crossed = fit_temperature(frames, ["a", "b"]).held_out["pitch"].ece_cross_validated
    own = max(fit_temperature([part], ["a"]).held_out["pitch"].ece_after for part in frames)
    assert own < 0.04 < 0.1 < crossed
    assert np.isnan(fit_temperature(frames[:1], ["a"]).held_out["pitch"].ece_cross_validated)


def test_a_track_is_judged_both_ways(tmp_path: Path) -> None:
    """A tone that is heard well, a separation that loses half of it: what is right follows from both."""
    track = make_track(tmp_path, "a", "full")
    for gain, noise_is_right in ((0.5, False), (0.95, True)):
        frames = judge_track(tone_model(gain), track, Stop())
        tone, noise, silence = (slice(10, 140), slice(160, 215), slice(235, 290))
        assert frames.right["pitch"][tone].all() and frames.right["pitch"][noise].all()
        middle = len(TEMPERATURES) // 2
        assert (frames.confidence["pitch"][tone, middle] > 0.3).all()
        assert frames.right["stems"][tone].all()  # a softer tone has the same pitch
        # Breath that nobody labels: half of it missing is an error of -6 dB, a twentieth of it one of -26 dB.
        assert (frames.right["stems"][noise] == noise_is_right).all()
        assert frames.right["stems"][silence].all()
        assert np.allclose(frames.confidence["stems"][noise], 1 - gain, atol=0.01)
        assert np.allclose(frames.confidence["stems"][silence], 1.0)


def test_a_wrong_label_makes_frames_wrong(tmp_path: Path) -> None:
    track = make_track(tmp_path, "a", "full")
    other = make_track(tmp_path / "other", "a", "full", frequency=330.0)
    frames = judge_track(tone_model(), dataclasses.replace(track, pitch=other.pitch), Stop())
    assert not frames.right["pitch"][10:140].any()
    assert not frames.right["stems"][10:140].any()
    assert (frames.confidence["stems"][10:140, len(TEMPERATURES) // 2] < 0.1).all()


def test_calibration_is_written_read_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [make_track(tmp_path, name, "full", 220.0 + 40 * n) for n, name in enumerate("abc")]
    judged: list[str] = []

    def fails_at_c(model: object, track: module.Track, stop: Stop) -> TrackFrames:
        judged.append(track.id)
        if track.id == "c" and judged.count("c") == 1:
            raise RuntimeError("killed")
        return judge_track(model, track, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "judge_track", fails_at_c)
    out = tmp_path / "out"
    with pytest.raises(MajlError, match="track c: killed"):
        calibrate(tone_model(), tracks, out)
    heard: list[str] = []
    result = calibrate(tone_model(), tracks, out, listener=lambda track: heard.append(track.id))
    assert judged == ["a", "b", "c", "c"]  # what was finished is not done again
    assert sorted(heard) == ["a", "b", "c"]
    assert sorted(path.name for path in out.iterdir()) == ["calibration.json", "calibration.npz", "settings.json"]
    again = calibrate(tone_model(), tracks, out)
    assert len(judged) == 4
    for found in (again, read_calibration(out)):
        assert found.temperature == result.temperature
        assert found.tracks == ("a", "b", "c")
        for kind, part in result.held_out.items():
            assert np.array_equal(found.held_out[kind].confidence, part.confidence)
            assert np.array_equal(found.held_out[kind].right, part.right)
            assert found.held_out[kind].ece_after == pytest.approx(part.ece_after, abs=1e-5)
    report = json.loads((out / "calibration.json").read_text())
    assert set(report) == {"temperature", "tracks", "model", "target", "pitch", "stems"}
    assert report["pitch"]["frames"] == len(result.held_out["pitch"].right)


def test_calibrating_with_other_tracks_another_model_or_none_is_refused(tmp_path: Path) -> None:
    track = make_track(tmp_path, "a", "full")
    out = tmp_path / "out"
    calibrate(tone_model(), [track], out)
    with pytest.raises(DataError, match="calibrated on other tracks"):
        calibrate(tone_model(), [track, make_track(tmp_path, "b", "full")], out)
    with pytest.raises(DataError, match="another checkpoint") as caught:
        calibrate(tone_model(0.25), [track], out)
    assert caught.value.hint
    unusable = [
        make_track(tmp_path, "m", "mss"),
        make_track(tmp_path, "p", "pe"),
        dataclasses.replace(track, octave_free=True),
        dataclasses.replace(track, pseudo="pitch"),
    ]
    with pytest.raises(DataError, match="no fully labelled track"):
        calibrate(tone_model(), unusable, tmp_path / "none")


def test_a_missing_or_damaged_calibration_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="calibration.json: cannot be read"):
        read_calibration(tmp_path)
    (tmp_path / "calibration.json").write_text('{"temperature": 1}')
    with pytest.raises(DataError, match="calibration not readable"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("left", [0, 3, 100, 300])
def test_a_calibration_cut_short_says_how_to_make_it_again(tmp_path: Path, left: int) -> None:
    calibration = fit_temperature([overconfident_track(1.0, 0, frames=100)], ["a"])
    write_calibration(tmp_path, calibration, {})
    path = tmp_path / "calibration.npz"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match="calibration not readable") as caught:
        read_calibration(tmp_path)
    assert caught.value.hint == "remove calibration.json there and run majl pseudolabel again"


def test_bytes_of_a_calibration_that_changed_are_noticed(tmp_path: Path) -> None:
    write_calibration(tmp_path, fit_temperature([overconfident_track(1.0, 0, frames=100)], ["a"]), {})
    path = tmp_path / "calibration.npz"
    damaged = bytearray(path.read_bytes())
    damaged[80:200] = bytes(120)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="calibration not readable"):
        read_calibration(tmp_path)
