"""Streamed pitch: frames, decoding, the cascade, and what --input auto decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fake_modules import RUNTIME, FakePitch, FakeSeparation, Half, fake_model, in_blocks, noise

from majl_cli.errors import UsageError
from majl_cli.inference.chunks import plan_chunks
from majl_cli.inference.detect import ACCOMPANIMENT_LIMIT_DB, detect_input, loudest_excerpt
from majl_cli.inference.pitch import PitchTrack, _Decoder, estimate_pitch_blocks, salience_blocks
from majl_cli.models.joint import JointModel
from majl_cli.models.pitch.decode import decode_salience

LENGTHS = (1, 2, 4, 5, 6, 100, 499, 500, 501, 930, 931, 2000, 5003)


def salience_of(pitch: FakePitch, audio: np.ndarray) -> np.ndarray:
    return torch.sigmoid(pitch(torch.from_numpy(audio.T.copy())))[0].numpy()


def tracked(model: JointModel, audio: np.ndarray, rate: int, *sizes: int, **options: object) -> PitchTrack:
    blocks = in_blocks(audio, *(sizes or (4096,)))
    return estimate_pitch_blocks(model, blocks, rate, audio.shape[1], runtime=RUNTIME, **options)


@pytest.mark.parametrize("samples", LENGTHS)
def test_chunked_salience_equals_the_whole(samples: int) -> None:
    pitch = FakePitch()
    audio = noise(samples)
    parts = list(salience_blocks(pitch, in_blocks(audio, 77, 300), runtime=RUNTIME))
    salience = np.concatenate(parts)
    assert salience.shape == (samples // 5 + 1, 360)
    assert np.abs(salience - salience_of(pitch, audio)).max() < 1e-5


@pytest.mark.parametrize("context", [True, False])
def test_chunks_computed_in_batches_give_the_same_salience(context: bool) -> None:
    audio = noise(5003)
    saliences = []
    for batch in (1, 4):
        pitch, runtime = FakePitch(context=context), dataclasses.replace(RUNTIME, batch=batch)
        saliences.append(np.concatenate(list(salience_blocks(pitch, in_blocks(audio, 77), runtime=runtime))))
        assert max(shape[0] for shape in pitch.shapes) == batch
    assert np.abs(saliences[0] - saliences[1]).max() < 1e-6


@pytest.mark.parametrize("samples", LENGTHS)
def test_without_finite_context_there_is_still_one_salience_per_frame(samples: int) -> None:
    parts = list(salience_blocks(FakePitch(context=False), [noise(samples)], runtime=RUNTIME))
    assert sum(map(len, parts)) == samples // 5 + 1


@pytest.mark.parametrize("input", ["mixture", "vocals"])
@pytest.mark.parametrize("rate", [500, 544, 1000, 8000])
@pytest.mark.parametrize("samples", [1, 2, 7, 21, 69, 1023, 8001])
def test_frames_follow_from_the_duration(input: str, rate: int, samples: int) -> None:
    model = fake_model().joint
    track = tracked(model, noise(samples, 2), rate, input=input)
    at_pitch_rate = max(1, (2 * samples * 500 + rate) // (2 * rate))
    frames = at_pitch_rate // 5 + 1
    arrays = (track.times, track.frequency, track.confidence, track.voiced, track.f0)
    assert [array.shape for array in arrays] == [(frames,)] * 5
    assert track.hop_seconds == 0.01
    assert np.allclose(track.times, 0.01 * np.arange(frames))
    assert track.input == input


def test_track_is_the_decoded_salience_of_the_averaged_channels() -> None:
    model = fake_model().joint
    audio = noise(3000, 2)
    track = tracked(model, audio, 500, 100, input="vocals", threshold=0.9)
    salience = salience_of(model.pitch, audio.mean(axis=1, keepdims=True))
    frequency, confidence = decode_salience(salience, model.pitch.grid, frequency_range=(50.0, 1000.0))
    assert np.allclose(track.frequency, frequency, rtol=1e-4)
    assert np.allclose(track.confidence, confidence, atol=1e-5)
    assert np.array_equal(track.voiced, track.confidence >= 0.9)
    assert 0 < track.voiced.mean() < 1
    assert np.array_equal(track.f0, np.where(track.voiced, track.frequency, 0))
    assert (track.frequency > 0).all()


def test_threshold_is_the_models_by_default() -> None:
    model = fake_model().joint
    model.pitch.voicing_threshold = 0.3
    assert tracked(model, noise(100), 500, input="vocals").threshold == 0.3


def test_a_frame_whose_confidence_is_the_threshold_is_voiced() -> None:
    model, audio = fake_model().joint, noise(100)
    confidence = tracked(model, audio, 500, input="vocals").confidence
    track = tracked(model, audio, 500, input="vocals", threshold=float(confidence[3]))
    assert track.voiced[3]
    assert not track.voiced.all()


def test_mixture_is_separated_before_its_pitch_is_estimated() -> None:
    """The cascade on blocks equals the joint model on the whole."""
    separation, pitch = FakeSeparation(sample_rate=500, channels=2), FakePitch()
    model = fake_model(separation, pitch).joint
    audio = noise(4000, 2)
    track = tracked(model, audio, 500, 333, input="mixture")
    with torch.no_grad():
        logits = model(torch.from_numpy(audio.T.copy())[None]).logits
    _, confidence = decode_salience(torch.sigmoid(logits)[0].numpy(), pitch.grid, frequency_range=(50.0, 1000.0))
    assert np.allclose(track.confidence, confidence, atol=1e-4)
    direct = tracked(model, audio, 500, input="vocals")
    assert not np.allclose(track.confidence, direct.confidence, atol=1e-2)


@pytest.mark.parametrize("decoder", ["argmax", "viterbi"])
def test_streamed_equals_in_memory(decoder: str) -> None:
    model = fake_model().joint
    audio = noise(6001, 2)
    small = tracked(model, audio, 1000, 1, 99, input="mixture", decoder=decoder)
    large = tracked(model, audio, 1000, 10**6, input="mixture", decoder=decoder)
    assert np.allclose(small.frequency, large.frequency, rtol=1e-4)
    assert np.allclose(small.confidence, large.confidence, atol=1e-5)


def melody_salience(frames: int) -> np.ndarray:
    """A line that glides, with noise and jumps to its octave, which a smooth path ignores."""
    random = np.random.default_rng(3)
    salience = 0.2 * random.random((frames, 360)).astype(np.float32)
    line = np.round(180 + 40 * np.sin(np.arange(frames) / 50)).astype(int)
    salience[np.arange(frames), line] = 0.8
    wrong = random.random(frames) < 0.05
    salience[wrong, line[wrong] + 60] = 0.85
    return salience


@pytest.mark.parametrize("block", [1, 37, 1000])
def test_viterbi_in_windows_equals_viterbi_over_all(block: int) -> None:
    pitch = FakePitch()  # 100 frames a second
    salience = melody_salience(1000)
    decoder = _Decoder(pitch, "viterbi", window_seconds=2.0, lag_seconds=0.5)
    held = 0
    for part in in_blocks(salience, block):
        decoder.push(part)
        held = max(held, sum(map(len, decoder._held)))
    frequency, confidence = decoder.finish()
    expected = decode_salience(salience, pitch.grid, method="viterbi", frequency_range=pitch.frequency_range)
    assert np.array_equal(frequency, expected[0])
    assert np.array_equal(confidence, expected[1])
    assert held <= 200 + block
    greedy, _ = decode_salience(salience, pitch.grid, frequency_range=pitch.frequency_range)
    assert not np.allclose(frequency, greedy)


def test_what_is_held_back_does_not_grow_with_the_length() -> None:
    model = fake_model(Half(sample_rate=1000), FakePitch()).joint
    received, behind = 0, []

    def blocks() -> Iterator[np.ndarray]:
        nonlocal received
        for number in range(200):
            received += 500
            yield noise(500, 1, seed=number)

    tracked_seconds: list[float] = []

    def progress(seconds: float) -> None:
        tracked_seconds.append(seconds)
        behind.append(received / 1000 - seconds)

    track = estimate_pitch_blocks(model, blocks(), 1000, 1, runtime=RUNTIME, progress=progress)
    assert len(track.times) == 10001
    assert tracked_seconds == sorted(tracked_seconds)
    assert tracked_seconds[-1] == 100.0
    assert max(behind) < plan_chunks(model.separation).length / 1000 + 2.0


@pytest.mark.parametrize(
    "options", [{"input": "song"}, {"decoder": "magic"}, {"threshold": 1.5}, {"threshold": float("nan")}]
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        tracked(fake_model().joint, noise(10), 500, **options)


class Keeps(Half):
    """The vocals are ``share`` of the mixture."""

    share = 1.0

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        return self.share * mixture[:, None]


@pytest.mark.parametrize(("share", "decision"), [(0.5, "mixture"), (0.8, "mixture"), (0.85, "vocals"), (1.0, "vocals")])
def test_what_is_left_beside_the_vocals_decides_what_the_input_is(share: float, decision: str) -> None:
    separation = Keeps()
    separation.share = share
    model = fake_model(separation).joint
    decided, level = detect_input(model, in_blocks(noise(3000, 2), 400), 1000, 2, runtime=RUNTIME)
    assert decided == decision
    assert (level < ACCOMPANIMENT_LIMIT_DB) == (decision == "vocals")
    if share < 1:
        assert level == pytest.approx(20 * np.log10(1 - share), abs=0.01)


def test_rumble_does_not_make_a_song_of_a_solo_voice() -> None:
    """A module that takes a loud 20 Hz tone away, and nothing else."""

    class TakesRumble(Half):
        def forward(self, mixture: torch.Tensor) -> torch.Tensor:
            spectrum = torch.fft.rfft(mixture)
            spectrum[..., torch.fft.rfftfreq(mixture.shape[-1], 1 / 1000) < 50] = 0
            return torch.fft.irfft(spectrum, n=mixture.shape[-1])[:, None]

    time = np.arange(2000) / 1000
    audio = 0.1 * np.sin(2 * np.pi * 250 * time) + np.sin(2 * np.pi * 20 * time)
    model = fake_model(TakesRumble()).joint
    decided, _ = detect_input(model, [audio[:, None].astype(np.float32)], 1000, 1, runtime=RUNTIME)
    assert decided == "vocals"


def test_silence_needs_no_separation() -> None:
    model = fake_model().joint
    assert detect_input(model, [np.zeros((500, 1), np.float32)], 1000, 1, runtime=RUNTIME) == ("vocals", -np.inf)


def test_excerpt_is_the_loudest_20_seconds_of_two_minutes() -> None:
    rate = 100
    audio = np.full((200 * rate, 1), 0.1, np.float32)
    audio[60 * rate : 80 * rate] = 0.5
    audio[150 * rate :] = 1.0  # too late to count
    excerpt = loudest_excerpt(in_blocks(audio, 333), rate)
    assert np.array_equal(excerpt, audio[60 * rate : 80 * rate])
    assert np.array_equal(loudest_excerpt([audio[:777]], rate), audio[:777])
