"""A pitch tracker that hears the vocals which a model separates, instead of the mixture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from majl_cli.data.manifest import Track
from majl_cli.evaluation.baselines.families import PitchTracker
from majl_cli.evaluation.model_estimator import ModelEstimator
from majl_cli.evaluation.prepared import PreparedTrack
from majl_cli.evaluation.results import F0
from majl_cli.inference.track_log import safe_name


class Behind:
    """``tracker`` behind ``model``. The separated vocals are kept in ``folder``, so that several trackers behind one
    model separate a track once; a folder is for one model and one way of mixing."""

    kind = "baseline"
    stems: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("mixture",)

    def __init__(self, tracker: PitchTracker, model: ModelEstimator, folder: Path) -> None:
        self.tracker, self.model, self.folder = tracker, model, folder
        self.name = f"{tracker.name} behind {model.name}"
        self.description = f"{tracker.description}; on the {model.target} that {model.name} separates"
        self.trained_on = tuple(dict.fromkeys((*tracker.trained_on, *model.trained_on)))

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """Nothing: the separation is the model's to be scored."""
        return {}

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0:
        """See Estimator."""
        place = self.folder / safe_name(prepared.track.id)
        path = place / f"{self.model.target}.wav"
        if not path.exists():
            path = self.model.separate_target(prepared.mixture, place)
        return self.tracker.track_file(path, prepared)

    def note_file(self, track: Track) -> Path | None:
        """None: the notes are cut from the f0."""
        return None

    def files(self, track: Track) -> list[Path]:
        """None: it works from the mixture."""
        return []
