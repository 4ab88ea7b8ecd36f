"""A small folder of recordings in the format of the real one: an index.csv and a second or two for each set."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from majl_cli.evaluation.suites import excerpts

COLUMNS = ("path", "corpus", "split", "role", "stem", "artist", "song", "seconds", "sample_rate", "channels", "licence",
           "clearly_free", "labels")  # fmt: skip
SECONDS = 1.5
TONE_HZ = 220.0
VOICE, MUSIC = "acappella_turkish_makam/guelcin/part1.ogg", "instrumental/singularity_awakening.ogg"
SETS = ("mir-1k-minus-5-db", "mir-1k-0-db", "mir-1k-plus-5-db", "full-band", "caesium", "mirex05", "ssvd", "vocadito",
        "vocadito-notes", "instrumental")  # fmt: skip


def write_recordings(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every set of the suite dev, with one recording each."""
    rows = [
        _row(root, VOICE, "Turkish makam a cappella", "vocals-only", "vocals", "guelcin"),
        _row(root, f"{excerpts.SONG}/vocals.ogg", "Everything is Remixed", "mss-only", "vocals", "kit"),
        _row(root, f"{excerpts.SONG}/accompaniment.ogg", "Everything is Remixed", "mss-only", "accompaniment", "kit"),
        _row(root, "mirex05/train01.ogg", "MIREX05", "pe-only", "mixture", "unknown", "mirex05/train01REF.txt"),
        _row(root, "solo_ssvd/validation/7.ogg", "SSVD v2.0", "vocals-only", "vocals", "unknown",
             "solo_ssvd/validation/7.txt"),
        _row(root, "vocadito/vocadito_1.ogg", "vocadito", "vocals-only", "vocals", "unknown",
             "vocadito/vocadito_1_f0.csv"),
        _row(root, MUSIC, "instrumental", "accompaniment-only", "accompaniment", "Somebody"),
    ]  # fmt: skip
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    midi = 69 + 12 * np.log2(TONE_HZ / 440)
    (root / "mirex05/train01REF.txt").write_text("".join(f"{t / 100:.2f}\t{TONE_HZ}\n" for t in range(150)))
    (root / "solo_ssvd/validation/7.txt").write_text(f"0.00\t1.50\t{midi:.2f}\n")
    (root / "vocadito/vocadito_1_f0.csv").write_text("".join(f"{t / 100:.2f},{TONE_HZ}\n" for t in range(150)))
    for annotator in ("A1", "A2"):
        (root / f"vocadito/vocadito_1_notes{annotator}.csv").write_text(f"0.0,{TONE_HZ},1.5\n")
    clip, label = root / "mir1k/Wavfile/annar_1_01.wav", root / "mir1k/PitchLabel/annar_1_01.pv"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text(f"{midi}\n" * 74)
    _write(clip, np.stack((_music(16000), _voice(16000)), axis=1), 16000)
    item = {"name": "part 1 over awakening", "vocals": [VOICE], "vocals_start": 0.25, "accompaniment": MUSIC,
            "accompaniment_start": 0.0, "seconds": 1.0}  # fmt: skip
    mixtures = root / "mixtures.json"
    mixtures.write_text(json.dumps([item]))
    monkeypatch.setattr(excerpts, "MIXTURES", mixtures)
    return root


def _row(root: Path, path: str, corpus: str, role: str, stem: str, artist: str, labels: str = "") -> dict[str, object]:
    """An index row, and its file: the tone, noise, or for a mixture both."""
    audio = {"vocals": _voice, "accompaniment": _music, "mixture": lambda rate: _voice(rate) + _music(rate)}[stem]
    _write(root / path, audio(44100), 44100)
    values = (path, corpus, "validation", role, stem, artist, Path(path).stem, SECONDS, 44100, 1, "none", "no", labels)
    return dict(zip(COLUMNS, values, strict=True))


def _write(path: Path, audio: np.ndarray, rate: int) -> None:
    """Samples without loss, whatever the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        soundfile.write(file, audio, rate, format="WAV", subtype="FLOAT")


def _voice(rate: int) -> np.ndarray:
    time = np.arange(round(SECONDS * rate)) / rate
    return sum(0.1 / k * np.sin(2 * np.pi * k * TONE_HZ * time) for k in (1, 2, 3, 4)).astype(np.float32)


def _music(rate: int) -> np.ndarray:
    return (0.05 * np.random.default_rng(rate).standard_normal(round(SECONDS * rate))).astype(np.float32)
