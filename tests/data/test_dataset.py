"""Segments: sums, labels that move with the audio, determinism, partly labelled tracks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from majl_cli.data.augment import AugmentConfig, add_reverb, rms, stutter
from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.dataset import SegmentDataset, collate
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import ConfigError, DataError

RATE = 16000


def write_tone(path: Path, frequency: float, seconds: float = 5.0, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * time), rate, subtype="FLOAT")
    return path


def track(
    folder: Path,
    name: str,
    *,
    vocals: float | None = None,
    accompaniment: float | None = None,
    seconds: float = 5.0,
    bandwidth: float | None = None,
) -> Track:
    stems = {}
    pitch = None
    if vocals is not None:
        stems["vocals"] = Stem(path=write_tone(folder / name / "vocals.wav", vocals, seconds))
        pitch = folder / name / "pitch.csv"
        pitch.write_text("".join(f"{t:.3f},{vocals}\n" for t in np.arange(0, seconds, 0.01)))
    if accompaniment is not None:
        stems["accompaniment"] = Stem(path=write_tone(folder / name / "accompaniment.wav", accompaniment, seconds))
    labels = "full" if len(stems) == 2 else next(iter(stems))
    return Track(
        id=name,
        corpus="tones",
        labels=labels,
        stems=stems,
        pitch=pitch,
        sample_rate=RATE,
        channels=1,
        duration=seconds,
        bandwidth=bandwidth,
    )


def dataset(tracks: list[Track], augment: AugmentConfig | None, **options: object) -> SegmentDataset:
    settings: dict[str, object] = {"sample_rate": RATE, "channels": 1, "segment_seconds": 1.0, "length": 100}
    return SegmentDataset(tracks, frame_seconds=0.01, augment=augment, **(settings | options))  # type: ignore[arg-type]


def spectral_peak(audio: torch.Tensor, rate: int = RATE) -> float:
    spectrum = torch.fft.rfft(audio * torch.hann_window(len(audio)), n=8 * len(audio)).abs()
    return float(spectrum.argmax()) * rate / (8 * len(audio))


def test_mixture_is_the_exact_sum_of_its_sources_and_never_clips(tmp_path: Path) -> None:
    items = dataset([track(tmp_path, "a", vocals=220, accompaniment=1000)], AugmentConfig())
    for index in range(12):
        item = items[index]
        assert torch.equal(item["mixture"], item["sources"][0] + item["sources"][1])
        assert item["mixture"].abs().max() <= 1.0
        assert item["mixture"].shape == (1, RATE)
        assert item["f0"].shape == item["pitch_known"].shape == (101,)


def test_labels_move_with_a_resampling_shift(tmp_path: Path) -> None:
    config = AugmentConfig(resample_probability=1.0, vocals_absent_probability=0.0)
    items = dataset([track(tmp_path, "a", vocals=220, accompaniment=1000)], config)
    heard = set()
    for index in range(8):
        item = items[index]
        peak = spectral_peak(item["sources"][0, 0])
        assert (item["pitch_known"] == 1).all()
        assert torch.allclose(item["f0"], torch.tensor(peak), rtol=2e-3)
        heard.add(round(peak))
    assert len(heard) > 4


def test_labels_move_in_time_with_a_resampling_shift(tmp_path: Path) -> None:
    """A voice that sets in at 2.5 s: the label sets in where the shifted audio does."""
    time = np.arange(5 * RATE) / RATE
    voice = track(tmp_path, "a", vocals=220, accompaniment=1000)
    soundfile.write(voice.stems["vocals"].path, 0.3 * np.sin(2 * np.pi * 220 * time) * (time >= 2.5), RATE)
    assert voice.pitch is not None
    voice.pitch.write_text("".join(f"{t:.3f},{220 if t >= 2.5 else 0}\n" for t in np.arange(0, 5, 0.01)))
    config = AugmentConfig(resample_probability=1.0, vocals_absent_probability=0.0, second_vocals_probability=0.0)
    seen = 0
    for index in range(40):
        item = dataset([voice], config)[index]
        onset = int((item["f0"] > 0).int().argmax())
        if not 10 < onset < 90:
            continue
        seen += 1
        level = item["sources"][0, 0].abs()
        first = int((level > 0.1 * level.max()).int().argmax()) / RATE
        assert abs(first - onset * 0.01) < 0.012
    assert seen > 3


def test_items_depend_on_seed_and_index_only(tmp_path: Path) -> None:
    tracks = [track(tmp_path, "a", vocals=220, accompaniment=900), track(tmp_path, "b", vocals=330, accompaniment=700)]
    one, two = dataset(tracks, AugmentConfig()), dataset(tracks, AugmentConfig())
    expected = [one[i]["mixture"] for i in range(6)]
    for index in (5, 0, 3):
        assert torch.equal(two[index]["mixture"], expected[index])
    assert not torch.equal(dataset(tracks, AugmentConfig(), seed=1)[0]["mixture"], expected[0])


def test_voice_alone_and_accompaniment_alone_are_remixed(tmp_path: Path) -> None:
    tracks = [track(tmp_path, "voice", vocals=220), track(tmp_path, "band", accompaniment=1500)]
    config = AugmentConfig(
        accompaniment_absent_probability=0.0, vocals_absent_probability=0.0, resample_probability=0.0
    )
    item = dataset(tracks, config)[0]
    assert item["track"] == "voice + band"
    assert spectral_peak(item["sources"][0, 0]) == pytest.approx(220, abs=1)
    assert spectral_peak(item["sources"][1, 0]) == pytest.approx(1500, abs=1)


def test_absent_vocals_are_known_to_be_unvoiced(tmp_path: Path) -> None:
    config = AugmentConfig(vocals_absent_probability=1.0)
    item = dataset([track(tmp_path, "a", vocals=220, accompaniment=1000)], config)[0]
    assert item["sources"][0].abs().max() == 0
    assert (item["f0"] == 0).all()
    assert (item["pitch_known"] == 1).all()


def test_a_backing_voice_leaves_the_label_to_the_lead(tmp_path: Path) -> None:
    config = AugmentConfig(
        second_vocals_probability=1.0,
        second_vocals_db=(-6.0, -6.0),
        resample_probability=0.0,
        reverb_probability=0.0,
        vocals_absent_probability=0.0,
    )
    lead, other = track(tmp_path, "a", vocals=220, accompaniment=1000), track(tmp_path, "b", vocals=330)
    other.pitch.write_text("0.0,0\n5.0,0\n")  # type: ignore[union-attr]
    items = dataset([lead, other], config)
    for item in (items[i] for i in range(20)):
        vocals = item["sources"][0, 0]
        if item["track"].startswith("a"):
            assert spectral_peak(vocals) == pytest.approx(220, abs=1)
            assert (item["pitch_known"] == 1).all()
        else:
            assert (item["pitch_known"] == 0).all()
        spectrum = torch.fft.rfft(vocals * torch.hann_window(len(vocals))).abs()
        level = 20 * torch.log10(spectrum[[220, 330]].min() / spectrum[[220, 330]].max())
        assert level.item() == pytest.approx(-6.0, abs=0.2) or level < -60  # the same voice twice


def test_reverb_lasts_as_long_and_is_as_loud_as_asked() -> None:
    config = AugmentConfig(reverb_seconds=(1.0, 1.0), reverb_db=(-6.0, -6.0))
    click = np.zeros((2, 2 * RATE), np.float32)
    click[:, 100] = 1.0
    tail = add_reverb(click, RATE, config, np.random.default_rng(0)) - click
    assert 20 * np.log10(rms(tail) / rms(click)) == pytest.approx(-6.0, abs=0.1)
    assert np.abs(tail[:, :100]).max() < 1e-6
    early, late = (rms(tail[:, round(t * RATE) :][:, : RATE // 20]) for t in (0.1, 0.6))
    assert 20 * np.log10(late / early) == pytest.approx(-30.0, abs=2.0)
    assert abs(np.corrcoef(tail)[0, 1]) < 0.1


def test_reverb_leaves_silence_silent() -> None:
    silence = np.zeros((1, RATE), np.float32)
    assert not add_reverb(silence, RATE, AugmentConfig(), np.random.default_rng(0)).any()


EVERYTHING = AugmentConfig(
    **{item.name: 1.0 for item in dataclasses.fields(AugmentConfig) if item.name.endswith("_probability")}
    | {"vocals_absent_probability": 0.0, "accompaniment_absent_probability": 0.0, "stutter_probability": 0.0}
)


def test_stems_add_up_to_the_mixture_with_everything_on(tmp_path: Path) -> None:
    tracks = [track(tmp_path, "a", vocals=220, accompaniment=1000), track(tmp_path, "b", vocals=330, accompaniment=700)]
    items = dataset(tracks, EVERYTHING, channels=2)
    again = dataset(tracks, EVERYTHING, channels=2)
    for index in range(6):
        item = items[index]
        assert torch.equal(item["mixture"], item["sources"][0] + item["sources"][1])
        assert torch.isfinite(item["mixture"]).all() and 1e-4 < item["mixture"].abs().max() <= 1.0
        assert item["sources"].abs().amax(dim=(1, 2)).min() > 0
        assert torch.equal(again[index]["mixture"], item["mixture"])


def test_what_never_happens_draws_nothing(tmp_path: Path) -> None:
    """Segments of a seed are those of the versions that had fewer augmentations."""
    song = track(tmp_path, "a", vocals=220, accompaniment=1000)
    other = dataclasses.replace(AugmentConfig(), colour_db=1.0, width=(0.2, 0.3), codec_compression=(0.1, 0.2))
    for index in range(4):
        item = dataset([song], AugmentConfig(), channels=2)[index]
        assert torch.equal(item["mixture"], dataset([song], other, channels=2)[index]["mixture"])
    assert item["mixture"].double().square().sum().item() == pytest.approx(132.877206, rel=1e-5)


@pytest.mark.parametrize("effect", ["colour", "compression", "saturation", "width", "codec"])
def test_each_effect_is_heard(tmp_path: Path, effect: str) -> None:
    """A voice of two tones of unequal loudness, different left and right, over noise."""
    song = track(tmp_path, "a", vocals=220, accompaniment=1000)
    time = np.arange(5 * RATE) / RATE
    voice = 0.3 * np.sin(2 * np.pi * np.outer(time, [220, 330])) * (0.1 + (time % 0.5 < 0.25))[:, None]
    soundfile.write(song.stems["vocals"].path, voice, RATE, subtype="FLOAT")
    quiet = {"scale": 1.0} | {
        item.name: 0.0 for item in dataclasses.fields(AugmentConfig) if item.name.endswith("_probability")
    }
    quiet |= {"snr_db": (0.0, 0.0), "level_db": (-20.0, -20.0), "polarity": False, "channel_swap": False}
    stereo = [dataclasses.replace(song, channels=2)]
    plain = dataset(stereo, AugmentConfig(**quiet), channels=2)[0]["sources"][0]  # type: ignore[arg-type]
    changed = dataset(stereo, AugmentConfig(**quiet | {f"{effect}_probability": 1.0}), channels=2)  # type: ignore[arg-type]
    assert (changed[0]["sources"][0] - plain).square().mean() > 1e-5 * plain.square().mean()
    assert torch.equal(changed[0]["f0"], dataset(stereo, AugmentConfig(**quiet), channels=2)[0]["f0"])  # type: ignore[arg-type]


def test_scale_zero_leaves_the_tracks_as_they_are_but_for_level(tmp_path: Path) -> None:
    song = track(tmp_path, "a", vocals=220, accompaniment=1000)
    config = dataclasses.replace(EVERYTHING, scale=0.0, polarity=False, channel_swap=False)
    for index in range(5):
        voice, music = dataset([song], config)[index]["sources"][:, 0]
        for audio, frequency in ((voice, 220), (music, 1000)):
            assert spectral_peak(audio) == pytest.approx(frequency, abs=1)
            assert audio.square().mean().sqrt() * 2**0.5 == pytest.approx(audio.abs().max().item(), rel=0.01)
    with pytest.raises(ConfigError, match="augment.scale -1"):
        AugmentConfig(scale=-1)
    with pytest.raises(ConfigError, match="augment.codec_compression"):
        AugmentConfig(codec_compression=(0.9, 1.0))


def test_rumble_is_taken_out_of_the_target_and_of_the_mixture(tmp_path: Path) -> None:
    song = track(tmp_path, "a", vocals=220, accompaniment=1000)
    time = np.arange(5 * RATE) / RATE
    rumbling = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.3 * np.sin(2 * np.pi * 20 * time)
    soundfile.write(song.stems["vocals"].path, rumbling, RATE, subtype="FLOAT")
    plain, cut = (dataset([song], None, lowest_hz=hertz)[0] for hertz in (0.0, 50.0))
    for item, left in ((plain, True), (cut, False)):
        for audio in (item["sources"][0, 0], item["mixture"][0]):
            spectrum = torch.fft.rfft(audio).abs()
            assert spectrum[220] > 1000
            assert (spectrum[20] > 1000) == left
    assert torch.equal(cut["sources"].sum(dim=0), cut["mixture"])


def test_stutter_repeats_one_slice_and_hides_the_pitch(tmp_path: Path) -> None:
    config = AugmentConfig(stutter_seconds=(0.1, 0.1))
    noise = np.random.default_rng(1).standard_normal((2, RATE)).astype(np.float32)
    repeated = stutter(noise, RATE, config, np.random.default_rng(0))
    assert repeated.shape == noise.shape
    slice_samples = round(0.1 * RATE)
    match = [
        p for p in range(slice_samples, 2 * slice_samples + 1) if np.array_equal(repeated[:, p:], repeated[:, :-p])
    ]
    assert len(match) == 1
    inside = repeated[:, slice_samples // 2]
    assert (noise == inside[:, None]).all(axis=0).any()
    always = AugmentConfig(stutter_probability=1.0, vocals_absent_probability=0.0)
    item = dataset([track(tmp_path, "a", vocals=220, accompaniment=1000)], always)[0]
    assert item["pitch_known"].sum() == 0 and item["f0"].max() > 0


def test_a_track_without_pitch_has_no_known_frame(tmp_path: Path) -> None:
    full = track(tmp_path, "a", vocals=220, accompaniment=1000)
    bare = Track(id="b", corpus="c", labels="mss", stems=full.stems, sample_rate=RATE, channels=1, duration=5.0)
    item = dataset([bare], AugmentConfig(vocals_absent_probability=0.0))[0]
    assert item["pitch_known"].sum() == 0


def test_short_tracks_are_placed_in_silence_known_to_be_unvoiced(tmp_path: Path) -> None:
    item = dataset([track(tmp_path, "a", vocals=220, accompaniment=1000, seconds=0.4)], None)[3]
    voiced = item["f0"] > 0
    assert 35 <= voiced.sum() <= 43
    assert (item["pitch_known"] == 1).all()
    silent = item["sources"][0, 0].abs() < 1e-4
    assert silent.float().mean() > 0.5


def test_bandwidth_is_the_lowest_of_what_is_mixed(tmp_path: Path) -> None:
    tracks = [track(tmp_path, "voice", vocals=220, bandwidth=4000.0), track(tmp_path, "band", accompaniment=1500)]
    assert dataset(tracks, AugmentConfig(resample_probability=0.0))[0]["bandwidth"] == 4000.0
    assert dataset(tracks[1:] + [track(tmp_path, "v", vocals=220)], AugmentConfig())[0]["bandwidth"] <= RATE / 2


def test_pitch_only_tracks_have_no_sources(tmp_path: Path) -> None:
    full = track(tmp_path, "a", vocals=220, accompaniment=1000)
    song = Track(
        id="song",
        corpus="c",
        labels="pe",
        mixture=full.stems["vocals"],
        pitch=full.pitch,
        sample_rate=RATE,
        channels=1,
        duration=5.0,
    )
    items = dataset([song, track(tmp_path, "band", accompaniment=800)], AugmentConfig())
    item = items[0]
    assert not item["sources_known"].any()
    assert (item["f0"] > 0).all()


def test_other_sample_rates_and_stereo_come_out_as_asked(tmp_path: Path) -> None:
    items = dataset(
        [track(tmp_path, "a", vocals=220, accompaniment=1000)], AugmentConfig(), sample_rate=44100, channels=2
    )
    batch = collate([items[0], items[1]])
    assert batch["mixture"].shape == (2, 2, 44100)
    assert len(batch["track"]) == 2


def test_missing_ingredients_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no track with vocals"):
        dataset([track(tmp_path, "band", accompaniment=800)], AugmentConfig())
    with pytest.raises(DataError, match="no track with an accompaniment"):
        dataset([track(tmp_path, "voice", vocals=220)], AugmentConfig())


def test_folder_of_stems_sums_what_is_not_the_target(tmp_path: Path) -> None:
    for name, frequency in (("vocals", 220), ("drums", 900), ("bass", 60)):
        write_tone(tmp_path / "train" / "song" / f"{name}.wav", frequency)
    (song,) = stems_folder(tmp_path)
    assert (song.id, song.split, song.labels) == ("train/song", "train", "mss")
    item = dataset([song], None)[0]
    spectrum = torch.fft.rfft(item["sources"][1, 0]).abs()
    assert spectrum[900] > 1000
    assert spectrum[60] > 1000
    assert spectrum[220] < 50


def test_mixture_and_vocals_alone_make_a_track_in_any_case_of_letters(tmp_path: Path) -> None:
    folder = tmp_path / "song"
    write_tone(folder / "Vocals.wav", 220)
    write_tone(folder / "._Vocals.wav", 220)
    (folder / "pitch.csv").write_text("time,frequency\n" + "".join(f"{t:.2f},220\n" for t in np.arange(0, 5, 0.01)))
    time = np.arange(5 * RATE) / RATE
    mixture = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.3 * np.sin(2 * np.pi * 900 * time)
    soundfile.write(folder / "Mixture.WAV", mixture, RATE, subtype="FLOAT")
    (song,) = stems_folder(tmp_path)
    assert song.labels == "full" and set(song.stems) == {"vocals"}
    item = dataset([song], None)[0]
    accompaniment = torch.fft.rfft(item["sources"][1, 0]).abs()
    assert accompaniment[900] > 1000 and accompaniment[220] < 50
    assert item["f0"].eq(220).all() and item["pitch_known"].all()


def test_a_wrong_sample_rate_in_the_manifest_is_found(tmp_path: Path) -> None:
    wrong = dataclasses.replace(track(tmp_path, "a", vocals=220, accompaniment=500), sample_rate=22050)
    with pytest.raises(DataError, match="has 16000 Hz, its track a says 22050 Hz"):
        dataset([wrong], AugmentConfig())[0]


def test_tracks_of_one_name_keep_their_own_labels(tmp_path: Path) -> None:
    low = track(tmp_path / "x", "song", vocals=110, accompaniment=900)
    high = track(tmp_path / "y", "song", vocals=440, accompaniment=900)
    items = dataset([low, high], None)
    for n in range(10):
        item = items[n]
        assert abs(spectral_peak(item["sources"][0, 0]) - float(item["f0"][50])) < 2


def test_folder_of_stems_refuses_unequal_stems(tmp_path: Path) -> None:
    write_tone(tmp_path / "song" / "vocals.wav", 220)
    write_tone(tmp_path / "song" / "accompaniment.wav", 500, seconds=3.0)
    with pytest.raises(DataError, match="accompaniment lasts 3.00 s, vocals 5.00 s|vocals lasts"):
        stems_folder(tmp_path)
    write_tone(tmp_path / "song" / "accompaniment.wav", 500, rate=22050)
    with pytest.raises(DataError, match="22050 Hz"):
        stems_folder(tmp_path)
    with pytest.raises(DataError, match="no track"):
        stems_folder(tmp_path / "song")
