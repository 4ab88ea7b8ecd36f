"""MIR-1K (Hsu and Jang, 2010): 1000 karaoke clips at 16 kHz, left accompaniment, right voice, pitch by hand.

Layout: ``Wavfile/<singer>_<song>_<clip>.wav`` (or ``.ogg``, ``.flac``) and ``PitchLabel/<clip>.pv``. The recordings
come without a stated licence: research use.
"""

from __future__ import annotations

from pathlib import Path

from majl_cli.audio import probe
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

VALIDATION_SINGERS = frozenset({"annar", "titon", "abjones", "jmzen"})
TEST_SINGERS = frozenset({"heycat", "bug", "khair"})
# Their karaoke track is the very recording some training singer sang to.
OVERLAPPING_SONGS = frozenset({"annar_4", "abjones_2"})
BANDWIDTH = 8000.0
EXTENSIONS = (".wav", ".ogg", ".flac")


def split_of(clip: str) -> str:
    """train, validation, validation-overlap or test, by singer, of a clip's name ``singer_song_clip``."""
    singer, _, rest = clip.partition("_")
    if f"{singer}_{rest.partition('_')[0]}" in OVERLAPPING_SONGS:
        return "validation-overlap"
    if singer in VALIDATION_SINGERS:
        return "validation"
    return "test" if singer in TEST_SINGERS else "train"


def mir1k(folder: Path) -> list[Track]:
    """All clips that have audio and label, sorted by name. Raises DataError when the layout is another."""
    audio, labels = folder / "Wavfile", folder / "PitchLabel"
    for part in (audio, labels):
        if not part.is_dir():
            raise DataError(
                f"{folder}: no folder {part.name}", "MIR-1K has Wavfile/ and PitchLabel/; give their parent"
            )
    clips = sorted(path for path in audio.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not clips:
        raise DataError(f"{audio}: no .wav, .ogg or .flac file", "unpack the corpus there")
    tracks = []
    for path in clips:
        label = labels / f"{path.stem}.pv"
        if not label.exists():
            raise DataError(f"{path.name}: no label {label.name} in {labels}", "copy the corpus again")
        info = probe(path)
        if info.channels != 2:
            raise DataError(f"{path}: {info.channels} channels", "MIR-1K clips have two: accompaniment and voice")
        tracks.append(
            Track(
                id=path.stem,
                corpus="MIR-1K",
                labels="full",
                split=split_of(path.stem),
                artist=path.stem.partition("_")[0],
                stems={"accompaniment": Stem(path=path, channel=0), "vocals": Stem(path=path, channel=1)},
                pitch=label,
                pitch_format="pv",
                sample_rate=info.sample_rate,
                channels=1,
                duration=round(info.duration or 0.0, 4),
                bandwidth=BANDWIDTH,
            )
        )
    return tracks
