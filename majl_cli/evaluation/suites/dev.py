"""The development sets: recordings to choose models and settings by, so their scores are no held-out figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from majl_cli.data.corpora import corpora
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError
from majl_cli.evaluation.protocols import Protocol
from majl_cli.evaluation.suites.benchmark_set import BenchmarkSet, Column, Recordings
from majl_cli.evaluation.suites.excerpts import fixed_mixtures, song
from majl_cli.files import write_text
from majl_cli.inference.outputs import written_aside

LABEL_HOP_SECONDS = 0.01


def mir1k(recordings: Recordings) -> list[Track]:
    """The clips of the validation singers."""
    folder = recordings.root / "mir1k"
    if not folder.is_dir():
        raise DataError("mir1k is missing", "copy the recordings again")
    tracks = [track for track in corpora["mir-1k"](folder) if track.split == "validation"]
    if not tracks:
        raise DataError("mir1k has no clip of split validation", "copy the recordings again")
    return tracks


def mirex05(recordings: Recordings) -> list[Track]:
    """Excerpts of songs with the melody's f0."""
    return [
        replace(_track(row, recordings), labels="pe", mixture=_stem(row, recordings), pitch=_label(row, recordings))
        for row in _rows(recordings, "MIREX05")
    ]


def ssvd(recordings: Recordings) -> list[Track]:
    """Solo voices with notes."""
    return [
        replace(_solo(row, recordings), pitch=_label(row, recordings), pitch_format="notes")
        for row in _rows(recordings, "SSVD v2.0")
    ]


def vocadito(recordings: Recordings) -> list[Track]:
    """Solo voices with f0."""
    return [
        replace(_solo(row, recordings), pitch=_label(row, recordings)) for row in _rows(recordings, "vocadito")
    ]  # fmt: skip


def vocadito_notes(recordings: Recordings) -> list[Track]:
    """The same voices, once for the notes of each of two annotators."""
    tracks = []
    for row in _rows(recordings, "vocadito"):
        for annotator in ("A1", "A2"):
            name = row["labels"].replace("_f0.csv", f"_notes{annotator}.csv")
            source = _existing(recordings.root / name, recordings)
            notes = recordings.made / "vocadito" / f"{row['song']}_notes{annotator}.csv"
            _keep_text(notes, "onset,frequency,duration\n" + source.read_text(encoding="utf-8"))
            track = replace(_solo(row, recordings), id=f"{row['song']}_{annotator}", pitch=notes)
            tracks.append(replace(track, pitch_format="notes"))
    return tracks


def instrumental(recordings: Recordings) -> list[Track]:
    """Music without singing: the vocals are silent, and no frame is voiced."""
    tracks = []
    for row in _rows(recordings, "instrumental"):
        place = recordings.made / "instrumental"
        silence = place / f"silence_{row['sample_rate']}.wav"
        if not silence.exists():  # a single sample: references are padded to the mixture's length
            place.mkdir(parents=True, exist_ok=True)
            with written_aside(silence) as file:
                soundfile.write(file, np.zeros(1, np.float32), int(row["sample_rate"]), format="WAV", subtype="FLOAT")
        label = place / f"{row['song']}.csv"
        times = np.arange(0, float(row["seconds"]), LABEL_HOP_SECONDS)
        _keep_text(label, "time,frequency\n" + "".join(f"{time:.2f},0\n" for time in times))
        stems = {"vocals": Stem(path=silence), "accompaniment": _stem(row, recordings)}
        tracks.append(replace(_track(row, recordings), labels="full", stems=stems, pitch=label))
    return tracks


def _rows(recordings: Recordings, corpus: str) -> list[Mapping[str, str]]:
    """The validation rows of a corpus. Raises DataError where there are none."""
    rows = [row for row in recordings.rows if row["corpus"] == corpus and row["split"] == "validation"]
    if not rows:
        raise DataError(f"index.csv has no row of {corpus}, split validation", "copy the recordings again")
    return rows


def _track(row: Mapping[str, str], recordings: Recordings) -> Track:
    return Track(
        id=row["song"],
        corpus=row["corpus"],
        split=row["split"],
        artist="" if row["artist"] == "unknown" else row["artist"],
        labels="mixture",
        mixture=_stem(row, recordings) if row["stem"] == "mixture" else None,
        stems={} if row["stem"] == "mixture" else {row["stem"]: _stem(row, recordings)},
        sample_rate=int(row["sample_rate"]),
        channels=int(row["channels"]),
        duration=float(row["seconds"]),
    )


