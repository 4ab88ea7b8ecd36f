"""A track laid out for scoring: its mixture and its reference stems as float WAV files of one rate and length.

Everything is streamed: what a track costs is disk space, not memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import numpy as np

from majl_cli.audio import BLOCK_FRAMES, AudioReader, Block
from majl_cli.data.manifest import Stem, Track, accompaniment_stems, check_rate
from majl_cli.errors import DataError
from majl_cli.evaluation.results import F0
from majl_cli.inference.outputs import stem_writers
from majl_cli.resample import to_channels

ACCOMPANIMENT, MIXTURE = "accompaniment", "mixture"
Parts = Sequence[tuple[float, Stem]]


@dataclass(frozen=True, kw_only=True)
class PreparedTrack:
    """``mixture`` and ``references`` by stem (empty: none known) are float WAV files in a folder of their own, all of
    the same rate, channels and ``samples``. To ``notes`` goes whatever a reader of the scores has to know."""

    track: Track
    mixture: Path
    references: dict[str, Path]
    sample_rate: int
    channels: int
    samples: int
    notes: list[str] = field(default_factory=list)


class Estimator(Protocol):
    """What can be scored: a model, a baseline, an oracle, or the files another tool wrote.

    ``stems`` are the names it can separate (none: no separation), ``inputs`` what it can find the melody in
    ("mixture", "vocals"; none: no melody). ``trained_on`` names corpora, ``CORPUS`` or ``CORPUS/split``.
    """

    name: str
    kind: str
    description: str
    stems: tuple[str, ...]
    inputs: tuple[str, ...]
    trained_on: tuple[str, ...]

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """Estimates by stem, written below ``folder`` as float WAV files as long as the mixture. Raises MajlError."""
        ...

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0 | None:
        """The melody of the mixture, or of the reference vocals; ``separated`` is what ``separate`` gave. None: there
        is no estimate of this track. Raises MajlError."""
        ...

    def note_file(self, track: Track) -> Path | None:
        """A file of notes it has for the track; None: its f0 is cut into notes."""
        ...

    def files(self, track: Track) -> list[Path]:
        """The files its estimates of the track are read from, if they are."""
        ...


def prepare_track(
    track: Track, folder: Path, *, stems: Sequence[str], target: str = "vocals", snr_db: float | None = None
) -> PreparedTrack:
    """Write mixture and references of a track below ``folder``.

    With ``snr_db`` all but the target is scaled so that the energies of target and rest differ by so many dB, and the
    mixture is their sum; else the mixture is the track's own, or the sum of its stems. Of ``stems`` those that the
    track has are references. Raises DataError, AudioError.
    """
    parts = {stem: found for stem in stems if (found := reference_parts(track, stem, target))}
    rest: Parts = accompaniment_stems(track, target)
    whole: Parts = [(1, track.mixture)] if track.mixture is not None else []
    if snr_db is not None or not whole:
        # The whole is made of stems: all of them where there is no target.
        _check_mixable(track, rest, target, snr_db)
        sung = target in track.stems
        whole = [(1, track.stems[target]), *rest] if sung else [(1, stem) for _, stem in sorted(track.stems.items())]
    channels = max(_channels(stem) for found in (whole, *parts.values()) for _, stem in found)
    if snr_db is not None:
        gain = _gain(track, rest, target, channels, snr_db)
        whole = [(1, track.stems[target]), *_scaled(rest, gain)]
        parts = {stem: found if stem == target else _scaled(found, gain) for stem, found in parts.items()}
    names = {name: folder / f"{name}.wav" for name in (MIXTURE, *parts)}
    folder.mkdir(parents=True, exist_ok=True)
    writers = stem_writers(
        names, sample_rate=track.sample_rate, channels=channels, format="wav", subtype="FLOAT", done=lambda: None
    )
    samples = 0
    notes: list[str] = []
    with ExitStack() as stack:
        files = stack.enter_context(writers)
        blocks = sum_blocks(track, whole, channels)
        others = [sum_blocks(track, found, channels) for found in parts.values()]
        for mixture, *references in zip_longest(blocks, *others):
            if mixture is None:
                notes.append("a stem is longer than the mixture: cut")
                break
            files[MIXTURE].write(mixture)
            samples += len(mixture)
            for name, reference in zip(parts, references, strict=True):
                files[name].write(_fitted(reference, len(mixture), channels))
    return PreparedTrack(
        track=track,
        mixture=names.pop(MIXTURE),
        references=names,
        sample_rate=track.sample_rate,
        channels=channels,
        samples=samples,
        notes=notes,
    )


def reference_parts(track: Track, stem: str, target: str = "vocals") -> Parts:
    """What adds up to a stem, as (weight, stem); empty if the track does not have it."""
    if stem in track.stems:
        return [(1, track.stems[stem])]
    return accompaniment_stems(track, target) if stem == ACCOMPANIMENT and target in track.stems else []


def sum_blocks(track: Track, parts: Parts, channels: int) -> Iterator[Block]:
    """Blocks (n, ``channels``) of the weighted sum of the parts, as long as the longest."""
    for blocks in zip_longest(*(_blocks(track, stem) for _, stem in parts)):
        total = np.zeros((max(len(block) for block in blocks if block is not None), channels), np.float32)
        for (weight, _), block in zip(parts, blocks, strict=True):
            if block is not None:
                total[: len(block)] += np.float32(weight) * to_channels(block, channels)
        yield total


def _blocks(track: Track, stem: Stem) -> Iterator[Block]:
    with AudioReader(stem.path, stream=stem.stream) as reader:
        check_rate(track, stem, reader.sample_rate)
        for block in reader.blocks(BLOCK_FRAMES):
            yield block if stem.channel is None else block[:, stem.channel : stem.channel + 1]


def _scaled(parts: Parts, gain: float) -> Parts:
    return [(gain * weight, stem) for weight, stem in parts]


def _channels(stem: Stem) -> int:
    if stem.channel is not None:
        return 1
    with AudioReader(stem.path, stream=stem.stream) as reader:
        return reader.channels


def _check_mixable(track: Track, rest: Parts, target: str, snr_db: float | None) -> None:
    if snr_db is not None and (target not in track.stems or not rest):
        raise DataError(
            f"track {track.id}: cannot be mixed at {snr_db:g} dB without its {target} and accompaniment",
            "choose a protocol that takes mixtures as they are",
        )


def _gain(track: Track, rest: Parts, target: str, channels: int, snr_db: float) -> float:
    """What the accompaniment is multiplied with; 1 where one of the two is silent."""
    energies = [
        sum(float(np.square(block, dtype=np.float64).sum()) for block in sum_blocks(track, parts, channels))
        for parts in ([(1, track.stems[target])], rest)
    ]
    return math.sqrt(energies[0] / energies[1] / 10 ** (snr_db / 10)) if min(energies) > 0 else 1.0


def _fitted(block: Block | None, samples: int, channels: int) -> Block:
    if block is None:
        return np.zeros((samples, channels), np.float32)
    return block[:samples] if len(block) >= samples else np.pad(block, [(0, samples - len(block)), (0, 0)])
