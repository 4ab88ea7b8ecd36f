"""BSS Eval, versions 4 and 3: how much of an estimate's error is filtering, interference and artefacts.

Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation" (2006), split an estimate e into
the true source s, and differences of projections (see ``bsseval_projection``, filters of 512 taps): P on all
references, P_j on the estimate's own. Stöter, Liutkus, Ito, "The 2018 Signal Separation Evaluation Campaign" (2018),
keep the filters of the whole track, and rate windows of 1 s. Energies are summed over channels and over the samples of
a window and the filters' tails::

            version 4 (images)         version 3 (sources)
    SDR     |s|² / |e - s|²            |P_j|² / |e - P_j|²
    ISR     |s|² / |P_j - s|²
    SIR     |P_j|² / |P - P_j|²        the same
    SAR     |P|² / |e - P|²            the same

Results in dB agree with ``museval.metrics.bss_eval`` and ``mir_eval.separation.bss_eval_sources``, estimates taken as
they come (no permutation). Where these refuse, the results are:

* a reference that is silent throughout: nan for its estimates; the others are scored as if it were not there;
* an estimate that is silent throughout: nan, and nothing changes for the others;
* version 4, a window where any other reference or estimate is silent (channels sum to 0 in all samples): nan for all
  estimates. As in museval; so the more sources a track is split into, the more windows are skipped;
* one reference: SIR inf, for nothing interferes. No error at all: inf;
* less than (S C - 1) 511 samples: any estimate can be filtered out of the references, so SIR and SAR mean nothing.

Music that went through a lossy coder leaves the filters of version 4 to rounding where it holds next to nothing (see
``normal_equations``): SIR and SAR then differ from museval's, as museval's own do once the audio is scaled, by
hundredths of a dB, seldom more. SDR and ISR agree in any case.

Memory does not grow with length (but for the results, four numbers a window). The blocks are read twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majl_cli.errors import UsageError
from majl_cli.metrics.blocks import Blocks, Chunk, checked_matches, rechunk
from majl_cli.metrics.bsseval_projection import Correlations, Filters, Projector, chunk_size

FloatArray = NDArray[np.float64]

_TAPS = 512
_WINDOW_SAMPLES = 1 << 16  # of windows that are worked on at a time


@dataclass(frozen=True, kw_only=True)
class BssEvalV4:
    """Scores (E, windows) in dB, nan in windows that do not count for an estimate."""

    sdr: FloatArray
    isr: FloatArray
    sir: FloatArray
    sar: FloatArray

    @property
    def windows(self) -> int:
        return self.sdr.shape[1]

    @property
    def skipped(self) -> NDArray[np.int64]:
        """How many windows do not count, (E,)."""
        return np.isnan(self.sdr).sum(axis=1)

    @property
    def sdr_median(self) -> FloatArray:
        """Median over the windows that count, (E,); nan if there is none."""
        return _medians(self.sdr)

    @property
    def isr_median(self) -> FloatArray:
        return _medians(self.isr)

    @property
    def sir_median(self) -> FloatArray:
        return _medians(self.sir)

    @property
    def sar_median(self) -> FloatArray:
        return _medians(self.sar)


@dataclass(frozen=True, kw_only=True)
class BssEvalV3:
    """Scores (E,) in dB over the whole track."""

    sdr: FloatArray
    sir: FloatArray
    sar: FloatArray


@dataclass(frozen=True, kw_only=True)
class _FirstPass:
    filters: Filters
    matches: list[int]
    samples: int
    silent_references: list[int]
    silent_estimates: list[int]


def bss_eval_v4(
    blocks: Blocks,
    *,
    sample_rate: int,
    matches: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
) -> BssEvalV4:
    """SDR, ISR, SIR, SAR of each estimate in windows of 1 s, as museval (version 4, filters of the whole track).

    ``matches`` says which reference each estimate belongs to, the first in order if left out; one reference may have
    several estimates (the mixture among them). What is left after the last whole window counts for the filters only;
    a track shorter than a window is one window. Raises DataError if shapes differ or a sample is not finite.
    """
    if sample_rate < 1:
        raise UsageError(f"a sample rate of {sample_rate} Hz has no window of 1 s", "give the rate of the audio in Hz")
    first = _first_pass(blocks, matches, torch.device(device), mono=False)
    window = min(sample_rate, first.samples)
    count = first.samples // window
    projector = Projector(first.filters, first.matches, window + _TAPS - 1)
    together = max(1, _WINDOW_SAMPLES // window)
    scores = np.full((4, len(first.matches), count), np.nan)
    for number, chunk in enumerate(rechunk(blocks, together * window)):
        here = slice(number * together, min(count, (number + 1) * together))
        windows = here.stop - here.start
        if windows <= 0:
            break  # what is left is no whole window
        signals = _on_device(chunk, device).unflatten(-1, (together, window))[:, :, :windows]
        references, estimates = signals[: chunk.sources], signals[chunk.sources :]
        energies = _Energies.of(projector, first.matches, references, estimates)
        scores[:, :, here] = np.where(_counts(references, estimates, first), energies.version_4(), np.nan)
    return BssEvalV4(sdr=scores[0], isr=scores[1], sir=scores[2], sar=scores[3])


def bss_eval_v3(
    blocks: Blocks, *, matches: Sequence[int] | None = None, device: str | torch.device = "cpu"
) -> BssEvalV3:
    """SDR, SIR, SAR of each estimate over the whole track, as mir_eval's ``bss_eval_sources``, in mono.

    Several channels are averaged to one first. ``matches`` as in ``bss_eval_v4``: for NSDR give the mixture as one more
    estimate of each reference, ``matches=[0, 1, 0, 1]``, and subtract. Raises DataError as ``bss_eval_v4``.
    """
    first = _first_pass(blocks, matches, torch.device(device), mono=True)
    size = chunk_size(_TAPS)
    projector = Projector(first.filters, first.matches, size)
    history, total = None, None
    for chunk in rechunk(blocks, size, tail=_TAPS - 1, mono=True):
        signals = _on_device(chunk, device).unsqueeze(2)
        references, estimates = signals[: chunk.sources], signals[chunk.sources :]
        energies = _Energies.of(projector, first.matches, references, estimates, history)
        history = references[..., size - _TAPS + 1 :].clone()
        total = energies if total is None else total + energies
    assert total is not None
    scores = total.version_3()[:, :, 0]
    for number, match in enumerate(first.matches):
        if match in first.silent_references or number in first.silent_estimates:
            scores[:, number] = np.nan
    return BssEvalV3(sdr=scores[0], sir=scores[1], sar=scores[2])


def _first_pass(blocks: Blocks, matches: Sequence[int] | None, device: torch.device, *, mono: bool) -> _FirstPass:
    """Correlations and energies of the whole track, and the filters that follow from them."""
    correlations, samples = Correlations(taps=_TAPS), 0
    known: list[int] = []
    channels, levels = 0, torch.zeros(0)
    for chunk in rechunk(blocks, chunk_size(_TAPS), mono=mono):
        signals = _on_device(chunk, device)
        if not samples:
            known = checked_matches(matches, chunk.sources, len(signals) - chunk.sources)
            channels = signals.shape[1]
            levels = signals.new_zeros(len(signals))
        levels += torch.linalg.vector_norm(signals, dim=(1, 2))
        correlations.add(signals[: chunk.sources].flatten(0, 1), signals.flatten(0, 1))
        samples += chunk.samples
    silent = (levels == 0).tolist()
    sources = len(silent) - len(known)
    return _FirstPass(
        filters=Filters.from_lags(correlations.lags(), known, channels),
        matches=known,
        samples=samples,
        silent_references=[number for number in range(sources) if silent[number]],
        silent_estimates=[number for number in range(len(known)) if silent[sources + number]],
    )


def _counts(references: Tensor, estimates: Tensor, first: _FirstPass) -> NDArray[np.bool_]:
    """Which windows count for which estimate, (E, W), of ``references`` (S, C, W, samples) and ``estimates`` alike.

    What is silent throughout does not spoil the windows of the others.
    """
    spoiled = np.zeros(references.shape[2], dtype=np.bool_)
    for audio, known in ((references, first.silent_references), (estimates, first.silent_estimates)):
        silent = (audio.sum(dim=1) == 0).all(dim=-1).cpu().numpy()
        silent[known] = False
        spoiled |= silent.any(axis=0)
    scored = [
        number not in first.silent_estimates and match not in first.silent_references
        for number, match in enumerate(first.matches)
    ]
    return np.array(scored)[:, None] & ~spoiled


@dataclass(frozen=True, kw_only=True)
class _Energies:
    """Energies (E, W) of an estimate e, its source s, its projections P and P_j, and of their differences."""

    source: Tensor
    error: Tensor
    own: Tensor
    own_error: Tensor
    spatial: Tensor
    interference: Tensor
    whole: Tensor
    artefacts: Tensor

    @classmethod
    def of(
        cls,
        projector: Projector,
        matches: list[int],
        references: Tensor,
        estimates: Tensor,
        history: Tensor | None = None,
    ) -> _Energies:
        """Energies of ``references`` (S, C, W, samples) and ``estimates`` (E, C, W, samples).

        ``history`` is what came before the references. The projections may be longer than these by the filters' tails.
        """
        whole, own = projector.project(references, history)
        source = references[matches]
        return cls(
            source=_energy(source),
            error=_energy(estimates - source),
            own=_energy(own),
            own_error=_difference(own, estimates),
            spatial=_difference(own, source),
            interference=_energy(whole - own),
            whole=_energy(whole),
            artefacts=_difference(whole, estimates),
        )

    def __add__(self, other: _Energies) -> _Energies:
        return _Energies(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def version_4(self) -> FloatArray:
        """SDR, ISR, SIR, SAR (4, E, W) in dB."""
        return np.stack(
            (
                _decibels(self.source, self.error),
                _decibels(self.source, self.spatial),
                _decibels(self.own, self.interference),
                _decibels(self.whole, self.artefacts),
            )
        )

    def version_3(self) -> FloatArray:
        """SDR, SIR, SAR (3, E, W) in dB."""
        return np.stack(
            (
                _decibels(self.own, self.own_error),
                _decibels(self.own, self.interference),
                _decibels(self.whole, self.artefacts),
            )
        )


def _energy(audio: Tensor) -> Tensor:
    """(E, W) of (E, C, W, samples)."""
    return torch.linalg.vector_norm(audio, dim=-1).square().sum(dim=1)


def _difference(projection: Tensor, audio: Tensor) -> Tensor:
    """Energy (E, W) of what a projection and audio (E, C, W, samples) differ by; beyond its end the audio is silent."""
    end = audio.shape[-1]
    return _energy(projection[..., :end] - audio) + _energy(projection[..., end:])


def _decibels(signal: Tensor, error: Tensor) -> FloatArray:
    """The ratio in dB; inf where nothing is wrong."""
    ratio = 10.0 * (torch.log10(signal) - torch.log10(error))
    return torch.where(error == 0, math.inf, ratio).cpu().numpy()


def _on_device(chunk: Chunk, device: str | torch.device) -> Tensor:
    return torch.from_numpy(chunk.signals).to(device)


def _medians(scores: FloatArray) -> FloatArray:
    """Medians (E,) of (E, windows) over what is not nan; nan where nothing is left."""
    medians = np.full(len(scores), np.nan)
    for number, row in enumerate(scores):
        if (counted := row[~np.isnan(row)]).size:
            medians[number] = np.median(counted)
    return medians
