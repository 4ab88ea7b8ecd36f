"""What the chunks promise for every registered module.

Where an output depends on a neighbourhood, chunked equals whole; where it depends on the whole input, chunked is the
stated crossfade of the chunks' outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fake_modules import RUNTIME, in_blocks, noise
from tiny import (
    LOCAL_PITCH,
    LOCAL_SEPARATION,
    PITCH_CASES,
    SEPARATION_CASES,
    WHOLE_PITCH_CASES,
    WHOLE_SEPARATION_CASES,
    Case,
    pitch_of,
    separation_of,
)

from majl_cli.inference.chunks import Block, ChunkPlan, plan_chunks
from majl_cli.inference.pitch import salience_blocks
from majl_cli.inference.separation import separate_blocks
from majl_cli.models.contracts import PitchModule, SeparationModule

NEAR = 1e-5
# Untrained modules start near silence: saliences around 0.01, and differences as small.
NEAR_SALIENCE, SEEN_SALIENCE = 1e-6, 1e-4


def separated(module: SeparationModule, audio: Block, *sizes: int, batch: int = 1) -> Block:
    """(T, C) through the chunks, given in blocks of these sizes, to (S, T, C)."""
    runtime = dataclasses.replace(RUNTIME, batch=batch)
    parts = list(
        separate_blocks(
            module, in_blocks(audio, *sizes), module.sample_rate, module.channels, runtime=runtime, stems=module.stems
        )
    )
    return np.stack([np.concatenate([part[stem] for part in parts]) for stem in module.stems])


def heard(module: PitchModule, audio: Block, *sizes: int, batch: int = 1) -> Block:
    """(T, 1) through the chunks, given in blocks of these sizes, to salience (N, K)."""
    runtime = dataclasses.replace(RUNTIME, batch=batch)
    return np.concatenate(list(salience_blocks(module, in_blocks(audio, *sizes), runtime=runtime)))


def separated_whole(module: SeparationModule, audio: Block) -> Block:
    """(T, C) at once to (S, T, C)."""
    with torch.no_grad():
        return module(torch.from_numpy(audio.T.copy())[None])[0].numpy().swapaxes(-1, -2)


def heard_whole(module: PitchModule, audio: Block) -> Block:
    """(T, 1) at once to salience (N, K)."""
    with torch.no_grad():
        return torch.sigmoid(module(torch.from_numpy(audio.T.copy())))[0].numpy()


@pytest.mark.parametrize("case", LOCAL_SEPARATION)
@pytest.mark.parametrize(("extra", "batch"), [(0, 1), (1, 1), (777, 3)])
def test_chunked_separation_equals_the_whole(case: Case, extra: int, batch: int) -> None:
    module = separation_of(*case).eval()
    plan = plan_chunks(module)
    audio = noise(2 * plan.step + plan.length + extra, module.channels)
    whole = separated_whole(module, audio)
    assert np.abs(whole).max() > 1e-3
    assert np.abs(separated(module, audio, 999, 64, batch=batch) - whole).max() < NEAR


@pytest.mark.parametrize("case", LOCAL_PITCH)
@pytest.mark.parametrize(("extra", "batch"), [(1, 1), (777, 3)])
def test_chunked_salience_equals_the_whole(case: Case, extra: int, batch: int) -> None:
    module = pitch_of(*case).eval()
    plan = plan_chunks(module, unit=module.hop_length)
    audio = noise(plan.step + plan.length + extra)
    whole = heard_whole(module, audio)
    assert np.ptp(whole) > SEEN_SALIENCE
    assert np.abs(heard(module, audio, 999, 64, batch=batch) - whole).max() < NEAR_SALIENCE


@pytest.mark.parametrize("case", SEPARATION_CASES)
def test_separation_of_at_most_a_chunk_is_the_modules_own(case: Case) -> None:
    module = separation_of(*case).eval()
    for samples in (1, plan_chunks(module).length // 3, plan_chunks(module).length):
        audio = noise(samples, module.channels)
        assert np.abs(separated(module, audio, 999) - separated_whole(module, audio)).max() < 1e-7, samples


@pytest.mark.parametrize("case", PITCH_CASES)
def test_salience_of_at_most_a_chunk_is_the_modules_own(case: Case) -> None:
    module = pitch_of(*case).eval()
    length = plan_chunks(module, unit=module.hop_length).length
    for samples in (1, length // 3, length):
        audio = noise(samples)
        assert np.abs(heard(module, audio, 999) - heard_whole(module, audio)).max() < 1e-6, samples


def crossfaded(apply: Callable[[Block], Block], audio: Block, plan: ChunkPlan, hop: int = 1) -> Block:
    """What chunks are said to do for a module without a context: (T, C) to (..., N, K), a frame each ``hop`` samples.

    Chunks of one length start every step until one reaches the end. Neighbours are faded linearly over what they
    share. The last one is given audio from before its start, to be as long as the others, and what it says of that is
    dropped.
    """
    starts = [0]
    while starts[-1] + plan.length < len(audio):
        starts.append(starts[-1] + plan.step)
    fade = np.arange(1, plan.overlap // hop + 1) / (plan.overlap // hop + 1)
    frames = len(audio) // hop + (hop > 1)
    total, weights = 0.0, np.zeros((frames, 1))
    for start in starts:
        first, last = start == 0, start == starts[-1]
        begin = max(0, len(audio) - plan.length) // plan.stride * plan.stride if last else start
        output = apply(audio[begin:] if last else audio[begin : begin + plan.length])
        output = output[..., (start - begin) // hop :, :]
        output = output if last else output[..., : plan.length // hop, :]
        weight = np.ones((output.shape[-2], 1))
        if not first:
            weight[: len(fade), 0] = fade
        if not last:
            weight[-len(fade) :, 0] = np.minimum(weight[-len(fade) :, 0], fade[::-1])
        after = frames - start // hop - len(weight)
        around = [(0, 0)] * (output.ndim - 2) + [(start // hop, after), (0, 0)]
        total = total + np.pad(output * weight, around)
        weights += np.pad(weight, [(start // hop, after), (0, 0)])
    return total / weights


@pytest.mark.parametrize("case", WHOLE_SEPARATION_CASES)
@pytest.mark.parametrize(("extra", "batch"), [(1, 1), (777, 3)])
def test_separation_without_a_context_is_the_crossfade_of_its_chunks(case: Case, extra: int, batch: int) -> None:
    module = separation_of(*case).eval()
    plan = plan_chunks(module)
    assert 0 <= plan.length - round(module.segment * module.sample_rate) < module.stride
    assert 0 <= plan.overlap - plan.length // 4 < module.stride + 1
    audio = noise(plan.step + plan.length + extra, module.channels)
    chunked = separated(module, audio, len(audio), batch=batch)
    expected = crossfaded(lambda chunk: separated_whole(module, chunk), audio, plan)
    assert np.abs(expected).max() > 1e-3
    assert np.abs(chunked - expected).max() < NEAR
    assert np.array_equal(separated(module, audio, 999, 64, batch=batch), chunked)


@pytest.mark.parametrize("case", WHOLE_PITCH_CASES)
@pytest.mark.parametrize(("extra", "batch"), [(1, 1), (777, 3)])
def test_salience_without_a_context_is_the_crossfade_of_its_chunks(case: Case, extra: int, batch: int) -> None:
    module = pitch_of(*case).eval()
    plan = plan_chunks(module, unit=module.hop_length)
    audio = noise(plan.step + plan.length + extra)
    chunked = heard(module, audio, len(audio), batch=batch)
    expected = crossfaded(lambda chunk: heard_whole(module, chunk), audio, plan, module.hop_length)
    assert np.ptp(expected) > SEEN_SALIENCE
    assert np.abs(chunked - expected).max() < NEAR_SALIENCE
    assert np.array_equal(heard(module, audio, 999, 64, batch=batch), chunked)
