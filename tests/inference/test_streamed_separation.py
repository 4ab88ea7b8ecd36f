"""Streamed separation keeps rate, channels and length, whatever the module's are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fake_modules import RUNTIME, FakeSeparation, Half, in_blocks, noise

from majl_cli.errors import ConfigError, UsageError
from majl_cli.inference.chunks import plan_chunks
from majl_cli.inference.separation import separate_blocks
from majl_cli.resample import StreamResampler


def separated(
    module: FakeSeparation, blocks: list[np.ndarray], rate: int, stems: tuple[str, ...] = ("vocals", "accompaniment")
) -> dict[str, np.ndarray]:
    channels = blocks[0].shape[1]
    parts = list(separate_blocks(module, blocks, rate, channels, runtime=RUNTIME, stems=stems))
    return {stem: np.concatenate([part[stem] for part in parts]) for stem in stems}


@pytest.mark.parametrize("rate", [1000, 1088, 500, 3000, 44100])
@pytest.mark.parametrize("samples", [1, 2, 7, 100, 7999, 20001])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_are_as_long_as_the_mixture_and_sum_to_it(rate: int, samples: int, channels: int) -> None:
    audio = noise(samples, channels)
    stems = separated(FakeSeparation(), in_blocks(audio, 4096), rate)
    assert stems["vocals"].shape == audio.shape
    assert stems["vocals"].dtype == stems["accompaniment"].dtype == np.float32
    assert np.abs(stems["vocals"] + stems["accompaniment"] - audio).max() < 1e-6


@pytest.mark.parametrize(("rate", "module_rate"), [(48000, 44100), (22050, 44100), (44100, 16000), (8000, 44100)])
def test_resampled_stems_are_sample_aligned_and_sum_to_the_mixture(rate: int, module_rate: int) -> None:
    time = np.arange(rate) / rate
    audio = np.stack((np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 700 * time)), axis=1).astype(np.float32)
    module = Half(sample_rate=module_rate, channels=2, stride=64)
    stems = separated(module, in_blocks(audio, 5000), rate)
    assert stems["vocals"].shape == audio.shape
    assert np.abs(stems["vocals"] + stems["accompaniment"] - audio).max() < 1e-4
    inner = slice(rate // 20, -rate // 20)  # away from the ringing of the tone's sudden start and end
    assert np.abs(stems["vocals"] - audio / 2)[inner].max() < 1e-3


@pytest.mark.parametrize("rate", [1000, 1088])
@pytest.mark.parametrize("sizes", [(1, 50), (333,), (10000,)])
def test_streamed_equals_in_memory(rate: int, sizes: tuple[int, ...]) -> None:
    audio = noise(3001, 2)
    module = FakeSeparation(channels=2)
    streamed, at_once = separated(module, in_blocks(audio, *sizes), rate), separated(module, [audio], rate)
    for stem in streamed:
        assert np.abs(streamed[stem] - at_once[stem]).max() < 1e-6


def test_mono_into_a_stereo_module_is_copied_and_averaged() -> None:
    audio = noise(200)
    module = FakeSeparation(channels=2)
    expected = module(torch.from_numpy(audio.T.copy()).repeat(2, 1)[None])[0, 0].mean(0).numpy()
    vocals = separated(module, [audio], 1000)["vocals"]
    assert vocals.shape == (200, 1)
    assert np.abs(vocals[:, 0] - expected).max() < 1e-6


def test_channels_into_a_mono_module_go_one_by_one() -> None:
    audio = noise(200, 2)
    alone = [separated(FakeSeparation(), [audio[:, i : i + 1]], 1000)["vocals"] for i in range(2)]
    assert np.abs(separated(FakeSeparation(), [audio], 1000)["vocals"] - np.hstack(alone)).max() < 1e-6


@pytest.mark.parametrize("channels", [3, 8])
def test_many_channels_go_through_a_stereo_module_in_pairs(channels: int) -> None:
    audio = noise(700, channels)
    module = FakeSeparation(channels=2, stems=("vocals", "drums"))
    stems = ("drums", "vocals", "accompaniment")
    result = separated(module, [audio], 1000, stems)
    for start in range(0, channels, 2):
        pair = slice(start, start + 2)
        alone = separated(module, [audio[:, pair]], 1000, stems)
        for stem in stems:
            assert np.abs(result[stem][:, pair] - alone[stem]).max() < 1e-6


def test_silence_stays_silent() -> None:
    stems = separated(FakeSeparation(), [np.zeros((2500, 2), np.float32)], 1088)
    assert not any(np.abs(audio).max() for audio in stems.values())


def test_accompaniment_alone_and_an_estimated_one_are_possible() -> None:
    audio = noise(900)
    both = separated(FakeSeparation(), [audio], 1000)
    alone = separated(FakeSeparation(), [audio], 1000, ("accompaniment",))
    assert list(alone) == ["accompaniment"]
    assert np.array_equal(alone["accompaniment"], both["accompaniment"])
    module = FakeSeparation(stems=("vocals", "accompaniment"))
    estimated = separated(module, [audio], 1000, ("accompaniment",))["accompaniment"]
    expected = module(torch.from_numpy(audio.T.copy())[None])[0, 1, 0].numpy()
    assert np.abs(estimated[:, 0] - expected).max() < 1e-5


BAND = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize("rate", [1000, 1088])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("knows_context", [True, False])
def test_a_stem_of_a_band_and_the_rest_sum_to_the_mixture(rate: int, channels: int, knows_context: bool) -> None:
    audio = noise(3001, channels)
    asked = ("no_drums", "drums", "accompaniment", "vocals", "no_bass")
    stems = separated(FakeSeparation(channels=2, stems=BAND, knows_context=knows_context), [audio], rate, asked)
    assert list(stems) == list(asked)
    for one, rest in (("drums", "no_drums"), ("vocals", "accompaniment")):
        assert np.abs(stems[one]).max() > 0.01
        assert np.abs(stems[one] + stems[rest] - audio).max() < 1e-6
    assert np.abs(stems["no_bass"] - stems["no_drums"]).max() > 0.01


def test_by_default_a_band_is_taken_apart_as_the_module_estimates_it() -> None:
    audio, module = noise(900), FakeSeparation(stems=BAND)
    (block, *_) = separate_blocks(module, [audio], 1000, 1, runtime=RUNTIME)
    assert tuple(block) == BAND
    estimates = module(torch.from_numpy(audio.T.copy())[None])[0, :, 0].numpy()
    for stem, estimate in zip(BAND, estimates, strict=True):
        assert np.abs(block[stem][:, 0] - estimate[: len(block[stem])]).max() < 1e-5


@pytest.mark.parametrize("stems", [("vocals", "kazoo"), ()])
def test_unknown_stem_is_refused_before_anything_runs(stems: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="no stem") as error:
        separate_blocks(FakeSeparation(), [], 1000, 1, runtime=RUNTIME, stems=stems)
    assert error.value.hint == "this model gives vocals, accompaniment"


def test_without_vocals_the_accompaniment_is_what_the_first_stem_leaves() -> None:
    module, mixture = FakeSeparation(stems=("bass", "drums")), noise(50)
    parts = list(separate_blocks(module, [mixture], 1000, 1, runtime=RUNTIME))
    summed = np.concatenate([part["bass"] + part["accompaniment"] for part in parts])
    assert np.abs(summed - mixture).max() < 1e-6
    with pytest.raises(ConfigError, match="no stem 'vocals' among bass, drums"):
        separate_blocks(module, [], 1000, 1, runtime=RUNTIME, target="vocals")


def most_held_back(rate: int, count: int, stems: tuple[str, ...] = ("vocals",)) -> int:
    """The largest number of samples taken in and not yet given back, over ``count`` blocks of 500."""
    received, given, held = 0, 0, 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal received
        for number in range(count):
            received += 500
            yield noise(500, 2, seed=number)

    for part in separate_blocks(FakeSeparation(channels=2, stems=stems), blocks(), rate, 2, runtime=RUNTIME):
        held = max(held, received - given)
        given += len(part["vocals"])
    assert given == received == 500 * count
    return held


def resampler_delay(in_rate: int, out_rate: int, block: int) -> float:
    """The largest lag of a resampler's output behind its input, in s, when blocks of that many samples come in."""
    resampler, received, given, delay = StreamResampler(in_rate, out_rate, 1), 0, 0, 0.0
    for _ in range(500):
        received += block
        delay = max(delay, received / in_rate - given / out_rate)
        given += len(resampler.push(np.zeros((block, 1), np.float32)))
    return delay


