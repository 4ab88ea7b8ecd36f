"""A folder of stems: one sub-folder a track, one file a stem, named ``mixture``, ``vocals``, ``accompaniment`` or
anything else (``drums``, ``bass``, ...). Pitch of the vocals, where it is known, as ``pitch.csv``, ``f0.csv`` or
``vocals.f0.csv``. A first level of folders named ``train``, ``validation`` or ``test`` gives the split."""

from __future__ import annotations

from pathlib import Path

from majl_cli.audio import AudioInfo, probe
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".mp4", ".webm", ".wma")
PITCH_FILES = ("pitch.csv", "f0.csv", "vocals.f0.csv")
SPLITS = ("train", "validation", "test")


def stems_folder(folder: Path) -> list[Track]:
    """All tracks below ``folder``, sorted by path. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder", "check the path")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    tracks = [_track(folder, place) for place in sorted({path.parent for path in files} - {folder})]
    if not tracks:
        raise DataError(
            f"{folder}: no track",
            "expected one sub-folder a track with vocals.wav, accompaniment.wav, mixture.wav, ...",
        )
    return tracks


def _track(root: Path, folder: Path) -> Track:
    stems = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in EXTENSIONS}
    infos = {name: probe(path) for name, path in stems.items()}
    first = _same_shape(folder, infos)
    relative = folder.relative_to(root)
    pitch = next((folder / name for name in PITCH_FILES if (folder / name).exists()), None)
    mixture = stems.pop("mixture", None)
    return Track(
        id=relative.as_posix(),
        corpus=root.name,
        labels=_labels(set(stems), pitch is not None),
        split=relative.parts[0] if relative.parts[0] in SPLITS else "train",
        mixture=None if mixture is None else Stem(path=mixture),
        stems={name: Stem(path=path) for name, path in stems.items()},
        pitch=pitch,
        sample_rate=first.sample_rate,
        channels=max(info.channels for info in infos.values()),
        duration=round(first.duration or 0.0, 4),
    )


def _same_shape(folder: Path, infos: dict[str, AudioInfo]) -> AudioInfo:
    """The first stem's header; all must have its rate and, to a tenth of a second, its length."""
    (first_name, first), *others = infos.items()
    for name, info in others:
        if info.sample_rate != first.sample_rate:
            raise DataError(
                f"{folder}: {first_name} has {first.sample_rate} Hz, {name} {info.sample_rate} Hz",
                "bring the stems of a track to one sample rate",
            )
        if abs((info.duration or 0.0) - (first.duration or 0.0)) > 0.1:
            raise DataError(
                f"{folder}: {first_name} lasts {first.duration:.2f} s, {name} {info.duration:.2f} s",
                "cut or pad the stems of a track to one length",
            )
    return first


def _labels(stems: set[str], has_pitch: bool) -> str:
    if "vocals" in stems and len(stems) > 1:
        return "full" if has_pitch else "mss"
    if stems == {"vocals"}:
        return "vocals"
    if stems:
        return "accompaniment"
    return "pe" if has_pitch else "mixture"
