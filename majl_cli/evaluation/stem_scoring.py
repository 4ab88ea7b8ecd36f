"""The stems of one track scored against their references, in memory that does not grow with the track's length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import BLOCK_FRAMES, AudioReader
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.inference.workers import Stop
from majl_cli.metrics.bsseval import bss_eval_v3, bss_eval_v4
from majl_cli.metrics.streamed import separation_scores, streamed_leakage_db

Audio = NDArray[np.float32]


class WavBlocks:
    """Pairs (references (S, n, C), estimates (E, n, C)) of consecutive blocks of files of one length, as often as they
    are asked for; ``stop`` ends it early."""

    def __init__(self, references: Sequence[Path], estimates: Sequence[Path], stop: Stop) -> None:
        self.references, self.estimates, self.stop = references, estimates, stop

    def __iter__(self) -> Iterator[tuple[Audio, Audio]]:
        with ExitStack() as stack:
            readers = [stack.enter_context(AudioReader(path)) for path in (*self.references, *self.estimates)]
            count = len(self.references)
            pieces = zip(*(reader.blocks(BLOCK_FRAMES) for reader in readers), strict=True)
            for blocks in self.stop.guard(pieces):
                yield np.stack(blocks[:count]), np.stack(blocks[count:])


def score_stems(
    prepared: PreparedTrack, separated: Mapping[str, Path], families: Sequence[str], *, stop: Stop, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, int]]:
    """Scores by key (``vocals/sdr``) of each separated stem, and what was left out: ``windows`` of 1 s over all stems,
    and ``windows_skipped`` of them. Raises MajlError."""
    stems = list(separated)
    matches = [list(prepared.references).index(stem) for stem in stems]
    references, estimates = list(prepared.references.values()), list(separated.values())
    # The mixture as a second estimate of each stem says what was gained.
    with_mixture = WavBlocks(references, [*estimates, prepared.mixture], stop)
    scores: dict[str, float] = {}
    counts: dict[str, int] = {}
    if "energy" in families:
        scores |= _energy(with_mixture, stems, matches, prepared.sample_rate)
    if "v3" in families:
        found = bss_eval_v3(
            WavBlocks(references, [*estimates, *[prepared.mixture] * len(stems)], stop),
            matches=[*matches, *matches],
            device=device,
        )
        for number, stem in enumerate(stems):
            sdr = float(found.sdr[number])
            gain = sdr - float(found.sdr[number + len(stems)])
            scores |= {f"{stem}/v3_sdr": sdr, f"{stem}/v3_nsdr": gain}
            scores |= {f"{stem}/v3_sir": float(found.sir[number]), f"{stem}/v3_sar": float(found.sar[number])}
    if "v4" in families:
        windowed = bss_eval_v4(
            WavBlocks(references, estimates, stop), sample_rate=prepared.sample_rate, matches=matches, device=device
        )
        for kind in ("sdr", "isr", "sir", "sar"):
            medians = getattr(windowed, f"{kind}_median")
            scores |= {f"{stem}/v4_{kind}": float(medians[number]) for number, stem in enumerate(stems)}
        counts = {"windows": windowed.windows * len(stems), "windows_skipped": int(windowed.skipped.sum())}
    return scores, counts


def _energy(
    with_mixture: WavBlocks, stems: Sequence[str], matches: Sequence[int], sample_rate: int
) -> dict[str, float]:
    """Energy ratios and leakage; the last of the estimates is the mixture."""
    *estimates, mixture = with_mixture.estimates
    count = len(stems)
    blocks = WavBlocks(with_mixture.references, [*estimates, *[mixture] * count], with_mixture.stop)
    found = separation_scores(blocks, sample_rate=sample_rate, matches=[*matches, *matches])
    scores: dict[str, float] = {}
    for number, stem in enumerate(stems):
        triples = ((r[matches[number]], e[number], e[-1]) for r, e in with_mixture)
        scores |= {
            f"{stem}/sdr": float(found.global_sdr[number]),
            f"{stem}/sdr_gain": float(found.global_sdr[number]) - float(found.global_sdr[number + count]),
            f"{stem}/si_sdr": float(found.si_sdr[number]),
            f"{stem}/clip_snr": found.clip_snr[number].median,
            f"{stem}/leakage_db": streamed_leakage_db(triples, sample_rate=sample_rate),
        }
    return scores
