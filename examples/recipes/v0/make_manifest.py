"""Write the manifest the embedded model was trained on, from a folder of recordings and its index.csv.

    python examples/recipes/v0/make_manifest.py ../shared/data runs/v0.jsonl --rendered runs/rendered \\
        --rendered runs/chimes

Used: MIR-1K (stems and pitch), four CC0 songs (stems), a cappella singing with machine f0, sight-singing, music
without singing, and what render_accompaniments.py wrote. What the index marks as validation goes in with that split;
mixtures without stems and lossless copies stay out.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import Stem, Track, write_manifest


def tracks_of(root: Path) -> list[Track]:
    """Every usable track below ``root``."""
    tracks = list(corpora["mir-1k"](root / "mir1k"))
    songs: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (root / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["path"].startswith("mir1k/")]
    for row in rows:
        if row["role"] == "mss-only":
            songs[row["song"]].append(row)
        elif row["role"] in ("vocals-only", "accompaniment-only"):
            tracks.append(track_of(root, row["song"], [row]))
    tracks += [track_of(root, song, parts) for song, parts in sorted(songs.items())]
    return tracks


def track_of(root: Path, song: str, rows: list[dict[str, str]]) -> Track:
    """One track of one row per stem."""
    first = rows[0]
    stems = {row["stem"]: Stem(path=root / row["path"]) for row in rows}
    machine = first["labels"] if "f0_machine" in first["labels"] and first["role"] == "vocals-only" else ""
    return Track(
        id=f"{first['artist']}_{song}",
        corpus=first["corpus"],
        split=first["split"],
        artist=first["artist"],
        stems=stems,
        pitch=root / machine if machine else None,
        pitch_format="agree-csv" if machine else "csv",
        sample_rate=int(first["sample_rate"]),
        channels=int(first["channels"]),
        duration=float(first["seconds"]),
        labels={"mss-only": "mss", "vocals-only": "vocals", "accompaniment-only": "accompaniment"}[first["role"]],
    )


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
    tracks = tracks_of(arguments.root.resolve())
    tracks += [track for folder in arguments.rendered for track in rendered(folder.resolve())]
    arguments.manifest.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(arguments.manifest, tracks)
    print(f"{arguments.manifest}: {len(tracks)} tracks, {sum(t.duration for t in tracks) / 3600:.2f} h")


if __name__ == "__main__":
    main()
