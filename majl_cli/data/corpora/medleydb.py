"""MedleyDB (Bittner et al., 2014, 2016): multitrack songs at 44.1 kHz with melody f0 by hand.

Of its three melody annotations, MELODY1 is the f0 of one source, the predominant one (rank 1 in the song's RANKING
file); MELODY2 follows whichever source is predominant at a time; MELODY3 is all melodic sources at once. The f0 of
the voice is therefore MELODY1 where the predominant source is a voice. MELODY2 is as good only where a voice is the
one source of melody, and MELODY3 is not used.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from majl_cli.data.corpora.corpus import Corpus, check_folder, first_few, missing_files, plain_name, probe_track
from majl_cli.data.corpora.musdb18 import VALIDATION_SONGS
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

logger = logging.getLogger(__name__)
VOICES = frozenset(
    {
        "male singer",
        "female singer",
        "male rapper",
        "female rapper",
        "male speaker",
        "female speaker",
        "male screamer",
        "female screamer",
        "vocalists",
        "choir",
    }
)
# MUSDB18 holds songs of MedleyDB: who sings in its validation songs is in validation here too.
VALIDATION_ARTISTS = frozenset(plain_name(song.partition(" - ")[0]) for song in VALIDATION_SONGS)
LAYOUT = (
    "Audio/SONG/SONG_STEMS/*.wav and SONG_MIX.wav, with SONG_METADATA.yaml, SONG_MELODY1.csv (or SONG_MELODY2.csv) and "
    "SONG_RANKING.txt anywhere below"
)


@dataclass(frozen=True, kw_only=True)
class Song:
    """What the metadata say: stems as file name and instruments, by key (S01, ...)."""

    name: str
    artist: str
    bleeds: bool
    files: dict[str, str]
    instruments: dict[str, list[str]]
    melodic: list[str]

    @property
    def voices(self) -> list[str]:
        """The keys of the stems with a voice in them."""
        return [key for key, names in self.instruments.items() if VOICES & set(names)]


def load_medleydb(folder: Path) -> list[Track]:
    """The songs with a voice that can teach something, sorted by name; warnings count the others.

    Stems are given where exactly one stem is vocal and no stem bleeds into another; pitch where it is the voice's.
    Without the first a song is its mixture and pitch; without either it is left out. Raises DataError.
    """
    check_folder(folder, LAYOUT)
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."}
    metadata = [path for name, path in files.items() if name.endswith("_METADATA.yaml")]
    songs = [read_song(path) for path in sorted(metadata, key=lambda path: path.name)]
    if not songs:
        raise DataError(f"{folder}: no SONG_METADATA.yaml in it", f"expected {LAYOUT}")
    here = [song for song in songs if f"{song.name}_MIX.wav" in files or set(song.files.values()) & set(files)]
    tracks, missing, left_out = [], [], []
    for song in here:
        pitch = voice_pitch(song, files)
        wanted = _wanted(song, has_pitch=pitch is not None)
        lacking = sorted({name for name in wanted.values() if name not in files})
        missing += lacking
        if not wanted:
            left_out.append(song.name)
        elif not lacking:
            tracks.append(_track(song, {name: files[file] for name, file in wanted.items()}, pitch))
    if missing:
        raise missing_files(folder, missing, LAYOUT)
    if not tracks:
        raise DataError(f"{folder}: none of {len(songs)} songs has audio and one vocal stem", f"expected {LAYOUT}")
    if len(here) < len(songs):
        absent = [song.name for song in songs if song not in here]
        logger.warning("MedleyDB: no audio for %d of %d songs: %s", len(absent), len(songs), first_few(absent))
    if left_out:
        what = "no voice, or neither one vocal stem without bleed nor the voice's pitch"
        logger.warning("MedleyDB: %d of %d songs left out (%s)", len(left_out), len(here), what)
    return tracks


def split_of(artist: str) -> str:
    """validation for the artists of MUSDB18's validation songs, else train."""
    return "validation" if plain_name(artist) in VALIDATION_ARTISTS else "train"


def read_song(path: Path) -> Song:
    """A metadata file. Raises DataError."""
    name = path.name.removesuffix("_METADATA.yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        stems: dict[str, dict[str, Any]] = dict(sorted(data["stems"].items()))
        return Song(
            name=name,
            artist=str(data.get("artist") or name.partition("_")[0]),
            bleeds=data["has_bleed"] in ("yes", True),
            files={key: str(stem["filename"]) for key, stem in stems.items()},
            instruments={key: _names(stem["instrument"]) for key, stem in stems.items()},
            melodic=[key for key, stem in stems.items() if stem.get("component") == "melody"],
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: not readable as metadata: {error!r}", "copy the corpus again") from error


def voice_pitch(song: Song, files: dict[str, Path]) -> Path | None:
    """The melody annotation that is the f0 of a voice, or None."""
    only_melody = song.melodic[0] if len(song.melodic) == 1 else None
    predominant = _predominant(song, files) or only_melody
    if predominant in song.voices and f"{song.name}_MELODY1.csv" in files:
        return files[f"{song.name}_MELODY1.csv"]
    return files.get(f"{song.name}_MELODY2.csv") if only_melody in song.voices else None


def _predominant(song: Song, files: dict[str, Path]) -> str | None:
    """The key of the stem with rank 1, of lines ``SONG_STEM_06.csv,1``."""
    path = files.get(f"{song.name}_RANKING.txt")
    if path is None:
        return None
    found = re.search(r"_STEM_(\d+)\.\w+\s*,\s*1\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return None if found is None else f"S{found[1]}"


def _wanted(song: Song, *, has_pitch: bool) -> dict[str, str]:
    """File names by stem name, ``mixture`` for a song without usable stems, nothing for one to leave out."""
    if len(song.voices) == 1 and not song.bleeds and len(song.files) > 1:
        voice = song.voices[0]
        others = {f"{key} {song.instruments[key][0]}": file for key, file in song.files.items() if key != voice}
        return {"vocals": song.files[voice], **others}
    return {"mixture": f"{song.name}_MIX.wav"} if song.voices and has_pitch else {}


def _track(song: Song, paths: dict[str, Path], pitch: Path | None) -> Track:
    info, seconds = probe_track(next(iter(paths.values())))
    stems = {name: Stem(path=path) for name, path in paths.items() if name != "mixture"}
    return Track(
        id=song.name,
        corpus="MedleyDB",
        labels="pe" if not stems else "mss" if pitch is None else "full",
        split=split_of(song.artist),
        artist=song.artist,
        mixture=Stem(path=paths["mixture"]) if "mixture" in paths else None,
        stems=stems,
        pitch=pitch,
        sample_rate=info.sample_rate,
        channels=info.channels,
        duration=round(seconds, 4),
    )


def _names(instrument: Any) -> list[str]:
    """Instruments in small letters; the metadata give one name, or several."""
    return [str(name).strip().lower() for name in (instrument if isinstance(instrument, list) else [instrument])]


MEDLEYDB = Corpus(
    name="medleydb",
    load=load_medleydb,
    labels="stems where one is vocal and nothing bleeds; pitch where the voice is the predominant source",
    obtain="audio: Zenodo, MedleyDB and MedleyDB 2.0, on request; metadata and melodies: the repository marl/medleydb",
    licence="CC BY-NC-SA 4.0",
    layout=LAYOUT,
)
