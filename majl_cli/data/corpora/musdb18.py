"""MUSDB18 (Rafii et al., 2017) and MUSDB18-HQ: 150 songs at 44.1 kHz in four stems, without pitch.

HQ has one folder a song with WAV files; the first edition one ``.stem.mp4`` a song, whose audio streams are the
mixture, drums, bass, other and vocals, coded as AAC and cut off at 16 kHz.
"""

from __future__ import annotations

from pathlib import Path

from majl_cli.data.corpora.corpus import Corpus, check_folder, missing_files, probe_track
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import AudioError, DataError

# The 14 songs of train/ that the musdb package sets aside.
VALIDATION_SONGS = frozenset(
    {
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "ANiMAL - Rockshow",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
STEMS = ("mixture", "drums", "bass", "other", "vocals")  # in the order of a .stem.mp4's streams
STEM_FILE = ".stem.mp4"
CODED_BANDWIDTH = 16000.0
LAYOUT = (
    "train/ and test/, in them one folder a song with mixture.wav, drums.wav, bass.wav, other.wav and vocals.wav (HQ), "
    "or one SONG.stem.mp4 a song"
)


def load_musdb18(folder: Path) -> list[Track]:
    """All songs, sorted by split and name. Raises DataError listing what is missing."""
    check_folder(folder, LAYOUT)
    parts = [folder / name for name in ("train", "test") if (folder / name).is_dir()]
    if not parts:
        raise DataError(f"{folder}: neither train/ nor test/ in it", f"expected {LAYOUT}")
    tracks, missing = [], []
    for part in parts:
        for place in sorted(part.iterdir()):
            if place.name.startswith("."):
                continue
            if place.is_dir():
                lacking = [f"{part.name}/{place.name}/{name}.wav" for name in STEMS if not _wav(place, name).is_file()]
                missing += lacking
                if not lacking:
                    tracks.append(_song_of_folder(place, part.name))
            elif place.name.endswith(STEM_FILE):
                tracks.append(_song_of_streams(place, part.name))
    if missing:
        raise missing_files(folder, missing, LAYOUT)
    if not tracks:
        raise DataError(f"{folder}: no song in {' or '.join(p.name for p in parts)}/", f"expected {LAYOUT}")
    return tracks


def _song_of_folder(place: Path, part: str) -> Track:
    info, seconds = probe_track(_wav(place, "mixture"))
    for name in STEMS[1:]:
        other, length = probe_track(_wav(place, name))
        if other.sample_rate != info.sample_rate or abs(length - seconds) > 0.1:
            raise DataError(
                f"{other.path}: {other.sample_rate} Hz, {length:.2f} s; "
                f"the mixture has {info.sample_rate} Hz, {seconds:.2f} s",
                "unpack the song again",
            )
    stems = {name: Stem(path=_wav(place, name)) for name in STEMS}
    return _track(place.name, part, stems, info.sample_rate, info.channels, seconds)


def _song_of_streams(path: Path, part: str) -> Track:
    try:
        info, seconds = probe_track(path, stream=len(STEMS) - 1)
    except AudioError as error:
        raise DataError(error.message, f"expected {LAYOUT}") from error
    stems = {name: Stem(path=path, stream=number) for number, name in enumerate(STEMS)}
    name = path.name.removesuffix(STEM_FILE)
    return _track(name, part, stems, info.sample_rate, info.channels, seconds, CODED_BANDWIDTH)


def _track(
    name: str,
    part: str,
    stems: dict[str, Stem],
    sample_rate: int,
    channels: int,
    seconds: float,
    bandwidth: float | None = None,
) -> Track:
    return Track(
        id=name,
        corpus="MUSDB18" if bandwidth else "MUSDB18-HQ",
        labels="mss",
        split="validation" if part == "train" and name in VALIDATION_SONGS else part,
        artist=name.partition(" - ")[0],
        mixture=stems.pop("mixture"),
        stems=stems,
        sample_rate=sample_rate,
        channels=channels,
        duration=round(seconds, 4),
        bandwidth=bandwidth,
    )


def _wav(place: Path, name: str) -> Path:
    return place / f"{name}.wav"


MUSDB18 = Corpus(
    name="musdb18",
    load=load_musdb18,
    labels="stems: vocals, drums, bass, other; no pitch",
    obtain="Zenodo, records MUSDB18 (stem.mp4) and MUSDB18-HQ (WAV), on request",
    licence="for academic use only; 46 of the songs come from MedleyDB (CC BY-NC-SA 4.0)",
    layout=LAYOUT,
)
