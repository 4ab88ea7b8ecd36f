"""MIR-ST500 (Wang and Jang, 2021): notes of the singing in 500 pop songs, which are found by their links.

Links die, so any part of the 500 songs will do. A separated ``Vocals`` file beside a mixture is not used.
"""

from __future__ import annotations

import logging
from pathlib import Path

from majl_cli.data.corpora.corpus import EXTENSIONS, Corpus, check_folder, first_few, probe_track
from majl_cli.data.manifest import Stem, Track
from majl_cli.data.note_labels import read_mir_st500_songs
from majl_cli.errors import DataError

logger = logging.getLogger(__name__)
LABEL_FILE = "MIR-ST500_corrected.json"
FIRST_VALIDATION, FIRST_TEST = 381, 401
LAYOUT = f"{LABEL_FILE} and, in any sub-folder, audio as ID.mp3 or ID/Mixture.mp3 (or .wav, .m4a, ...), ID 1 to 500"


def split_of(song: int) -> str:
    """1 to 400 are the corpus's train songs, of which the last 20 are kept for validation; 401 to 500 are test."""
    if song >= FIRST_TEST:
        return "test"
    return "validation" if song >= FIRST_VALIDATION else "train"


def load_mir_st500(folder: Path) -> list[Track]:
    """The songs that have both audio and labels, by id; a warning counts the others. Raises DataError."""
    check_folder(folder, LAYOUT)
    labels = _label_file(folder)
    songs = sorted(int(song) for song in read_mir_st500_songs(labels) if song.isdecimal())
    audio = _audio_files(folder)
    missing = [str(song) for song in songs if song not in audio]
    if not songs or len(missing) == len(songs):
        raise DataError(f"{folder}: no audio for any of the {len(songs)} songs in {labels.name}", f"expected {LAYOUT}")
    if missing:
        logger.warning("MIR-ST500: no audio for %d of %d songs: %s", len(missing), len(songs), first_few(missing))
    tracks = []
    for song in songs:
        if song not in audio:
            continue
        info, seconds = probe_track(audio[song])
        tracks.append(
            Track(
                id=f"mir-st500/{song}",
                corpus="MIR-ST500",
                labels="pe",
                split=split_of(song),
                mixture=Stem(path=audio[song]),
                pitch=labels / str(song),
                pitch_format="mir-st500",
                sample_rate=info.sample_rate,
                channels=info.channels,
                duration=round(seconds, 4),
            )
        )
    return tracks


def _label_file(folder: Path) -> Path:
    """The file of its name anywhere below, else the only JSON file on top."""
    found = sorted(folder.rglob(LABEL_FILE)) or sorted(folder.glob("*.json"))
    if len(found) != 1:
        what = "no" if not found else f"{len(found)}"
        raise DataError(f"{folder}: {what} {LABEL_FILE} in it", f"expected {LAYOUT}")
    return found[0]


def _audio_files(folder: Path) -> dict[int, Path]:
    """By song: ``ID.ext`` or ``ID/Mixture.ext``."""
    files: dict[int, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in EXTENSIONS or path.name.startswith("."):
            continue
        name = path.parent.name if path.stem.casefold() == "mixture" else path.stem
        if name.isdecimal() and path.is_file():
            files.setdefault(int(name), path)
    return files


MIR_ST500 = Corpus(
    name="mir-st500",
    load=load_mir_st500,
    labels="pitch of the voice in the mixture, from notes by hand; no stems",
    obtain="labels and links: the repository york135/singing_transcription_ICASSP2021; audio: from the links",
    licence="no licence found stated for the labels; the songs are commercial recordings",
    layout=LAYOUT,
)
