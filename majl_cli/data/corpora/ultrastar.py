"""UltraStar song folders: karaoke songs with notes, written by players, octave free.

Each ``.txt`` with ``#BPM`` is a song; its ``#AUDIO`` or ``#MP3`` names the recording beside it. Such collections are
never quite in order, so songs that cannot be used are left out with a warning.
"""

from __future__ import annotations

import logging
from pathlib import Path

from majl_cli.data.corpora.corpus import Corpus, check_folder, first_few, probe_track, split_by_name
from majl_cli.data.manifest import Stem, Track
from majl_cli.data.note_labels import read_ultrastar
from majl_cli.errors import AudioError, DataError

logger = logging.getLogger(__name__)
LAYOUT = "in any sub-folder a song's .txt (#TITLE, #ARTIST, #MP3, #BPM, #GAP and notes) beside its recording"


def load_ultrastar(folder: Path) -> list[Track]:
    """All usable songs, sorted by path; a warning counts the others. Raises DataError when there is none."""
    check_folder(folder, LAYOUT)
    songs = [path for path in sorted(folder.rglob("*.txt")) if _is_song(path)]
    if not songs:
        raise DataError(f"{folder}: no UltraStar song in it", f"expected {LAYOUT}")
    tracks, left_out = [], []
    for path in songs:
        try:
            tracks.append(_track(folder, path))
        except (DataError, AudioError) as error:
            left_out.append(error.message)
    if not tracks:
        raise DataError(f"{folder}: none of {len(songs)} songs is usable: {left_out[0]}", f"expected {LAYOUT}")
    if left_out:
        logger.warning("UltraStar: %d of %d songs left out: %s", len(left_out), len(songs), first_few(left_out))
    return tracks


def _track(folder: Path, path: Path) -> Track:
    song = read_ultrastar(path)
    name = song.headers.get("AUDIO") or song.headers.get("MP3", "")
    if not name:
        raise DataError(f"{path}: no #MP3", f"expected {LAYOUT}")
    audio = path.parent / name
    info, seconds = probe_track(audio)
    if all(note.onset >= seconds for note in song.notes):
        raise DataError(f"{path}: its notes start after the recording's end", "check #MP3 and #GAP")
    artist = song.headers.get("ARTIST", "")
    return Track(
        id=path.relative_to(folder).with_suffix("").as_posix(),
        corpus="UltraStar",
        labels="pe",
        split=split_by_name(artist or path.stem),
        artist=artist,
        mixture=Stem(path=audio),
        pitch=path,
        pitch_format="ultrastar",
        octave_free=True,
        sample_rate=info.sample_rate,
        channels=info.channels,
        duration=round(seconds, 4),
    )


def _is_song(path: Path) -> bool:
    """Whether a text file starts with headers and has a tempo."""
    try:
        head = path.read_bytes()[:4096]
    except OSError:
        return False
    return (
        not path.name.startswith(".") and head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"#") and b"#BPM" in head.upper()
    )


ULTRASTAR = Corpus(
    name="ultrastar",
    load=load_ultrastar,
    labels="pitch of the voice in the mixture up to octaves, from notes by players; no stems",
    obtain="your own songs; freely licensed ones: the repository UltraStar-Deluxe/songs",
    licence="each song's own: see the license.txt in its folder",
    layout=LAYOUT,
)
