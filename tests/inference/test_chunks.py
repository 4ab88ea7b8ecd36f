"""The chunk plan and overlap-add."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fake_modules import RUNTIME, FakePitch, FakeSeparation, in_blocks, noise

from majl_cli.device import Runtime
from majl_cli.errors import CheckpointError, DeviceError, UsageError
from majl_cli.inference.chunks import ChunkPlan, cut_chunks, in_batches, plan_chunks, process_blocks, run_module

LENGTHS = (1, 2, 7, 39, 40, 41, 100, 299, 300, 304, 305, 306, 563, 564, 565, 600, 1000, 1999, 5001)


def chunked(module: FakeSeparation, blocks: list[np.ndarray], overlap: float | None = None) -> np.ndarray:
    plan = plan_chunks(module, overlap=overlap)
    parts = list(process_blocks(blocks, lambda chunk: run_module(module, chunk[None], RUNTIME)[0], plan))
    return np.concatenate(parts, axis=1)


def whole(module: FakeSeparation, audio: np.ndarray) -> np.ndarray:
    return module(torch.from_numpy(audio.T.copy())[None])[0].numpy().swapaxes(-1, -2)


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("overlap", [None, 0.0, 0.3, 0.5, 0.75, 0.95])
def test_chunked_equals_whole_when_the_context_is_finite(samples: int, overlap: float | None) -> None:
    module = FakeSeparation(stems=("vocals", "drums"), channels=2)
    audio = noise(samples, 2)
    result = chunked(module, in_blocks(audio, 64), overlap)
    assert result.shape == (2, samples, 2)
    assert np.abs(result - whole(module, audio)).max() < 1e-5


@pytest.mark.parametrize("stride", [1, 7, 8, 50])
@pytest.mark.parametrize("reach", [0, 1, 20, 160])
def test_any_stride_and_context_fit(stride: int, reach: int) -> None:
    module = FakeSeparation(stride=stride, reach=reach)
    audio = noise(3001)
    module.shapes.clear()
    result = chunked(module, in_blocks(audio, 500))
    assert len(module.shapes) > 3
    assert np.abs(result - whole(module, audio)).max() < 1e-5


def test_a_margin_that_is_too_small_would_be_seen() -> None:
    module = FakeSeparation()
    audio = noise(3000)
    expected = whole(module, audio)
    module.context = 0.0
    assert np.abs(chunked(module, [audio]) - expected).max() > 1e-3


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 17), (299,), (5001,)])
@pytest.mark.parametrize("knows_context", [True, False])
def test_result_does_not_depend_on_the_blocks(sizes: tuple[int, ...], knows_context: bool) -> None:
    module = FakeSeparation(knows_context=knows_context)
    audio = noise(2017)
    assert np.array_equal(chunked(module, in_blocks(audio, *sizes)), chunked(module, [audio]))


def test_without_finite_context_every_chunk_of_a_long_input_is_full() -> None:
    module = FakeSeparation(knows_context=False)
    chunked(module, in_blocks(noise(2017), 100))
    plan = plan_chunks(module)
    assert plan.overlap == 80  # a quarter of 304, on the grid of 8
    lengths = [shape[-1] for shape in module.shapes]
    assert lengths[:-1] == [plan.length] * (len(lengths) - 1)
    assert plan.length <= lengths[-1] < plan.length + module.stride


@pytest.mark.parametrize("samples", LENGTHS)
def test_crossfade_of_what_is_the_same_in_all_chunks_changes_nothing(samples: int) -> None:
    audio = noise(samples, 2)
    for overlap in (0.0, 0.25, 0.8):
        plan = plan_chunks(FakeSeparation(knows_context=False), overlap=overlap)
        result = np.concatenate(list(process_blocks([audio], lambda chunk: chunk[None], plan)), axis=1)
        assert np.abs(result[0] - audio).max() < 1e-6


def test_crossfade_is_linear_and_ends_where_the_margin_begins() -> None:
    plan = ChunkPlan(length=20, step=10, margin=3)
    numbers = iter(range(3))
    parts = process_blocks(
        [np.zeros((35, 1), np.float32)], lambda chunk: np.full_like(chunk, next(numbers))[None], plan
    )
    result = np.concatenate(list(parts), axis=1)[0, :, 0]
    ramp = np.array([0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert np.allclose(result[:10], 0)
    assert np.allclose(result[10:20], ramp)
    assert np.allclose(result[20:30], 1 + ramp)
    assert np.allclose(result[30:], 2)


def test_chunks_start_on_the_stride_and_cover_the_input_exactly() -> None:
    plan = plan_chunks(FakeSeparation(stride=8))
    audio = np.arange(2003, dtype=np.float32)[:, None]
    chunks = list(cut_chunks(in_blocks(audio, 77), plan))
    starts = [int(chunk.audio[0, 0]) for chunk in chunks]
    assert starts == [plan.step * number for number in range(len(chunks))]
    assert not any(start % 8 for start in starts)
    assert chunks[0].first and chunks[-1].last and int(chunks[-1].audio[0, -1]) == 2002
    assert not any(chunk.last for chunk in chunks[:-1])


def test_no_more_than_a_chunk_is_held_back() -> None:
    plan = plan_chunks(FakeSeparation(), overlap=0.5)
    received = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal received
        for _ in range(3000):
            received += 50
            yield np.zeros((50, 1), np.float32)

    given, held = 0, 0
    for block in process_blocks(blocks(), lambda chunk: chunk[None], plan):
        held = max(held, received - given)
        given += block.shape[1]
    assert given == received == 150_000
    assert held <= plan.length + 50


@pytest.mark.parametrize("knows_context", [True, False])
def test_what_lies_behind_is_let_go(knows_context: bool) -> None:
    plan = plan_chunks(FakeSeparation(knows_context=knows_context))
    memory = []
    for chunk in cut_chunks((np.zeros((50, 1), np.float32) for _ in range(500)), plan):
        owner = chunk.audio if chunk.audio.base is None else chunk.audio.base
        memory.append(owner.size)
    assert len(memory) > 50
    assert max(memory) <= plan.history + plan.length + 50


def test_no_samples_give_no_output() -> None:
    assert list(process_blocks([], lambda chunk: chunk[None], plan_chunks(FakeSeparation()))) == []


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_overlap_must_be_a_fraction(overlap: float) -> None:
    with pytest.raises(UsageError, match="not a fraction of a chunk"):
        plan_chunks(FakeSeparation(), overlap=overlap)


def test_plan_in_frames_is_the_plan_in_samples_over_the_hop() -> None:
    pitch = FakePitch()
    plan = plan_chunks(pitch, unit=pitch.hop_length)
    frames = plan.in_frames(pitch.hop_length)
    assert (plan.length, plan.step, plan.margin) == (500, 430, 35)
    assert (frames.length, frames.step, frames.margin) == (100, 86, 7)


class Overflows(FakeSeparation):
    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        out = super().forward(mixture)
        return out * torch.nan if torch.is_autocast_enabled("cpu") else out


def test_overflow_in_reduced_precision_is_computed_again_in_float32() -> None:
    reduced = Runtime(device=torch.device("cpu"), precision="bfloat16", threads=1)
    audio = noise(50).T[None]
    assert np.array_equal(run_module(Overflows(), audio, reduced), run_module(FakeSeparation(), audio, RUNTIME))


def test_damaged_weights_are_an_error() -> None:
    module = FakeSeparation()
    module.taps.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        run_module(module, noise(50).T[None], RUNTIME)


class Small(FakeSeparation):
    """A device with room for so many items."""

    room = 2

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        if len(mixture) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().forward(mixture)


def test_a_batch_too_large_for_the_device_is_computed_in_halves() -> None:
    audio = np.stack([noise(50, seed=seed).T for seed in range(7)])
    small = Small()
    assert np.abs(run_module(small, audio, RUNTIME) - run_module(FakeSeparation(), audio, RUNTIME)).max() < 1e-6
    assert sum(shape[0] for shape in small.shapes) == 7
    small.room = 0
    with pytest.raises(DeviceError, match="not enough free memory"):
        run_module(small, audio, RUNTIME)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_batches_hold_neighbours_of_one_length_and_wait_for_no_more_than_they_need(size: int) -> None:
    plan = plan_chunks(FakeSeparation())
    chunks = list(cut_chunks(in_blocks(noise(3000), 77), plan))
    taken = 0

    def counted():
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    seen = []
    for batch in in_batches(counted(), size):
        assert len({chunk.audio.shape for chunk in batch}) == 1 and len(batch) <= size
        seen += batch
        assert taken == len(seen) or taken == len(seen) + 1 == len(chunks)
    assert [id(chunk) for chunk in seen] == [id(chunk) for chunk in chunks]


def test_a_module_that_cannot_compute_in_reduced_precision_is_no_traceback() -> None:
    def module(audio: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive\nmore")
        return audio

    batch = np.ones((1, 2, 8), np.float32)
    assert run_module(module, batch, RUNTIME).shape == (1, 2, 8)
    with pytest.raises(DeviceError, match="cannot compute in bfloat16: could not create a primitive\n"):
        run_module(module, batch, dataclasses.replace(RUNTIME, precision="bfloat16"))
