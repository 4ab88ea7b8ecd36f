"""A runner that trains nothing: everything around the trainings is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from songs import SONGS, pseudo_labelled

from majl_cli.data.corpora.stems_folder import stems_folder
from majl_cli.data.manifest import Track, read_manifest, write_manifest
from majl_cli.evaluation.model_scores import TrackScores
from majl_cli.experiments.plans import Arm
from majl_cli.experiments.runner import Effort, Runner, held_out
from majl_cli.project import read_project

ALL = {**SONGS, "test/a": "full", "test/b": "full"}


class Untrained(Runner):
    """Remembers what would be trained, labels by hand (confidence 0.9), and scores the same everywhere."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.trained: list[str] = []

    def _train(self, arm: Arm, config: dict[str, Any], folder: Path) -> None:
        self.trained.append(f"{arm.name}/{config['seed']}")
        for manifest in config["data"].get("manifests", []):
            assert read_manifest(Path(manifest)), "filtered before it is trained on"

    def _label(self, seed: int) -> None:
        out = self.pseudolabels(seed)
        single = [track for track in stems_folder(self.project.folder / "songs") if track.labels in ("mss", "pe")]
        out.mkdir(parents=True, exist_ok=True)
        write_manifest(out / "manifest.jsonl", [pseudo_labelled(track, out) for track in single])
        self.trained.append(f"labels/{seed}")

    def _evaluate(self, checkpoint: Path, tracks: Any, target: str) -> list[tuple[TrackScores, Track]]:
        return [(TrackScores(id=t.id, seconds=1.0, sdr=2.0, mixture_sdr=1.0), t) for t in held_out(tracks)]


def runner_of(file: Path, kind: type[Runner] = Untrained, lines: list[str] | None = None, **effort: Any) -> Any:
    told = [] if lines is None else lines
    return kind(read_project(file), Effort(**{"device": "cpu", "threads": 1, **effort}), tell=told.append)
