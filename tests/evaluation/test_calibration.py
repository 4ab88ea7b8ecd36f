"""A model whose confidences are known by construction: its best threshold, calibration error and octave errors too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from majl_cli.convert import PitchGrid
from majl_cli.data.manifest import Stem, Track
from majl_cli.device import Runtime
from majl_cli.errors import AudioError, DataError
from majl_cli.evaluation.calibration.choose import VoicingCalibration, choose
from majl_cli.evaluation.calibration.measure import OWN_ACCOMPANIMENTS, measure
from majl_cli.evaluation.calibration.tracks import select
from majl_cli.inference.session import Model
from majl_cli.metrics.voicing import OctaveErrors
from majl_cli.models.checkpoint import CheckpointInfo
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.joint import JointModel

RATE, HOP, BIN = 8000, 80, 120
SUNG = float(PitchGrid().frequencies[BIN])
# Each part of a second has one level, which is the confidence of its frames, and a label.
PARTS = ((0.8, SUNG), (0.6, SUNG / 2), (0.3, 0.0), (0.1, 0.0))


class Passing(SeparationModule):
    """The vocals are the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.channels, self.stems, self.segment, self.context = RATE, 1, ("vocals",), 1.0, 0.0

    def forward(self, mixture: Tensor) -> Tensor:
        return mixture[:, None]


class LevelPitch(PitchModule):
    """Always the same pitch; the confidence is the magnitude of the one sample a frame is centred on."""

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.stride, self.segment, self.context = RATE, HOP, HOP, 2.0, 0.1
        self.grid, self.voicing_threshold, self.frequency_range = PitchGrid(), 0.2, (50.0, 1000.0)

    def forward(self, audio: Tensor) -> Tensor:
        level = audio.abs()[:, ::HOP].clamp(1e-4, 1 - 1e-4)
        frames = audio.shape[-1] // HOP + 1
        logits = torch.full((len(audio), frames, self.grid.bins), -30.0)
        logits[:, : level.shape[1], BIN] = torch.log(level / (1 - level))
        return logits


def level_model() -> Model:
    info = CheckpointInfo(name="levels", folder=Path(), architecture={})
    return Model(
        JointModel(Passing(), LevelPitch()), info, Runtime(device=torch.device("cpu"), precision="float32", threads=1)
    )