def _solo(row: Mapping[str, str], recordings: Recordings) -> Track:
    return replace(_track(row, recordings), labels="vocals")


def _stem(row: Mapping[str, str], recordings: Recordings) -> Stem:
    return Stem(path=_existing(recordings.root / row["path"], recordings))


def _label(row: Mapping[str, str], recordings: Recordings) -> Path:
    return _existing(recordings.root / row["labels"], recordings)


def _existing(path: Path, recordings: Recordings) -> Path:
    if not path.is_file():
        raise DataError(f"{path.relative_to(recordings.root)} is missing", "copy the recordings again")
    return path


def _keep_text(path: Path, text: str) -> None:
    """Write a file unless it says that already: its time of change is part of what a row of scores depends on."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


_MELODY = tuple(Column(f"melody/{key}") for key in ("rpa", "rca", "oa", "vr", "vfa"))
_CLEAN_MELODY = tuple(Column(f"melody_clean/{key}") for key in ("rpa", "rca", "oa", "vr", "vfa"))
_CLEAN_NOTES = tuple(Column(f"notes_clean/{key}_f1") for key in ("con", "conp", "conpoff"))
_SEPARATION = (Column("vocals/sdr"), Column("vocals/sdr_gain"), Column("vocals/leakage_db"))
_GNSDR = (Column("vocals/v3_nsdr", "weighted"), Column("accompaniment/v3_nsdr", "weighted"))


def _mir1k_at(snr_db: float, name: str, *, clean: bool = False) -> BenchmarkSet:
    return BenchmarkSet(
        protocol=Protocol(
            name=name,
            corpus="",
            split="",
            snr_db=snr_db,
            families=("energy", "v3", "pitch"),
            description=f"MIR-1K, validation singers, mixed at {snr_db:g} dB; 16 kHz",
        ),
        tracks=mir1k,
        inputs=("mixture", "vocals") if clean else ("mixture",),
        columns=(*_SEPARATION[:2], *_GNSDR, *_MELODY, *(_CLEAN_MELODY if clean else ())),
    )


def _as_it_is(name: str, description: str, families: tuple[str, ...], *stems: str) -> Protocol:
    return Protocol(
        name=name,
        corpus="",
        split="",
        snr_db=None,
        families=families,
        stems=stems or ("vocals", "accompaniment"),
        description=description,
    )


DEV: tuple[BenchmarkSet, ...] = (
    _mir1k_at(-5.0, "mir-1k-minus-5-db"),
    _mir1k_at(0.0, "mir-1k-0-db", clean=True),
    _mir1k_at(5.0, "mir-1k-plus-5-db"),
    BenchmarkSet(
        protocol=_as_it_is(
            "full-band",
            "Full band, 44.1 kHz: 12 fixed mixtures of solo voices over instrumentals at 0 dB",
            ("energy",),
        ),
        tracks=fixed_mixtures,
        columns=(_SEPARATION[0], Column("vocals/sdr", "worst"), *_SEPARATION[1:], Column("accompaniment/sdr")),
    ),
    BenchmarkSet(
        protocol=_as_it_is("caesium", "Full band, 44.1 kHz: the song caesium, as it was mixed", ("energy",)),
        tracks=song,
        columns=(*_SEPARATION, Column("accompaniment/sdr")),
    ),
    BenchmarkSet(
        protocol=_as_it_is("mirex05", "MIREX05, the melody of six real mixtures", ("pitch",)),
        tracks=mirex05,
        columns=_MELODY,
    ),
    BenchmarkSet(
        protocol=_as_it_is("ssvd", "SSVD, the notes of solo voices (sight-singing)", ("notes",), "vocals"),
        tracks=ssvd,
        inputs=("vocals",),
        columns=_CLEAN_NOTES,
    ),
    BenchmarkSet(
        protocol=_as_it_is("vocadito", "vocadito, the f0 of a solo voice", ("pitch",), "vocals"),
        tracks=vocadito,
        inputs=("vocals",),
        columns=_CLEAN_MELODY,
    ),
    BenchmarkSet(
        protocol=_as_it_is("vocadito-notes", "vocadito, its notes by two annotators", ("notes",), "vocals"),
        tracks=vocadito_notes,
        inputs=("vocals",),
        columns=_CLEAN_NOTES,
    ),
    BenchmarkSet(
        protocol=_as_it_is(
            "instrumental",
            "Music without singing: false voices, and the level of what is given as vocals against the mixture",
            ("energy", "pitch"),
        ),
        tracks=instrumental,
        columns=(Column("melody/vfa"), Column("vocals/leakage_db")),
    ),
)