@pytest.mark.parametrize("rate", [1000, 1088, 4000])
def test_what_is_held_back_does_not_grow_with_the_length(rate: int) -> None:
    """Parts work in periods of their own, which meet worse and worse: but never worse than all at their worst."""
    plan = plan_chunks(FakeSeparation())
    delays = resampler_delay(rate, 1000, 500) + resampler_delay(1000, rate, plan.step)
    bound = (delays + plan.length / 1000) * rate + 500
    assert most_held_back(rate, 100) <= most_held_back(rate, 800) <= bound < 800 * 500 / 10


def test_without_resampling_a_chunk_and_a_block_are_held_back() -> None:
    assert most_held_back(1000, 100) <= plan_chunks(FakeSeparation()).length + 500
    assert most_held_back(1000, 100, BAND) == most_held_back(1000, 100)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("knows_context", [True, False])
def test_chunks_computed_in_batches_give_what_they_give_one_by_one(
    channels: int, width: int, knows_context: bool
) -> None:
    audio = noise(3001, channels)
    results = []
    for batch in (1, 4):
        module = FakeSeparation(channels=width, stems=("vocals", "drums"), knows_context=knows_context)
        runtime = dataclasses.replace(RUNTIME, batch=batch)
        parts = separate_blocks(
            module, in_blocks(audio, 500), 1000, channels, runtime=runtime, stems=("drums", "accompaniment")
        )
        results.append({k: np.concatenate(v) for k, v in _joined_by_stem(parts).items()})
        largest = max(shape[0] for shape in module.shapes)
        assert largest >= 4 if batch == 4 else largest <= 2
    for stem, value in results[0].items():
        assert np.abs(results[1][stem] - value).max() < 1e-6


def _joined_by_stem(parts: Iterator[dict[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    joined: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for stem, block in part.items():
            joined.setdefault(stem, []).append(block)
    return joined
