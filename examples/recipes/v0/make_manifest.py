"""Write the manifest the embedded model was trained on, from a folder of recordings and its index.csv.

    python examples/recipes/v0/make_manifest.py ../shared/data runs/v0.jsonl --rendered runs/rendered \\
        --rendered runs/chimes

Used: MIR-1K (stems and pitch), four CC0 songs (stems), a cappella singing with machine f0, sight-singing, music
without singing, and what render_accompaniments.py wrote. What the index marks as validation goes in with that split;
mixtures without stems and lossless copies stay out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from majl_cli.data.manifest import Stem, Track, write_manifest
from majl_cli.data.recordings import read_recordings


def rendered(folder: Path) -> list[Track]:
    """The accompaniments of render_accompaniments.py, as a corpus of the folder's name."""
    return [
        Track(
            id=f"{folder.name}_{path.stem}",
            corpus=folder.name,
            stems={"accompaniment": Stem(path=path)},
            sample_rate=44100,
            channels=2,
            duration=30.0,
            labels="accompaniment",
        )
        for path in sorted(folder.glob("*.ogg"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with index.csv")
    parser.add_argument("manifest", type=Path, help="file to write")
    parser.add_argument(
        "--rendered", type=Path, action="append", default=[], help="a folder of render_accompaniments.py; repeatable"
    )
    arguments = parser.parse_args()
    tracks, _ = read_recordings(arguments.root.resolve())
    tracks += [track for folder in arguments.rendered for track in rendered(folder.resolve())]
    arguments.manifest.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(arguments.manifest, tracks)
    print(f"{arguments.manifest}: {len(tracks)} tracks, {sum(t.duration for t in tracks) / 3600:.2f} h")


if __name__ == "__main__":
    main()
