"""The floor: the mixture itself as the estimate of every stem."""

from __future__ import annotations

from pathlib import Path

from majl_cli.audio import AudioReader
from majl_cli.evaluation.baselines.families import Separator, estimate_writers
from majl_cli.evaluation.prepared import PreparedTrack


class Mixture(Separator):
    """What separating nothing scores; a model has to be better than that. It writes every stem with a reference."""

    name = "mixture"
    description = "the mixture itself as the estimate of every stem"

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        with (
            AudioReader(prepared.mixture) as reader,
            estimate_writers(prepared, folder, list(prepared.references)) as (files, writers),
        ):
            for block in reader.blocks():
                for writer in writers.values():
                    writer.write(block)
        return files
