"""Stage II: the same cascade, from scratch, on fully labelled and kept pseudo-labelled tracks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from majl_cli.data.manifest import Track
from majl_cli.errors import ConfigError, DataError
from majl_cli.hub.assemble import load_joint
from majl_cli.models.joint import JointModel
from majl_cli.training.stage import Stage
from majl_cli.training.stage_config import StageConfig


@dataclass(frozen=True, kw_only=True)
class Stage2Config(StageConfig):
    """What Stage II depends on; ``init`` is a checkpoint to fine-tune (empty: from scratch, as the paper does)."""

    init: str = ""


class Stage2(Stage):
    """Trains on the fully labelled bucket and on the other two with what the filter kept of their pseudo-labels, a
    third of the segments each unless ``data.buckets`` says otherwise."""

    number = 2
    buckets = {"full": 1.0, "mss": 1.0, "pe": 1.0}

    def __init__(self, config: Stage2Config, run: Path, tracks: Iterable[Track]) -> None:
        self.init = config.init
        tracks = list(tracks)
        labelled = {(track.corpus, track.id) for track in tracks if track.pseudo}
        if not labelled:
            raise DataError(
                "no pseudo-labelled track", "run majl pseudolabel and majl filter first, and give the kept.jsonl"
            )

        def stays(track: Track) -> bool:
            if track.labels not in ("mss", "pe"):
                return True
            dropped = track.split == "train" and not config.data.keep_true_labels
            return not dropped and (track.corpus, track.id) not in labelled

        super().__init__(config, run, [track for track in tracks if stays(track)])

    def initialise(self, joint: JointModel) -> None:
        if not self.init:
            return
        given, _ = load_joint(self.init)
        weights = given.state_dict()
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in joint.state_dict().items()}:
            raise ConfigError(
                f"{self.init}: another architecture than this run's", "give the model section it was trained with"
            )
        joint.load_state_dict(weights)

    def identity(self) -> dict[str, str]:
        return {**super().identity(), "init": self.init}
