"""A model at work: the two things users ask of it, on files or arrays."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from majl_cli.audio import matching_subtype
from majl_cli.device import Runtime
from majl_cli.errors import Cancelled, UsageError
from majl_cli.inference.chunks import Block
from majl_cli.inference.detect import detect_input
from majl_cli.inference.outputs import check_targets, stem_names, stem_writers
from majl_cli.inference.pitch import INPUTS, PitchTrack, check_decoding, estimate_pitch_blocks
from majl_cli.inference.separation import separate_blocks
from majl_cli.inference.source import OpenSource, make_source
from majl_cli.models.checkpoint import CheckpointInfo
from majl_cli.models.joint import JointModel
from majl_cli.models.stems import StemNames

ProgressCallback = Callable[[float], bool | None]


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What ``Model.separate`` gives.

    ``stems`` (samples, channels) by name, or None when they went to ``files``; ``seconds`` of audio took ``elapsed``
    seconds; ``clipped`` samples over full scale per stem (0 for arrays and float files, which keep them).
    """

    stems: dict[str, NDArray[np.float32]] | None
    files: dict[str, Path]
    sample_rate: int
    seconds: float
    elapsed: float
    clipped: dict[str, int] = field(default_factory=dict)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of audio."""
        return self.elapsed / self.seconds


class Model:
    """A joint model ready to use: ``joint`` is moved to the runtime's device and put in evaluation mode.

    ``progress`` callbacks get a fraction in [0, 1] that never falls and ends with 1.0; one that returns False stops
    the work: Cancelled is raised and nothing half-written stays.
    """

    def __init__(self, joint: JointModel, info: CheckpointInfo, runtime: Runtime) -> None:
        self.joint = joint.to(runtime.device).eval()
        self.info = info
        self.runtime = runtime

    @property
    def stems(self) -> StemNames:
        """The names of the stems it gives."""
        estimated = tuple(self.joint.separation.stems)
        return StemNames(estimated=estimated, target=self.joint.target, preferred=self.info.default_stems)

    def separate(
        self,
        source: str | Path | NDArray[Any],
        *,
        sample_rate: int | None = None,
        stems: str | Sequence[str] | None = None,
        out: str | Path | None = None,
        filename: str = "{track}/{stem}.{ext}",
        format: str | None = None,
        subtype: str | None = None,
        overlap: float | None = None,
        overwrite: bool = True,
        progress: ProgressCallback | None = None,
    ) -> Separation:
        """Stems of a file, or of an array (samples,) or (samples, channels) at ``sample_rate``, as long and aligned.

        ``stems``: names in ``self.stems.known``, or "all" that the model estimates; by default vocals and
        accompaniment, or all, where they take it apart. "accompaniment" and "no_drums" are the mixture without one
        stem, so that with it they add up to the input exactly.
        With ``out`` they are written below that folder as ``filename`` says (``format`` wav, flac, mp3 or ogg;
        ``subtype`` like "PCM_24", default the input's depth), all of them or none, and memory stays bounded; without,
        they come back as arrays. ``overlap`` in [0, 1): share of a chunk repeated by the next. Raises MajlError.
        """
        start = time.perf_counter()
        given = make_source(source, sample_rate)
        stems = self.stems.select((stems,) if isinstance(stems, str) else stems)
        if out is None and not (format is None and subtype is None):
            raise UsageError("format and subtype are for files", "say where they go with out=")
        format = format or "wav"
        files = {}
        if out is not None:
            names = stem_names(filename, track=given.name, stems=stems, format=format)
            files = {stem: Path(out) / name for stem, name in names.items()}
            check_targets(files.values(), overwrite=overwrite, source=given.path)
        arrays: dict[str, NDArray[np.float32]] | None = None
        clipped = dict.fromkeys(stems, 0)
        with given.open() as opened:
            report = _Progress(given.name, opened.sample_rate, opened.frames, progress)
            blocks = self._separated(opened, stems, overlap, report)
            if out is None:
                arrays = _collect(blocks, stems)
                report.finish()
            else:
                subtype = subtype or matching_subtype(opened.info, format.upper())
                clipped = _write(blocks, files, opened, format=format, subtype=subtype, done=report.finish)
        return Separation(
            stems=arrays,
            files=files,
            sample_rate=opened.sample_rate,
            seconds=report.seconds,
            elapsed=time.perf_counter() - start,
            clipped=clipped,
        )

    def estimate_pitch(
        self,
        source: str | Path | NDArray[Any],
        *,
        sample_rate: int | None = None,
        input: str = "auto",
        decoder: str = "argmax",
        threshold: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> PitchTrack:
        """The melody of a file or an array; ``input`` "mixture", "vocals" (a solo voice), or "auto": listen first.

        ``decoder`` "argmax" or "viterbi"; ``threshold`` in [0, 1] (None: the model's) is the confidence from which a
        frame is voiced. What the input was taken for is in the result. Raises MajlError.
        """
        if input not in (*INPUTS, "auto"):
            raise UsageError(f"no kind of input {input!r}", f"use one of {', '.join(INPUTS)}, auto")
        check_decoding(decoder, threshold)
        given = make_source(source, sample_rate)
        if input == "auto":
            input, _ = self.detect_input(source, sample_rate=sample_rate)
        with given.open() as opened:
            report = _Progress(given.name, opened.sample_rate, opened.frames, progress)
            track = estimate_pitch_blocks(
                self.joint,
                opened.blocks,
                opened.sample_rate,
                opened.channels,
                input=input,
                runtime=self.runtime,
                decoder=decoder,
                threshold=threshold,
                progress=report.reach,
            )
        report.finish()
        return track

    def detect_input(self, source: str | Path | NDArray[Any], *, sample_rate: int | None = None) -> tuple[str, float]:
        """What "auto" takes the input for, and the accompaniment's level in dB that decides."""
        with make_source(source, sample_rate).open() as opened:
            return detect_input(self.joint, opened.blocks, opened.sample_rate, opened.channels, runtime=self.runtime)

    def fingerprint(self) -> str:
        """A SHA-256 of architecture and weights, in hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self.info.architecture, sort_keys=True, default=str).encode())
        for name, tensor in sorted(self.joint.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _separated(
        self, opened: OpenSource, stems: Sequence[str], overlap: float | None, report: _Progress
    ) -> Iterator[dict[str, Block]]:
        separated = separate_blocks(
            self.joint.separation,
            opened.blocks,
            opened.sample_rate,
            opened.channels,
            runtime=self.runtime,
            stems=stems,
            overlap=overlap,
            target=self.joint.target,
        )
        done = 0
        for block in separated:
            yield block
            done += len(block[stems[0]])
            report.reach(done / opened.sample_rate)


class _Progress:
    """Tells a callback how far the work is and raises Cancelled when it says False.

    Where the length is unknown the fraction approaches 1 without reaching it.
    """

    def __init__(self, name: str, sample_rate: int, frames: int | None, callback: ProgressCallback | None) -> None:
        self._name = name
        self._total = None if not frames else frames / sample_rate
        self._callback = callback
        self.seconds = 0.0

    def reach(self, seconds: float) -> None:
        """So many seconds of audio are done."""
        self.seconds = seconds
        share = seconds / (seconds + 60.0) if self._total is None else seconds / self._total
        self._tell(min(share, 0.99))

    def finish(self) -> None:
        self._tell(1.0)

    def _tell(self, fraction: float) -> None:
        if self._callback is not None and self._callback(fraction) is False:
            raise Cancelled(f"{self._name}: cancelled at {fraction:.0%}", "nothing was written")


def _collect(blocks: Iterator[dict[str, Block]], stems: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    parts: dict[str, list[Block]] = {stem: [] for stem in stems}
    for block in blocks:
        for stem, audio in block.items():
            parts[stem].append(audio)
    return {stem: np.concatenate(pieces) for stem, pieces in parts.items()}


def _write(
    blocks: Iterator[dict[str, Block]],
    files: dict[str, Path],
    opened: OpenSource,
    *,
    format: str,
    subtype: str,
    done: Callable[[], None],
) -> dict[str, int]:
    """Write the stems to their files, all or none, and say how many samples of each were clipped."""
    with stem_writers(
        files, sample_rate=opened.sample_rate, channels=opened.channels, format=format, subtype=subtype, done=done
    ) as writers:
        for block in blocks:
            for stem, writer in writers.items():
                writer.write(block[stem])
    return {stem: writer.clipped for stem, writer in writers.items()}
