"""Long audio in bounded memory: cut a stream into overlapping chunks, join what comes back by overlap-add.

Chunks start on multiples of the plan's step, which is a multiple of the module's stride, so that each sees the same
grid of frames as the whole input would. The first starts at sample 0 and the last ends with the input: nothing is
padded here, modules pad for themselves. In the overlap of two chunks, output within ``margin`` of an inner edge has
weight 0 and the rest is faded linearly from one to the other; the sum is divided once by the sum of weights.

Letters: B batch, S stems, C channels, T samples (or frames) of a chunk, n of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majl_cli.device import Runtime
from majl_cli.errors import CheckpointError, DeviceError, UsageError
from majl_cli.models.contracts import PitchModule, SeparationModule

Block = NDArray[np.float32]
DEFAULT_OVERLAP = 0.25


@dataclass(frozen=True, kw_only=True)
class ChunkPlan:
    """All in samples (or all in frames): chunks of ``length`` every ``step``, inner edges unreliable for ``margin``.

    ``fill_last``: the last chunk reaches back to full length (it starts on a multiple of ``stride``), for modules
    that need as much input as they can get.
    """

    length: int
    step: int
    margin: int = 0
    stride: int = 1
    fill_last: bool = False

    def __post_init__(self) -> None:
        assert 0 < self.step <= self.length
        assert self.step % self.stride == 0
        assert 2 * self.margin <= self.overlap

    @property
    def overlap(self) -> int:
        """What two neighbours share."""
        return self.length - self.step

    @property
    def history(self) -> int:
        """How far before its regular start the last chunk may begin."""
        return self.length + self.stride if self.fill_last else 0

    def in_frames(self, hop_length: int) -> ChunkPlan:
        """The same plan counted in frames of ``hop_length`` samples."""
        sizes = (self.length, self.step, self.margin, self.stride)
        assert not any(size % hop_length for size in sizes)
        length, step, margin, stride = (size // hop_length for size in sizes)
        return ChunkPlan(length=length, step=step, margin=margin, stride=stride, fill_last=self.fill_last)


def plan_chunks(module: SeparationModule | PitchModule, *, overlap: float | None = None, unit: int = 1) -> ChunkPlan:
    """The plan for a module, in samples at its rate; the margin is a multiple of ``unit``.

    Chunks last ``module.segment``, up to a whole number of strides, or twice what the context makes them share if that
    is longer. Neighbours share twice the context, or the fraction ``overlap`` of a chunk if that is more (default: 0.25
    for a module whose context is the whole input, else 0). Raises UsageError for an overlap outside [0, 1).
    """
    if overlap is not None and not 0 <= overlap < 1:
        raise UsageError(f"overlap {overlap}: not a fraction of a chunk", "use a value from 0 up to 0.95")
    stride = math.lcm(module.stride, unit)
    whole = module.context is None
    margin = 0 if module.context is None else _ceil_to(math.ceil(module.context * module.sample_rate), unit)
    needed = _ceil_to(2 * margin, stride)
    length = max(_ceil_to(round(module.segment * module.sample_rate), stride), 2 * needed, stride)
    if overlap is None:
        overlap = DEFAULT_OVERLAP if whole else 0.0
    shared = max(needed, _ceil_to(round(overlap * length), stride))
    step = max(stride, length - shared)
    return ChunkPlan(length=length, step=step, margin=margin, stride=stride, fill_last=whole)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """``audio`` (C, T); its first ``lead`` samples are context only, their output is dropped."""

    audio: Block
    first: bool
    last: bool
    lead: int = 0


def cut_chunks(blocks: Iterable[Block], plan: ChunkPlan) -> Iterator[Chunk]:
    """Blocks (n, C) to chunks (C, T). Holds at most a chunk, its history and a block; no samples, no chunk."""
    pieces: list[Block] = []
    begin = held = start = 0  # of the buffer, of the buffer, of the next chunk; in samples
    for block in blocks:
        pieces.append(block.T)
        held += len(block)
        while begin + held - start > plan.length:
            audio = _joined(pieces)
            at = start - begin
            yield Chunk(audio=audio[:, at : at + plan.length], first=start == 0, last=False)
            start += plan.step
            drop = max(0, start - plan.history - begin)
            pieces = [audio[:, drop:]]
            begin, held = begin + drop, held - drop
    if not held:
        return
    lead = 0
    if plan.fill_last:
        earliest = max(0, begin + held - plan.length) // plan.stride * plan.stride
        lead = max(0, start - earliest)
    at = start - lead - begin
    yield Chunk(audio=_joined(pieces)[:, at:], first=start == 0, last=True, lead=lead)


class OverlapAdd:
    """Joins the chunks' outputs, whose last axis is time; ``add`` gives back what no later chunk can change."""

    def __init__(self, plan: ChunkPlan) -> None:
        self.plan = plan
        self._tail: Block | None = None
        self._tail_weight = np.zeros(0, np.float32)

    def add(self, output: Block, *, first: bool, last: bool, lead: int = 0) -> Block:
        """The output (..., T) of the next chunk to the next final part (..., n)."""
        output = output[..., lead:]
        weight = self._weight(output.shape[-1], first=first, last=last)
        total = output * weight
        if self._tail is not None:
            shared = self._tail.shape[-1]
            total[..., :shared] += self._tail
            weight[:shared] += self._tail_weight
        if last:
            self._tail = None
            return total / weight
        step = self.plan.step
        self._tail, self._tail_weight = total[..., step:].copy(), weight[step:]
        return total[..., :step] / weight[:step]

    def _weight(self, length: int, *, first: bool, last: bool) -> Block:
        """(length,): 0 within the margin of an inner edge, then rising to 1 over the rest of the overlap."""
        margin = self.plan.margin
        fade = self.plan.overlap - 2 * margin
        ramp = np.clip((np.arange(length) - margin + 1) / (fade + 1), 0.0, 1.0).astype(np.float32)
        weight = np.ones(length, np.float32)
        if not first:
            weight = np.minimum(weight, ramp)
        if not last:
            weight = np.minimum(weight, ramp[::-1])
        return weight


