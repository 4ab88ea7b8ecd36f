"""A model as something to score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.evaluation.results import F0
from majl_cli.inference.pitch import INPUTS
from majl_cli.inference.session import Model


class ModelEstimator:
    """``name`` is what tables call the model. Its melody is decoded as ``majl pitch`` does by default."""

    kind = "model"

    def __init__(self, model: Model, name: str) -> None:
        self.model, self.name = model, name
        self.target = model.joint.target
        self.stems: tuple[str, ...] = model.stems.known
        self.inputs: tuple[str, ...] = INPUTS
        self.trained_on = trained_on(model.info.metadata)
        self.description = describe_architecture(model.info.architecture)

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """The stems that there are references of."""
        wanted = [stem for stem in prepared.references if stem in self.stems]
        if not wanted:
            return {}
        return self._write(prepared.mixture, wanted, folder)

    def separate_target(self, mixture: Path, folder: Path) -> Path:
        """The target stem of a file, written below ``folder``, whether or not there is a reference of it."""
        return self._write(mixture, [self.target], folder)[self.target]

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0:
        """Of the mixture: from the target stem if that was separated before, which is what the cascade hears."""
        source = prepared.mixture
        if input == "vocals":
            if self.target not in prepared.references:
                raise DataError(f"track {prepared.track.id}: no clean {self.target}", "score the mixture only")
            source = prepared.references[self.target]
        elif self.target in separated:
            source, input = separated[self.target], "vocals"
        track = self.model.estimate_pitch(source, input=input)
        return F0(times=track.times, frequency=np.where(track.voiced, track.frequency, -track.frequency))

    def _write(self, mixture: Path, stems: list[str], folder: Path) -> dict[str, Path]:
        separation = self.model.separate(
            mixture, stems=stems, out=folder, filename="{stem}.{ext}", format="wav", subtype="FLOAT"
        )
        return separation.files

    def note_file(self, track: Track) -> Path | None:
        """None: the notes are cut from the f0."""
        return None

    def files(self, track: Track) -> list[Path]:
        """None: it works from the mixture."""
        return []


def trained_on(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """``CORPUS/split`` of what a checkpoint's metadata says it was trained on or chosen by; tracks of other splits were
    in its manifests, and nothing more. Of published models: ``CORPUS`` or ``CORPUS/split`` as their authors say."""
    corpora = metadata.get("training", {}).get("corpora", {})
    names = {key.rpartition("/")[0] for key in corpora}
    own = {name for name in names if name.rpartition("/")[2] in ("train", "validation")}
    return tuple(sorted(own | set(metadata.get("trained_on", ()))))


def describe_architecture(architecture: Mapping[str, Any]) -> str:
    """``unet + salience-cnn``."""
    return " + ".join(str(architecture[part]["name"]) for part in ("separation", "pitch") if part in architecture)
