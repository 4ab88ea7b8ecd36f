"""A folder of stems: one sub-folder a track, one file a stem.

Stems are named ``mixture``, ``vocals``, ``accompaniment`` or anything else (``drums``, ``bass``, ...), in any case;
``mixture`` and ``vocals`` alone are enough. Pitch of the vocals, where it is known, is ``pitch.csv``, ``f0.csv`` or
``vocals.f0.csv``. A first level of folders named ``train``, ``validation`` or ``test`` gives the split.
"""

from __future__ import annotations

from pathlib import Path

from majl_cli.audio import AudioInfo
from majl_cli.data.corpora.corpus import EXTENSIONS, Corpus, check_folder, probe_track
from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import DataError

PITCH_FILES = ("pitch.csv", "f0.csv", "vocals.f0.csv")
SPLITS = ("train", "validation", "test")
LAYOUT = "one sub-folder a track with vocals.wav, accompaniment.wav, mixture.wav, ..."


def stems_folder(folder: Path) -> list[Track]:
    """All tracks below ``folder``, sorted by path. Raises DataError."""
    check_folder(folder, LAYOUT)
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in EXTENSIONS and path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    tracks = [_track(folder, place) for place in sorted({path.parent for path in files} - {folder})]
    if not tracks:
        raise DataError(f"{folder}: no track", f"expected {LAYOUT}")
    return tracks


def _track(root: Path, folder: Path) -> Track:
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in EXTENSIONS and path.name[0] != "."]
    stems = {path.stem.lower(): path for path in files}
    probed = {name: probe_track(path) for name, path in stems.items()}
    infos = {name: info for name, (info, _) in probed.items()}
    seconds = {name: length for name, (_, length) in probed.items()}
    first = _same_shape(folder, infos, seconds)
    relative = folder.relative_to(root)
    pitch = next((folder / name for name in PITCH_FILES if (folder / name).exists()), None)
    mixture = stems.pop("mixture", None)
    return Track(
        id=relative.as_posix(),
        corpus=root.name,
        labels=_labels(set(stems), has_mixture=mixture is not None, has_pitch=pitch is not None),
        split=relative.parts[0] if relative.parts[0] in SPLITS else "train",
        mixture=None if mixture is None else Stem(path=mixture),
        stems={name: Stem(path=path) for name, path in stems.items()},
        pitch=pitch,
        sample_rate=first.sample_rate,
        channels=max(info.channels for info in infos.values()),
        duration=round(next(iter(seconds.values())), 4),
    )


def _same_shape(folder: Path, infos: dict[str, AudioInfo], seconds: dict[str, float]) -> AudioInfo:
    """The first stem's header; all must have its rate and, to a tenth of a second, its length."""
    (first_name, first), *others = infos.items()
    for name, info in others:
        if info.sample_rate != first.sample_rate:
            raise DataError(
                f"{folder}: {first_name} has {first.sample_rate} Hz, {name} {info.sample_rate} Hz",
                "bring the stems of a track to one sample rate",
            )
        if abs(seconds[name] - seconds[first_name]) > 0.1:
            raise DataError(
                f"{folder}: {first_name} lasts {seconds[first_name]:.2f} s, {name} {seconds[name]:.2f} s",
                "cut or pad the stems of a track to one length",
            )
    return first


def _labels(stems: set[str], *, has_mixture: bool, has_pitch: bool) -> str:
    if "vocals" in stems and (len(stems) > 1 or has_mixture):
        return "full" if has_pitch else "mss"
    if stems == {"vocals"}:
        return "vocals"
    if stems:
        return "accompaniment"
    return "pe" if has_pitch else "mixture"


STEMS = Corpus(
    name="stems",
    load=stems_folder,
    labels="what is there: stems, pitch of the vocals",
    obtain="your own recordings",
    licence="yours",
    layout=LAYOUT,
)