def process_blocks(
    blocks: Iterable[Block], process: Callable[[Block], Block | Tensor], plan: ChunkPlan
) -> Iterator[Block]:
    """Blocks (n, C) through ``process``, (C, T) to (S, C, T) each chunk, to blocks (S, n, C) as soon as final."""
    return process_batches(blocks, lambda chunks: np.asarray(process(chunks[0]))[None], plan, size=1)


def process_batches(
    blocks: Iterable[Block], process: Callable[[Block], Iterable[Block]], plan: ChunkPlan, *, size: int
) -> Iterator[Block]:
    """As ``process_blocks``, up to ``size`` chunks at once: ``process`` takes (B, C, T) to B times (S, C, T)."""
    joined = OverlapAdd(plan)
    for chunks in in_batches(cut_chunks(blocks, plan), size):
        for chunk, output in zip(chunks, process(np.stack([chunk.audio for chunk in chunks])), strict=True):
            output = np.asarray(output, dtype=np.float32)
            yield joined.add(output, first=chunk.first, last=chunk.last, lead=chunk.lead).swapaxes(-1, -2)
        del output  # a view of the whole batch, in the way of the next one


def in_batches(chunks: Iterable[Chunk], size: int) -> Iterator[list[Chunk]]:
    """Neighbours of one length, up to ``size`` at a time: what a GPU computes together."""
    held: list[Chunk] = []
    for chunk in chunks:
        if held and chunk.audio.shape != held[0].audio.shape:
            yield held
            held = []
        held.append(chunk)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def run_module(module: Callable[[Tensor], Tensor], batch: Block, runtime: Runtime) -> Block:
    """``module(batch)`` on the runtime's device and precision, as float32 on the CPU.

    What overflows in reduced precision is computed again in float32; what does not fit into the device's memory, in two
    halves. Raises CheckpointError if it is not finite even then, DeviceError if a single item does not fit or the
    module cannot compute in that precision.
    """
    audio = torch.from_numpy(np.array(batch, dtype=np.float32, order="C"))
    try:
        with torch.inference_mode():
            audio = audio.to(runtime.device)
            with runtime.autocast():
                output = module(audio).float()
            if runtime.precision != "float32" and not torch.isfinite(output).all():
                output = module(audio).float()
            estimate = output.cpu().numpy()
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise DeviceError(f"{runtime.device} has not enough free memory", "use the CPU (--device cpu)") from error
        estimate = None
    except RuntimeError as error:
        if runtime.precision == "float32":
            raise
        message = f"the model cannot compute in {runtime.precision}: {str(error).splitlines()[0]}"
        raise DeviceError(message, "use --precision float32") from error
    if estimate is None:
        half = len(batch) // 2
        return np.concatenate([run_module(module, part, runtime) for part in (batch[:half], batch[half:])])
    if not np.isfinite(estimate).all():
        raise CheckpointError(
            "the model's output is not finite", "its weights may be damaged: copy or download it again"
        )
    return estimate


def _joined(pieces: list[Block]) -> Block:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


def _ceil_to(value: int, unit: int) -> int:
    return -(-value // unit) * unit
