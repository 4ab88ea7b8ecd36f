"""Audio of any length as pairs (references, estimates) of blocks that follow one another, checked on the way.

References are (S, n, C) and estimates (E, n, C), S, E and C the same in every block, n any size. Metrics go through the
blocks more than once, so they take something that can be iterated again and again: a list, ``ArrayBlocks``, or a class
whose ``__iter__`` opens the files anew; not a generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from majl_cli.errors import DataError

Blocks = Iterable[tuple[ArrayLike, ArrayLike]]
Audio = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class ArrayBlocks:
    """Arrays in memory as blocks of ``size`` samples: references (S, T, C), estimates (E, T, C); (S, T) is mono.

    Raises DataError if samples or channels differ.
    """

    references: ArrayLike
    estimates: ArrayLike
    size: int = 1 << 18

    def __post_init__(self) -> None:
        _check_shapes(*self._arrays())

    def __iter__(self) -> Iterator[tuple[Audio, Audio]]:
        references, estimates = self._arrays()
        for start in range(0, references.shape[1], self.size):
            stop = start + self.size
            yield references[:, start:stop], estimates[:, start:stop]

    def _arrays(self) -> tuple[Audio, Audio]:
        references, estimates = (np.asarray(each) for each in (self.references, self.estimates))
        return tuple(each[..., None] if each.ndim == 2 else each for each in (references, estimates))  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """``signals`` (S + E, C, size), the ``sources`` references first, float64, silent after the first ``samples``.

    The next chunk overwrites the array.
    """

    signals: NDArray[np.float64]
    sources: int
    samples: int


def checked(blocks: Blocks) -> Iterator[tuple[Audio, Audio]]:
    """The blocks as arrays. Raises DataError for shapes that do not fit, no samples at all, or one not finite."""
    if iter(blocks) is blocks:
        raise DataError("the blocks can be read once only", "give a list, or a class whose __iter__ starts anew")
    samples, kept = 0, None
    for pair in blocks:
        references, estimates = (np.asarray(each) for each in pair)
        _check_shapes(references, estimates)
        sizes = (len(references), len(estimates), references.shape[2])
        if kept not in (None, sizes):
            raise DataError(
                f"references, estimates and channels were {kept} and are {sizes} from sample {samples} on",
                "give the same ones in every block",
            )
        kept = sizes
        for name, audio in (("reference", references), ("estimate", estimates)):
            _check_finite(name, audio, samples)
        samples += references.shape[1]
        yield references, estimates
    if samples == 0:
        raise DataError("there is no sample to score", "give at least one block that is not empty")


def rechunk(blocks: Blocks, size: int, *, tail: int = 0, mono: bool = False) -> Iterator[Chunk]:
    """The blocks as chunks of ``size`` samples, ``tail`` samples of silence after the last.

    With ``mono`` the channels are averaged to one.
    """
    buffer, filled, count = np.zeros((0, 0, 0)), 0, 0
    for references, estimates in checked(blocks):
        if not buffer.size:
            count = len(references)
            channels = 1 if mono else references.shape[2]
            buffer = np.zeros((count + len(estimates), channels, size))
        start = 0
        while start < references.shape[1]:
            stop = min(references.shape[1], start + size - filled)
            for rows, audio in ((slice(count), references), (slice(count, None), estimates)):
                piece = audio[:, start:stop]
                piece = _mono(piece) if mono else piece
                buffer[rows, :, filled : filled + stop - start] = piece.transpose(0, 2, 1)
            filled += stop - start
            start = stop
            if filled == size:
                yield Chunk(signals=buffer, sources=count, samples=size)
                filled = 0
    held = filled
    while held + tail > 0:
        buffer[:, :, filled:] = 0.0
        yield Chunk(signals=buffer, sources=count, samples=filled)
        held, tail, filled = 0, max(0, tail - (size - held)), 0


def checked_matches(matches: Sequence[int] | None, references: int, estimates: int) -> list[int]:
    """Which reference each estimate belongs to; without ``matches`` the first ones in order."""
    found = list(range(estimates)) if matches is None else [int(match) for match in matches]
    if len(found) != estimates or not all(0 <= match < references for match in found):
        raise DataError(
            f"matches {found} do not fit {estimates} estimates and {references} references",
            f"name one reference, 0 to {references - 1}, for each estimate",
        )
    return found


def _mono(audio: Audio) -> Audio:
    """The mean over channels (S, n, 1); a sum of whole channels, as numpy's mean over an inner axis is slow."""
    total = audio[:, :, 0].astype(np.float64)
    for channel in range(1, audio.shape[2]):
        total += audio[:, :, channel]
    return (total / audio.shape[2])[:, :, None]


def _check_shapes(references: Audio, estimates: Audio) -> None:
    if references.ndim != 3 or estimates.ndim != 3 or references.shape[1:] != estimates.shape[1:]:
        raise DataError(
            f"references {references.shape} and estimates {estimates.shape} differ in samples or channels",
            "give (sources, samples, channels), trimmed or padded to the same samples",
        )
    if 0 in (len(references), len(estimates), references.shape[2]):
        raise DataError(
            f"references {references.shape} and estimates {estimates.shape} hold nothing to compare",
            "give at least one reference, one estimate and one channel",
        )


def _check_finite(name: str, audio: Audio, before: int) -> None:
    if np.isfinite(audio).all():
        return
    number, sample, _ = np.argwhere(~np.isfinite(audio))[0]
    raise DataError(
        f"sample {before + sample} of {name} {number} is not finite ({audio[~np.isfinite(audio)][0]})",
        "look for nan or inf in what was read or in the model's output",
    )
