"""The full-band excerpts: twelve fixed mixtures of solo voices over instrumentals at 0 dB, and one song.

They are written once as float WAV, ``made/full-band/NAME/vocals.wav`` and ``accompaniment.wav``, stereo at 44.1 kHz:
a folder of stems that ``majl evaluate --data stems=...`` takes too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from majl_cli.audio import read_audio
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError
from majl_cli.evaluation.sources import mix_at
from majl_cli.evaluation.suites.benchmark_set import Recordings
from majl_cli.files import write_text
from majl_cli.inference.outputs import written_aside
from majl_cli.resample import to_channels

RATE = 44100
SONG = "fullband/software-entwicklungskit_caesium"
# Sections 1 to 6 of the singer guelcin carry 60 to 85 % of their energy below 40 Hz and much of the rest below 100 Hz:
# the room's rumble, for the lowest notes of these voices lie at 146 Hz (guelcin, 0.1st percentile of f0) and 197 Hz
# (SSVD). As they are, "0 dB" would compare that rumble with the music.
VOCALS_HIGHPASS_HZ = 100.0
MIXTURES = Path(__file__).with_name("fullband_mixtures.json")
STAMP_FILE = "made_from.json"


def fixed_mixtures(recordings: Recordings) -> list[Track]:
    """The twelve mixtures. Raises DataError where a recording is missing."""
    items = json.loads(MIXTURES.read_text(encoding="utf-8"))
    return [_excerpt(item["name"].replace(" ", "_"), item, recordings) for item in items]


def song(recordings: Recordings) -> list[Track]:
    """caesium as it is. Raises DataError where it is missing."""
    item = {"vocals": [f"{SONG}/vocals.ogg"], "accompaniment": f"{SONG}/accompaniment.ogg"}
    return [_excerpt("caesium", item, recordings)]


def _excerpt(name: str, item: Mapping[str, Any], recordings: Recordings) -> Track:
    """One row of ``fullband_mixtures.json``, made unless it is there already; without ``seconds`` a song is taken
    whole, at its own level."""
    paths = [recordings.root / path for path in (*item["vocals"], item["accompaniment"])]
    rows = {row["path"]: row for row in recordings.rows}
    missing = [path for path, row in zip(paths, (*item["vocals"], item["accompaniment"]), strict=True)
               if row not in rows or not path.is_file()]  # fmt: skip
    if missing:
        raise DataError(f"{missing[0].relative_to(recordings.root)} is missing", "copy the recordings again")
    place = recordings.made / "full-band" / name
    stems = {stem: place / f"{stem}.wav" for stem in ("vocals", "accompaniment")}
    states = [[path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    stamp = json.dumps({"excerpt": dict(item), "highpass_hz": VOCALS_HIGHPASS_HZ, "files": states})
    if not (all(path.exists() for path in stems.values()) and _text(place / STAMP_FILE) == stamp):
        place.mkdir(parents=True, exist_ok=True)
        for path, audio in zip(stems.values(), _audio(paths, item), strict=True):
            with written_aside(path) as file:
                soundfile.write(file, audio, RATE, format="WAV", subtype="FLOAT")
        write_text(place / STAMP_FILE, stamp)
    voice = rows[item["vocals"][0]]
    return Track(
        id=name,
        corpus=voice["corpus"],
        split=voice["split"],
        labels="mss",
        stems={stem: Stem(path=path) for stem, path in stems.items()},
        sample_rate=RATE,
        channels=2,
        duration=round(soundfile.info(stems["vocals"]).duration, 4),
    )


def _audio(paths: list[Path], item: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vocals and accompaniment (samples, 2); the last of the paths is the accompaniment's."""
    *voices, music = [_read(path) for path in paths]
    voice = np.concatenate(voices)
    if "seconds" not in item:
        return to_channels(voice, 2), to_channels(music, 2)
    frames = round(RATE * item["seconds"])
    starts = (item["vocals_start"], item["accompaniment_start"])
    parts = [
        to_channels(audio[round(RATE * start) :][:frames], 2)
        for audio, start in zip((without_rumble(voice), music), starts, strict=True)
    ]
    length = min(map(len, parts))
    return mix_at(parts[0][:length], parts[1][:length], 0.0)


def without_rumble(vocals: NDArray[np.float32]) -> NDArray[np.float32]:
    """(samples, C) at 44.1 kHz, high-passed without delay (Butterworth, forwards and backwards)."""
    sections = signal.butter(4, VOCALS_HIGHPASS_HZ, "highpass", fs=RATE, output="sos")
    return signal.sosfiltfilt(sections, vocals, axis=0).astype(np.float32)


def _read(path: Path) -> NDArray[np.float32]:
    audio, rate = read_audio(path)
    if rate != RATE:
        raise DataError(f"{path}: has {rate} Hz, not {RATE} Hz", "copy the recordings again")
    return audio


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
