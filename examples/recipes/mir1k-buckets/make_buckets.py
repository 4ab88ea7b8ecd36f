"""Turn MIR-1K into the three buckets of the method, by singer, to try the whole of it on one free-standing corpus.

    python examples/recipes/mir1k-buckets/make_buckets.py ../shared/data/mir1k runs/buckets

Voice and accompaniment of every clip are brought to the same energy (0 dB). Of the training singers four keep stems
and pitch (full), four lose their pitch (mss) and four their stems (pe: a mono mixture is written, and no stem). Of the
validation singers one of either sex chooses checkpoints and calibrates (validation), the other two are for the figures
(test). The audio is decoded once to 16-bit WAV, which makes training faster. Songs whose karaoke track is shared with a
singer of another bucket are left out, so that nothing a bucket lost can be found in another; so are the three singers
whose recordings were not at hand when the published figures were made.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import soundfile

from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import Stem, Track, summary, write_manifest
from majl_cli.evaluation.sources import load_sources, mix_at

BUCKETS = {
    "full": ("Kenshin", "yifen", "ariel", "stool"),
    "mss": ("fdps", "davidson", "geniusturtle", "Ani"),
    "pe": ("leon", "bobon", "tammy", "amy"),
}
TEST_SINGERS = ("titon", "jmzen")
SHARED_SONGS = ("Kenshin_5", "leon_2", "yifen_2")  # beside davidson_3 and fdps_3, and amy_7


def bucketed(track: Track, out: Path) -> Track | None:
    """The track with the labels its singer keeps, its audio written below ``out``; None for one that is left out."""
    song = "_".join(track.id.split("_")[:2])
    bucket = next((name for name, singers in BUCKETS.items() if track.artist in singers), "full")
    if track.split not in ("train", "validation") or song in SHARED_SONGS:
        return None
    vocals, accompaniment, rate = load_sources(track)
    sources = np.concatenate(mix_at(vocals, accompaniment, 0.0)[::-1], axis=1)  # accompaniment left, voice right
    sources /= max(1.0, np.abs(sources.sum(axis=1)).max() / 0.99, np.abs(sources).max() / 0.99)
    path = out / "audio" / f"{track.id}.wav"
    split = "test" if track.artist in TEST_SINGERS else track.split
    if bucket == "pe":
        soundfile.write(path, sources.sum(axis=1), rate, subtype="PCM_16")
        return dataclasses.replace(track, labels="pe", stems={}, mixture=Stem(path=path))
    soundfile.write(path, sources, rate, subtype="PCM_16")
    stems = {"accompaniment": Stem(path=path, channel=0), "vocals": Stem(path=path, channel=1)}
    track = dataclasses.replace(track, stems=stems, split=split)
    return dataclasses.replace(track, labels="mss", pitch=None, pitch_format="csv") if bucket == "mss" else track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mir1k", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    (given.out / "audio").mkdir(parents=True, exist_ok=True)
    tracks = [bucketed(track, given.out) for track in corpora["mir-1k"](given.mir1k)]
    kept = [track for track in tracks if track is not None]
    write_manifest(given.out / "buckets.jsonl", kept)
    for key, row in summary(kept).items():
        print(f"{key}: {row}")


if __name__ == "__main__":
    main()
