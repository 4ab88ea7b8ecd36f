"""Write a run's best checkpoint as the embedded model: float16 weights, averaging over two positions of the grid.

    python examples/recipes/v0/export.py runs/v0 majl_cli/weights/majl-base

The model card, README.md beside the weights, is kept.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from majl_cli.hub import find_checkpoint
from majl_cli.models.checkpoint import load_checkpoint, save_checkpoint
from majl_cli.training.stage1 import without_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("folder", type=Path, help="where the checkpoint goes")
    parser.add_argument("--shifts", type=int, default=2, help="positions of the STFT's grid to average over")
    arguments = parser.parse_args()
    joint, info = load_checkpoint(find_checkpoint(str(arguments.run)))
    names = {kind: info.architecture[kind]["name"] for kind in ("separation", "pitch")}
    joint.separation.config = dataclasses.replace(joint.separation.config, shifts=arguments.shifts)
    card = arguments.folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else None
    training = info.metadata["training"]
    metadata = {**info.metadata, "training": {**training, "config": without_paths(training["config"])}}
    save_checkpoint(arguments.folder, joint, **names, metadata=metadata, half=True)
    if text is not None:
        card.write_text(text, encoding="utf-8")
    size = sum(path.stat().st_size for path in arguments.folder.iterdir())
    print(f"{arguments.folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
