"""What baselines have in common: a separator finds no melody, a pitch tracker separates nothing."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import AudioWriter, read_audio
from majl_cli.convert import frames_to_seconds
from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, DependencyError, UsageError
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.evaluation.results import F0
from majl_cli.inference.outputs import stem_writers
from majl_cli.resample import resample, resampled_length

VOCALS, ACCOMPANIMENT = "vocals", "accompaniment"
SAMPLE_RATE = 16000  # of all pitch trackers here, so that a hop of 10 ms is so to the sample
HOP_LENGTH = 160
WINDOW_SECONDS = 60  # whole seconds: a window starts on a sample at either rate
CONTEXT_SECONDS = 2


class Separator(ABC):
    """A baseline or oracle of separation; subclasses say their ``name`` and ``description``."""

    name: str
    description: str
    kind = "baseline"
    stems: tuple[str, ...] = (VOCALS, ACCOMPANIMENT)
    inputs: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()

    @abstractmethod
    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """See Estimator."""

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0:
        """Raises UsageError: there is no melody to be had here."""
        raise UsageError(f"{self.name} finds no melody", "choose a baseline that does, for example pyin")

    def note_file(self, track: Track) -> Path | None:
        """None."""
        return None

    def files(self, track: Track) -> list[Path]:
        """None: it works from the mixture."""
        return []


class PitchTracker(ABC):
    """A baseline of pitch: f0 from 0 s on, frame k centred at k * ``hop_length`` samples of 16 kHz (10 ms unless a
    tracker has a hop of its own, a divisor of 2 s), in bounded memory.

    The file is read in windows of 60 s, each with 2 s more on either side that are computed and thrown away; a
    decoder that follows a path (pYIN's and CREPE's do) has long forgotten its start by then. Channels are averaged.
    """

    name: str
    description: str
    kind = "baseline"
    stems: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("mixture", VOCALS)
    trained_on: tuple[str, ...] = ()
    hop_length = HOP_LENGTH

    @abstractmethod
    def track(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        """f0 of samples (T,) at 16 kHz: (T // hop_length + 1,), negative where unvoiced (mir_eval's guess)."""

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """Nothing."""
        return {}

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0:
        """See Estimator. Raises UsageError for another input, DataError where no reference vocals are known."""
        if input not in self.inputs:
            raise UsageError(f"{self.name}: no input {input!r}", f"use one of {', '.join(self.inputs)}")
        if input == VOCALS and VOCALS not in prepared.references:
            raise DataError(f"track {prepared.track.id}: no reference vocals", "find the melody in the mixture instead")
        return self.track_file(prepared.mixture if input == "mixture" else prepared.references[VOCALS], prepared)

    def track_file(self, path: Path, prepared: PreparedTrack) -> F0:
        """f0 of a file with the rate and length of the prepared track."""
        hop, rate = self.hop_length, prepared.sample_rate
        total = resampled_length(prepared.samples, rate, SAMPLE_RATE) // hop + 1
        per_window = WINDOW_SECONDS * SAMPLE_RATE // hop
        parts: list[NDArray[np.float64]] = []
        for first in range(0, total, per_window):
            context = min(first, CONTEXT_SECONDS * SAMPLE_RATE // hop)
            audio = _mono(path, (first - context) * hop // SAMPLE_RATE, rate)
            parts.append(self.track(audio)[context:][: min(per_window, total - first)])
        times = frames_to_seconds(np.arange(total), hop, SAMPLE_RATE)
        return F0(times=times, frequency=np.concatenate(parts))

    def note_file(self, track: Track) -> Path | None:
        """None: the notes are cut from the f0."""
        return None

    def files(self, track: Track) -> list[Path]:
        """None: it works from the mixture."""
        return []


def check_installed(name: str, module: str, package: str) -> None:
    """Raise DependencyError unless the estimator ``name`` can import the ``module`` of a pip ``package``."""
    if importlib.util.find_spec(module) is None:
        raise DependencyError(f"{name} needs {package}, which is not installed", f"pip install {package}")


@contextmanager
def estimate_writers(
    prepared: PreparedTrack, folder: Path, stems: Sequence[str]
) -> Iterator[tuple[dict[str, Path], dict[str, AudioWriter]]]:
    """Paths ``folder/STEM.wav`` and open writers by stem, like the track in rate and channels; all files or none."""
    files = {stem: folder / f"{stem}.wav" for stem in stems}
    with stem_writers(
        files,
        sample_rate=prepared.sample_rate,
        channels=prepared.channels,
        subtype="FLOAT",
        format="wav",
        done=lambda: None,
    ) as writers:
        yield files, writers


def _mono(path: Path, start_second: int, rate: int) -> NDArray[np.float32]:
    """One window with what surrounds it, from a whole second on: (T,) at 16 kHz, the mean of the channels."""
    before = CONTEXT_SECONDS if start_second else 0
    seconds = before + WINDOW_SECONDS + CONTEXT_SECONDS
    audio, _ = read_audio(path, start=start_second * rate, frames=seconds * rate)
    audio = resample(audio.mean(axis=1, dtype=np.float32), rate, SAMPLE_RATE)
    return audio if len(audio) else np.zeros(1, np.float32)  # a single sample may round to none
