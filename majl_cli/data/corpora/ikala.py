"""iKala (Chan et al., 2015): 252 clips of 30 s at 44.1 kHz, left accompaniment, right voice, pitch by hand.

Clips are called ``SONG_verse`` and ``SONG_chorus``. ``id_mapping.txt`` (singer, tab, song) names the singers.
"""

from __future__ import annotations

import logging
from pathlib import Path

from majl_cli.data.corpora.corpus import Corpus, check_folder, missing_files, probe_track, split_by_name
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

logger = logging.getLogger(__name__)
SINGER_FILE = "id_mapping.txt"
LAYOUT = f"Wavfile/CLIP.wav and PitchLabel/CLIP.pv for each clip, and {SINGER_FILE} (singer, tab, song)"


def load_ikala(folder: Path) -> list[Track]:
    """All clips, sorted by name; by singer the last is test, the one before validation. Raises DataError."""
    check_folder(folder, LAYOUT)
    clips = sorted((folder / "Wavfile").glob("*.wav"))
    if not clips:
        raise DataError(f"{folder}: no .wav file in Wavfile/", f"expected {LAYOUT}")
    labels = [folder / "PitchLabel" / f"{path.stem}.pv" for path in clips]
    missing = [f"PitchLabel/{path.name}" for path in labels if not path.is_file()]
    if missing:
        raise missing_files(folder, missing, LAYOUT)
    singers = _singers(folder)
    return [_track(path, label, singers) for path, label in zip(clips, labels, strict=True)]


def split_of(song: str, singers: dict[str, str]) -> str:
    """By singer, sorted by name; without their names by song, so that a verse and its chorus stay together."""
    names = sorted(set(singers.values()))
    if song not in singers or len(names) < 3:
        return split_by_name(song)
    return {names[-1]: "test", names[-2]: "validation"}.get(singers[song], "train")


def _track(path: Path, label: Path, singers: dict[str, str]) -> Track:
    info, seconds = probe_track(path)
    if info.channels != 2:
        raise DataError(f"{path}: {info.channels} channels", "iKala clips have two: accompaniment and voice")
    song = path.stem.partition("_")[0]
    return Track(
        id=path.stem,
        corpus="iKala",
        labels="full",
        split=split_of(song, singers),
        artist=singers.get(song, ""),
        stems={"accompaniment": Stem(path=path, channel=0), "vocals": Stem(path=path, channel=1)},
        pitch=label,
        pitch_format="ikala",
        sample_rate=info.sample_rate,
        channels=1,
        duration=round(seconds, 4),
    )


def _singers(folder: Path) -> dict[str, str]:
    """Singer by song; empty where the file is absent."""
    path = folder / SINGER_FILE
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        logger.warning("iKala: no %s, so the splits are by song: a singer may be in several", SINGER_FILE)
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "download it again, or remove it") from error
    if any(len(row) != 2 for row in rows):
        raise DataError(f"{path}: not lines of singer and song", "download it again, or remove it")
    return {song: singer for singer, song in rows if singer != "singer"}


IKALA = Corpus(
    name="ikala",
    load=load_ikala,
    labels="stems (vocals, accompaniment) and pitch by hand",
    obtain="no longer distributed by its authors; for those who have a copy",
    licence="research use, as agreed with its authors",
    layout=LAYOUT,
)
