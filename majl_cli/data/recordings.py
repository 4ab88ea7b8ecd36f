"""A folder of recordings from several corpora that an ``index.csv`` describes, row by row."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

COLUMNS = (
    "path", "corpus", "split", "role", "stem", "artist", "song", "seconds", "sample_rate", "channels", "clearly_free",
    "labels",
)  # fmt: skip
LABELS = {"mss-only": "mss", "vocals-only": "vocals", "accompaniment-only": "accompaniment"}


def read_recordings(root: Path) -> tuple[list[Track], set[str]]:
    """Every track below ``root`` that has stems, and the ids of those whose licence is clearly free.

    MIR-1K, where there is a folder ``mir1k``, has its own layout. Mixtures without stems and lossless copies stay out.
    Raises DataError.
    """
    rows = [row for row in read_index(root) if not row["path"].startswith("mir1k/")]
    tracks = list(corpora["mir-1k"](root / "mir1k")) if (root / "mir1k").is_dir() else []
    free: set[str] = set()
    songs: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["role"] in LABELS:
            songs[row["song"] if row["role"] == "mss-only" else row["path"]].append(row)
    for parts in sorted(songs.values(), key=_order):
        tracks.append(_track(root, parts))
        if all(row["clearly_free"] == "yes" for row in parts):
            free.add(tracks[-1].id)
    return tracks, free


def read_index(root: Path) -> list[dict[str, str]]:
    """The rows of ``index.csv``, an audio file each, by column (``COLUMNS``). Raises DataError."""
    try:
        with (root / "index.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            if missing := [name for name in COLUMNS if row.get(name) is None]:
                raise ValueError(f"{row.get('path')}: no {missing[0]}")
            int(row["sample_rate"]), int(row["channels"]), float(row["seconds"])
    except (OSError, ValueError) as error:
        raise DataError(f"{root}: no index.csv that can be read: {error}", "give the folder of recordings") from error
    return rows


def _order(rows: list[dict[str, str]]) -> tuple[bool, str]:
    """Single voices and accompaniments as the index has them, then songs of several stems by name."""
    whole = rows[0]["role"] == "mss-only"
    return whole, rows[0]["song"] if whole else ""


def _track(root: Path, rows: list[dict[str, str]]) -> Track:
    """One track of one row per stem."""
    first = rows[0]
    machine = first["labels"] if "f0_machine" in first["labels"] and first["role"] == "vocals-only" else ""
    return Track(
        id=f"{first['artist']}_{first['song']}",
        corpus=first["corpus"],
        split=first["split"],
        artist=first["artist"],
        stems={row["stem"]: Stem(path=root / row["path"]) for row in rows},
        pitch=root / machine if machine else None,
        pitch_format="agree-csv" if machine else "csv",
        sample_rate=int(first["sample_rate"]),
        channels=int(first["channels"]),
        duration=float(first["seconds"]),
        labels=LABELS[first["role"]],
    )
