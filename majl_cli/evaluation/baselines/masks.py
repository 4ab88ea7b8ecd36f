"""The ceilings: masks computed from the references themselves and applied to the mixture.

The STFT has Hann windows of about 93 ms, a quarter apart (see spectra); channels are masked independently. As they
read the references, their scores say what a mask of that kind allows, not what a method reaches. The ratio mask is no
bound for methods that change the phase; the complex mask is one for nearly all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import AudioReader
from majl_cli.evaluation.baselines.families import Separator, estimate_writers
from majl_cli.evaluation.baselines.spectra import Spectra, fitting_n_fft, map_spectra
from majl_cli.evaluation.prepared import PreparedTrack

POWER = 2
LARGEST_GAIN = 10.0
TINY = np.finfo(np.float64).tiny


class Oracle(Separator):
    """A mask for every stem with a reference, from references that do not overlap (vocals and accompaniment)."""

    kind = "oracle"

    @abstractmethod
    def estimates(self, mixture: Spectra, references: Spectra) -> Spectra:
        """(S, C, N, F) from the mixture's (C, N, F) and the references' (S, C, N, F)."""

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        stems = list(prepared.references)
        if not stems:
            return {}
        paths = [prepared.mixture, *prepared.references.values()]
        n_fft = fitting_n_fft(prepared.sample_rate)
        with estimate_writers(prepared, folder, stems) as (files, writers):
            for block in map_spectra(_blocks(paths), lambda s: self.estimates(s[0], s[1:]), n_fft=n_fft):
                for stem, audio in zip(stems, block, strict=True):
                    writers[stem].write(audio)
        return files


class IdealRatioMask(Oracle):
    """Mask |S_i|^2 / sum_j |S_j|^2: SiSEC 2018's "IRM2" (Stöter, Liutkus, Ito, LVA/ICA 2018; alpha = 2), the mask
    with the least expected squared error for independent sources (the Wiener gain). The phase stays the mixture's.

    Where only one reference is known, the rest of the mixture is the other source. The estimates of all sources
    add up to the mixture.
    """

    name = "irm"
    description = "oracle: ideal ratio mask of the references' powers (SiSEC's IRM2), with the mixture's phase"

    def estimates(self, mixture: Spectra, references: Spectra) -> Spectra:
        sources = references if len(references) > 1 else np.stack((references[0], mixture - references[0]))
        powers = np.abs(sources) ** POWER
        # Below TINY all sources are silent, and so is the mixture.
        return powers[: len(references)] / np.maximum(powers.sum(axis=0), TINY) * mixture


class IdealComplexMask(Oracle):
    """Complex mask S_i / X (Williamson, Wang and Wang, 2016), at most 10 in magnitude (20 dB).

    Where the mixture has cancelled out, even the largest gain does not bring the reference back; everywhere else the
    estimate is the reference.
    """

    name = "icm"
    description = "oracle: ideal complex mask of the references, at most 20 dB of gain"

    def estimates(self, mixture: Spectra, references: Spectra) -> Spectra:
        # S / X times X is S, and |S / X| <= 10 is |S| <= 10 |X|: so nothing is divided by a silent mixture.
        allowed = np.broadcast_to(LARGEST_GAIN * np.abs(mixture), references.shape)
        size = np.abs(references)
        return references * np.divide(allowed, size, out=np.ones_like(size), where=size > allowed)


def _blocks(paths: list[Path]) -> Iterator[NDArray[np.float32]]:
    """(I, n, C): files of one length and one number of channels, read in step."""
    with ExitStack() as stack:
        readers = [stack.enter_context(AudioReader(path)) for path in paths]
        for blocks in zip(*(reader.blocks() for reader in readers), strict=True):
            yield np.stack(blocks)
