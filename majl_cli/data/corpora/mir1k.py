"""MIR-1K (Hsu and Jang, 2010): 1000 karaoke clips at 16 kHz, left accompaniment, right voice, pitch by hand.

Layout: ``Wavfile/<singer>_<song>_<clip>.wav`` (or ``.ogg``, ``.flac``) and ``PitchLabel/<clip>.pv``. The recordings
come without a stated licence: research use.
"""

from __future__ import annotations

from pathlib import Path

from majl_cli.audio import probe
from majl_cli.data.corpora.corpus import Corpus, first_few
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

VALIDATION_SINGERS = frozenset({"annar", "titon", "abjones", "jmzen"})
TEST_SINGERS = frozenset({"heycat", "bug", "khair"})
# Their karaoke track is the very recording some training singer sang to.
OVERLAPPING_SONGS = frozenset({"annar_4", "abjones_2"})
BANDWIDTH = 8000.0
EXTENSIONS = (".wav", ".ogg", ".flac")
LAYOUT = "Wavfile/CLIP.wav (or .ogg, .flac) and PitchLabel/CLIP.pv for each clip"


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
            raise DataError(f"{folder}: no folder {part.name}", f"expected {LAYOUT}")
    clips = sorted(path for path in audio.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not clips:
        raise DataError(f"{audio}: no .wav, .ogg or .flac file", f"expected {LAYOUT}")
    missing = [f"{path.stem}.pv" for path in clips if not (labels / f"{path.stem}.pv").exists()]
    if missing:
        raise DataError(f"{labels}: no label {first_few(missing)}", "copy the corpus again")
    tracks = []
    for path in clips:
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
                pitch=labels / f"{path.stem}.pv",
                pitch_format="pv",
                sample_rate=info.sample_rate,
                channels=1,
                duration=round(info.duration or 0.0, 4),
                bandwidth=BANDWIDTH,
            )
        )
    return tracks


MIR1K = Corpus(
    name="mir-1k",
    load=mir1k,
    labels="stems (vocals, accompaniment) and pitch by hand",
    obtain="the page of its authors (Multimedia Information Retrieval lab, National Taiwan University)",
    licence="none stated: research use",
    layout=LAYOUT,
)
