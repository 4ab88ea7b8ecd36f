"""Streamed separation: blocks of a mixture in, blocks of its stems out, with the input's rate, channels and length.

Channels. Mono into a stereo module: copied to both sides, the mean of both sides back. Into a mono module every
channel goes by itself. More than two channels go through a stereo module in pairs (0, 1), (2, 3), ...; a last odd one
like mono. What the module does not estimate (accompaniment, no_drums) is the mixture without one stem, from the input's
own samples, so that the two add up to the input exactly whatever was resampled in between. Stems that are all estimated
add up as well as the module makes them.

Letters: S stems, C channels of the input, T samples of a chunk, n of a block, G groups of channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from torch import Tensor

from majl_cli.device import Runtime
from majl_cli.inference.chunks import Block, plan_chunks, process_batches, run_module
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.stems import StemNames
from majl_cli.resample import StreamResampler

_GROUPS_AT_ONCE = 2


def separate_blocks(
    module: SeparationModule,
    blocks: Iterable[Block],
    sample_rate: int,
    channels: int,
    *,
    runtime: Runtime,
    stems: Sequence[str] | None = None,
    overlap: float | None = None,
    target: str = "",
) -> Iterator[dict[str, Block]]:
    """Blocks (n, C) at ``sample_rate`` to blocks (n, C) per stem: same rate, channels and total length, aligned.

    ``stems``, ``target`` and what they may be: see ``StemNames``. Memory does not grow with the length. Raises
    UsageError for another stem or none.
    """
    names = StemNames(estimated=tuple(module.stems), target=target)
    selected = names.select(stems)
    return _separate_blocks(module, blocks, sample_rate, channels, runtime, selected, overlap, names.rests)


def _separate_blocks(
    module: SeparationModule,
    blocks: Iterable[Block],
    sample_rate: int,
    channels: int,
    runtime: Runtime,
    stems: Sequence[str],
    overlap: float | None,
    rests: Mapping[str, str],
) -> Iterator[dict[str, Block]]:
    """``rests`` says by name which stem the mixture is to be left without."""
    needed = list(dict.fromkeys(rests.get(stem, stem) for stem in stems))
    pending = _Queue(channels)
    estimates = estimate_blocks(
        module, _kept(blocks, pending), sample_rate, channels, runtime=runtime, stems=needed, overlap=overlap
    )
    back = [StreamResampler(module.sample_rate, sample_rate, channels) for _ in needed]
    waiting = [_Queue(channels) for _ in needed]
    for block, last in chain(((block, False) for block in estimates), [(None, True)]):
        for number, (resampler, queue) in enumerate(zip(back, waiting, strict=True)):
            part = np.zeros((0, channels), np.float32) if block is None else block[number]
            queue.push(resampler.push(part, last=last))
        # There and back again may round to a few samples more or fewer than came in: at the end the input decides.
        count = len(pending) if last else min(len(pending), *map(len, waiting))
        if not count:
            continue
        mixture = pending.pop(count)
        ready = {stem: queue.pop(count) for stem, queue in zip(needed, waiting, strict=True)}
        yield {stem: mixture - ready[rests[stem]] if stem in rests else ready[stem] for stem in stems}


def estimate_blocks(
    module: SeparationModule,
    blocks: Iterable[Block],
    sample_rate: int,
    channels: int,
    *,
    runtime: Runtime,
    stems: Sequence[str],
    overlap: float | None = None,
) -> Iterator[Block]:
    """Blocks (n, C) at ``sample_rate`` to blocks (S, n, C) of these of the module's stems, at the module's rate."""
    indices = [module.stems.index(stem) for stem in stems]
    at_once = _GROUPS_AT_ONCE * runtime.batch

    def estimate(groups: Tensor) -> Tensor:
        """Only what is asked for leaves the device."""
        estimates = module(groups)
        return estimates if tuple(stems) == tuple(module.stems) else estimates[:, indices]

    def process(chunks: Block) -> list[Block]:
        groups = np.concatenate([_to_groups(chunk, module.channels) for chunk in chunks])
        parts = [
            run_module(estimate, groups[start : start + at_once], runtime) for start in range(0, len(groups), at_once)
        ]
        estimates = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return [_from_groups(part, channels) for part in np.split(estimates, len(chunks))]

    resampler = StreamResampler(sample_rate, module.sample_rate, channels)
    resampled, plan = resample_blocks(blocks, resampler, channels), plan_chunks(module, overlap=overlap)
    return process_batches(resampled, process, plan, size=runtime.batch)


def resample_blocks(blocks: Iterable[Block], resampler: StreamResampler, channels: int) -> Iterator[Block]:
    """Blocks (n, C) through a resampler, and what it still holds at the end; no empty blocks."""
    for block in blocks:
        resampled = resampler.push(block)
        if len(resampled):
            yield resampled
    rest = resampler.push(np.zeros((0, channels), np.float32), last=True)
    if len(rest):
        yield rest


def _to_groups(chunk: Block, width: int) -> Block:
    """(C, T) to (G, width, T): single channels or pairs, a lone one doubled."""
    if width == 1:
        return chunk[:, None]
    padded = np.concatenate((chunk, chunk[-1:])) if len(chunk) % 2 else chunk
    return padded.reshape(-1, 2, chunk.shape[-1])


def _from_groups(estimates: Block, channels: int) -> Block:
    """(G, S, width, T) to (S, C, T), the inverse of ``_to_groups``."""
    groups, stems, width, samples = estimates.shape
    flat = estimates.swapaxes(0, 1).reshape(stems, groups * width, samples)
    if groups * width > channels:
        flat[:, -2] = flat[:, -2:].mean(axis=1)
    return flat[:, :channels]


class _Queue:
    """Samples (n, C), first in first out."""

    def __init__(self, channels: int) -> None:
        self._blocks: list[Block] = []
        self._length = 0
        self._channels = channels

    def __len__(self) -> int:
        return self._length

    def push(self, block: Block) -> None:
        self._blocks.append(block)
        self._length += len(block)

    def pop(self, count: int) -> Block:
        """The first ``count`` samples; zeros where there are not so many."""
        missing = np.zeros((max(0, count - self._length), self._channels), np.float32)
        held = np.concatenate((*self._blocks, missing))
        self._blocks, self._length = [held[count:]], len(held) - count
        return held[:count]


def _kept(blocks: Iterable[Block], pending: _Queue) -> Iterator[Block]:
    for block in blocks:
        pending.push(block)
        yield block