def make_track(folder: Path, name: str, *, accompaniment: float | None = None) -> Track:
    """One second of ``PARTS``, and an accompaniment of one level."""
    level = np.repeat([part for part, _ in PARTS], RATE // 4)
    soundfile.write(folder / f"{name}.wav", level, RATE, subtype="FLOAT")
    stems = {"vocals": Stem(path=folder / f"{name}.wav")}
    if accompaniment is not None:
        soundfile.write(folder / f"{name}-band.wav", np.full(RATE, accompaniment), RATE, subtype="FLOAT")
        stems["accompaniment"] = Stem(path=folder / f"{name}-band.wav")
    rows = [f"{n / 100:.2f},{PARTS[min(n // 25, 3)][1]:.4f}\n" for n in range(100)]
    (folder / f"{name}.csv").write_text("time,frequency\n" + "".join(rows))
    return Track(
        id=name,
        corpus="levels",
        labels="vocals" if accompaniment is None else "full",
        split="validation",
        stems=stems,
        pitch=folder / f"{name}.csv",
        sample_rate=RATE,
        channels=1,
        duration=1.0,
    )


def make_accompaniment(folder: Path, level: float) -> Track:
    soundfile.write(folder / "band.wav", np.full((RATE, 2), level), RATE, subtype="FLOAT")
    return Track(
        id="band",
        corpus="bands",
        labels="accompaniment",
        split="validation",
        stems={"accompaniment": Stem(path=folder / "band.wav")},
        sample_rate=RATE,
        channels=2,
        duration=1.0,
    )


def calibrated(tracks: list[Track], *, snr_db: tuple[float, ...] = (0.0,)) -> VoicingCalibration:
    model = level_model()
    chosen = select(tracks, target="vocals", split="validation", snr_db=snr_db)
    return choose(measure(model, chosen), model.joint.pitch.voicing_threshold)


def test_threshold_errors_and_octaves_are_those_known_by_hand(tmp_path: Path) -> None:
    """Sung at 0.8 (right) and 0.6 (an octave too high), not sung at 0.3 and 0.1: 0.31 to 0.6 part them; OA asks for
    more than 0.6, since what is an octave off counts nothing, and gains nothing by being called unvoiced."""
    found = calibrated([make_track(tmp_path, "a"), make_track(tmp_path, "b")])
    (vocals,) = found.inputs
    assert (vocals.input, found.before) == ("vocals", 0.2)
    assert found.chosen == pytest.approx(0.46)  # the middle of 0.31 to 0.60
    assert (vocals.chosen.f1, vocals.chosen.vr, vocals.chosen.vfa) == (1.0, 1.0, 0.0)
    assert vocals.before.vfa == pytest.approx(0.5, abs=0.02)
    assert vocals.before.f1 == pytest.approx(2 * 100 / (2 * 100 + 50), abs=0.01)
    assert vocals.chosen.oa == pytest.approx(0.75, abs=0.01)
    assert vocals.rpa == pytest.approx(0.5)
    assert vocals.octaves == OctaveErrors(frames=100, up=50, down=0, other=0)
    # Of four equal parts |0.8 - 1|, |0.6 - 0|, |0.3 - 0| and |0.1 - 0|.
    assert vocals.ece == pytest.approx((0.2 + 0.6 + 0.3 + 0.1) / 4, abs=0.01)
    assert [round(part.right, 6) for part in vocals.reliability if part.frames > 10] == [0, 0, 0, 1]


def test_a_temperature_lowers_the_calibration_error(tmp_path: Path) -> None:
    """Right at 0.8 and not sung at 0.3 and 0.1, without the octave error: such a model may be far surer."""
    track = make_track(tmp_path, "a")
    assert track.pitch is not None
    text = track.pitch.read_text()
    track.pitch.write_text(text.replace(f"{SUNG / 2:.4f}", f"{SUNG:.4f}"))
    found = calibrated([track])
    assert found.temperature < 0.5
    assert found.inputs[0].ece_at_temperature < found.inputs[0].ece / 3


def test_mixtures_and_vocals_choose_by_the_mean_of_both(tmp_path: Path) -> None:
    """The accompaniment lifts what is not sung in the mixtures, so that alone they would choose a higher threshold."""
    tracks = [make_track(tmp_path, "a", accompaniment=0.2)]
    # Energies as they are: vocals 0.275, accompaniment 0.04 per sample.
    as_it_is = float(10 * np.log10(np.mean([part**2 for part, _ in PARTS]) / 0.04))
    found = calibrated(tracks, snr_db=(as_it_is, as_it_is + 20))
    by_name = {part.input: part for part in found.inputs}
    names = ["mixture", "vocals", f"mixture at {as_it_is:g} dB", f"mixture at {as_it_is + 20:g} dB"]
    assert list(by_name) == names
    # In the mixtures 0.3 becomes 0.5 and 0.32, 0.6 becomes 0.8 and 0.62.
    assert by_name[names[2]].best_f1.threshold == pytest.approx(0.66, abs=0.011)
    assert by_name["vocals"].best_f1.threshold == pytest.approx(0.46)
    assert by_name["mixture"].frames == 2 * by_name["vocals"].frames
    assert 0.5 < found.chosen <= 0.6  # all three are parted
    assert all(part.chosen.f1 == 1.0 for part in found.inputs)
    assert [part.input for part in found.overall] == ["mixture", "vocals"]


def test_voices_found_where_nobody_sings_are_shown(tmp_path: Path) -> None:
    tracks = [make_track(tmp_path, "a", accompaniment=0.25), make_track(tmp_path, "b", accompaniment=0.5)]
    found = calibrated([*tracks, make_accompaniment(tmp_path, 0.3)])
    rows = {(part.name, part.input): part for part in found.unsung}
    noise = "white noise at -60 dBFS"
    assert set(rows) == {
        ("silence", "mixture"), ("silence", "vocals"), (noise, "mixture"), (noise, "vocals"),
        (OWN_ACCOMPANIMENTS, "mixture"), ("band", "mixture"),
    }  # fmt: skip
    silence = rows["silence", "mixture"]
    assert (silence.voiced_chosen, silence.level_dbfs, silence.vocals_dbfs) == (0.0, -np.inf, -np.inf)
    assert silence.passes
    assert rows[noise, "vocals"].passes and np.isnan(rows[noise, "vocals"].leak_db)
    # This model leaves all of it in the vocals, faint as it is.
    assert rows[noise, "mixture"].voiced_chosen == 0.0
    assert rows[noise, "mixture"].level_dbfs == pytest.approx(-60.0, abs=0.1)
    assert rows[noise, "mixture"].leak_db == pytest.approx(0.0, abs=1e-6)
    assert not rows[noise, "mixture"].passes
    band, own = rows["band", "mixture"], rows[OWN_ACCOMPANIMENTS, "mixture"]
    assert (band.voiced_before, band.voiced_chosen) == pytest.approx((1.0, 0.0), abs=0.02)
    assert band.level_dbfs == pytest.approx(20 * np.log10(0.3), abs=0.01)
    assert not band.passes
    assert own.seconds == pytest.approx(2.0)
    assert own.level_dbfs == pytest.approx(10 * np.log10((0.25**2 + 0.5**2) / 2), abs=0.01)


def test_only_tracks_that_can_tell_are_taken(tmp_path: Path) -> None:
    track = make_track(tmp_path, "a", accompaniment=0.2)
    band = make_accompaniment(tmp_path, 0.3)
    useless = [
        dataclasses.replace(track, id="octave", octave_free=True),
        dataclasses.replace(track, id="pseudo", pseudo="pitch"),
        dataclasses.replace(track, id="unlabelled", pitch=None, labels="mss"),
        dataclasses.replace(track, id="song", labels="pe", stems={}, mixture=track.stems["vocals"]),
    ]
    learnt = [dataclasses.replace(track, id="t", split="train"), dataclasses.replace(band, id="tb", split="train")]
    given = [*useless, *learnt, track, band]

    def ids(split: str, limit: int | None = None) -> list[str]:
        chosen = select(given, target="vocals", split=split, snr_db=(5.0, 0.0, 5.0), limit=limit)
        assert chosen.snr_db == [0.0, 5.0]
        return [track.id for track in chosen.tracks]

    assert ids("validation") == ["a", "band"]
    assert ids("all") == ["t", "a", "tb", "band"]
    assert ids("all", 1) == ["t", "tb", "band"]
    with pytest.raises(DataError, match="no track with vocals alone and their pitch among the 5 given") as caught:
        select([*useless, band], target="vocals", split="validation", snr_db=(0.0,))
    assert caught.value.hint == "give labelled tracks with --data or --manifest"
    with pytest.raises(DataError, match="no track of split test; there are 1 of split train, 1 of split validation"):
        ids("test")


def test_labels_without_a_voice_and_missing_files_are_errors(tmp_path: Path) -> None:
    track = make_track(tmp_path, "a")
    assert track.pitch is not None
    track.pitch.write_text("time,frequency\n" + "".join(f"{n / 100:.2f},0\n" for n in range(100)))
    with pytest.raises(DataError, match="no voiced frame in the labels"):
        calibrated([track])
    other = make_track(tmp_path, "b")
    (tmp_path / "b.wav").unlink()
    with pytest.raises(AudioError, match="b.wav"):
        calibrated([other])
