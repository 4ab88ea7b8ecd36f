"""Files that any tool wrote, as something to score: stems and f0 of each track, found by their names.

Of a track ``song`` these are looked for anywhere below the folder, in this order and without regard to case:

- stems: ``song/vocals.wav`` (demucs, spleeter, open-unmix, majl), ``song_(Vocals)_....wav`` (audio-separator, UVR),
  ``song_vocals.wav``, ``song.vocals.wav``, ``vocals/song.wav``; for the accompaniment also ``no_vocals``,
  ``instrumental``, ``karaoke``, ``music``, or all of drums, bass and other (and guitar and piano) summed;
- f0: ``song.f0.csv`` (majl, crepe), ``song/f0.csv``, ``song.csv``, ``.txt``, ``.npz`` or ``.pv``;
- notes: ``song.notes.csv``, ``song.notes.txt`` or ``song/notes.csv``.

``song`` is the track's id, the last part of its id, its id as ``majl evaluate --write-mixtures`` names it, or the name
of its mixture file. Stems are resampled to the
reference's rate, their channels adapted, and cut or padded to its length; what was done is said in the track's notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from majl_cli.audio import AudioReader, AudioWriter, Block
from majl_cli.data.corpora.corpus import EXTENSIONS
from majl_cli.data.manifest import Track
from majl_cli.errors import DataError
from majl_cli.evaluation.prepared import ACCOMPANIMENT, PreparedTrack
from majl_cli.evaluation.results import F0
from majl_cli.inference.track_log import safe_name
from majl_cli.resample import StreamResampler, to_channels

SYNONYMS = {
    "vocals": ("vocals", "vocal", "voice", "singing", "vox", "lead_vocals"),
    ACCOMPANIMENT: ("accompaniment", "no_vocals", "instrumental", "instrumentals", "karaoke", "music", "no vocals"),
}
# What other models make of the accompaniment.
BANDS = ("drums", "bass", "other", "guitar", "piano")
# The longest first: no_vocals ends in vocals.
WORDS = sorted({*BANDS, *(word for words in SYNONYMS.values() for word in words)}, key=len, reverse=True)
F0_NAMES = ("{}.f0.csv", "{}/f0.csv", "{}.csv", "{}.f0.txt", "{}.txt", "{}.npz", "{}.pv")
NOTE_NAMES = ("{}.notes.csv", "{}.notes.txt", "{}/notes.csv")
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".f0", ".npz", ".pv")
LONGEST_DIFFERENCE_SECONDS = 0.5


class EstimatesFolder:
    """``folder`` holds what a tool called ``name`` made of the tracks; ``trained_on`` says what taught it."""

    kind = "estimates"

    def __init__(self, folder: Path, name: str, *, trained_on: tuple[str, ...] = (), threshold: float | None = None):
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder", "give the folder of stems or f0 files")
        self.folder, self.name, self.trained_on, self.threshold = folder, name, trained_on, threshold
        self.description = f"files in {folder.name}"
        self._served: dict[Path, str] = {}
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
        if not files:
            raise DataError(f"{folder}: holds no file", "give the folder of stems or f0 files")
        self._stems, self._texts = _index(folder, files)
        self.stems: tuple[str, ...] = ("vocals", ACCOMPANIMENT, *BANDS) if self._stems else ()
        self.inputs: tuple[str, ...] = ("mixture",) if self._texts else ()

    def separate(self, prepared: PreparedTrack, folder: Path) -> dict[str, Path]:
        """The stems there are, fitted to the mixture. Raises DataError when there is none, or one of another length."""
        found = {stem: paths for stem in prepared.references if (paths := self.stem_files(prepared.track, stem))}
        if not found and self._file(prepared.track, F0_NAMES) is not None:
            prepared.notes.append("no stem of it, f0 only")
        elif not found:
            raise DataError(
                f"track {prepared.track.id}: no stem of it in {self.folder}",
                f"looked for {names_of(prepared.track)[0]}/vocals.wav and the like",
            )
        for stem, paths in found.items():
            self._fit(paths, prepared, folder / f"{stem}.wav")
        return {stem: folder / f"{stem}.wav" for stem in found}

    def estimate_f0(self, prepared: PreparedTrack, input: str, separated: Mapping[str, Path]) -> F0 | None:
        """What the track's f0 file says."""
        from majl_cli.data.f0_files import read_f0_file

        path = self._file(prepared.track, F0_NAMES)
        if path is None:
            return None
        f0 = read_f0_file(path, threshold=self.threshold)
        return F0(times=f0.times, frequency=f0.frequency)

    def note_file(self, track: Track) -> Path | None:
        """The file of estimated notes, if there is one."""
        return self._file(track, NOTE_NAMES)

    def files(self, track: Track) -> list[Path]:
        """All files that its scores depend on."""
        texts = [self._file(track, names) for names in (F0_NAMES, NOTE_NAMES)]
        stems = [path for stem in self.stems for path in self.stem_files(track, stem)]
        return [*stems, *(path for path in texts if path is not None)]

    def stem_files(self, track: Track, stem: str) -> list[Path]:
        """The file of a stem, or the files that add up to it; empty if there is none. Raises DataError where two
        files, or two tracks, have equal claims."""
        for name in names_of(track):
            for synonym in SYNONYMS.get(stem, (stem,)):
                if path := self._only(track, self._stems[f"{name}//{synonym}"]):
                    return [path]
            if stem == ACCOMPANIMENT:
                bands = [self._only(track, self._stems[f"{name}//{band}"]) for band in BANDS]
                if sum(path is not None for path in bands) >= 3:
                    return [path for path in bands if path is not None]
        return []

    def _file(self, track: Track, patterns: tuple[str, ...]) -> Path | None:
        for name in names_of(track):
            for pattern in patterns:
                if path := self._only(track, self._texts[pattern.format(name)]):
                    return path
        return None

    def _only(self, track: Track, paths: Sequence[Path]) -> Path | None:
        if not paths:
            return None
        if len(paths) > 1:
            shown = " and ".join(path.relative_to(self.folder).as_posix() for path in paths[:2])
            raise DataError(
                f"track {track.id}: {shown} both look like it", "give a folder with one estimate of a track"
            )
        owner = self._served.setdefault(paths[0], track.id)
        if owner != track.id:
            name = paths[0].relative_to(self.folder).as_posix()
            raise DataError(f"{name}: looks like track {owner} and like track {track.id}", "name files by whole ids")
        return paths[0]

    def _fit(self, paths: list[Path], prepared: PreparedTrack, target: Path) -> None:
        rate, channels = prepared.sample_rate, prepared.channels
        given = written = 0
        with AudioWriter(target, sample_rate=rate, channels=channels, format="WAV", subtype="FLOAT") as writer:
            for blocks in zip_longest(*(_converted(path, prepared) for path in paths)):
                total = np.zeros((max(len(block) for block in blocks if block is not None), channels), np.float32)
                for block in blocks:
                    if block is not None:
                        total[: len(block)] += block
                given += len(total)
                writer.write(total[: max(0, prepared.samples - written)])
                written = min(given, prepared.samples)
            _check_length(paths[0], given, prepared)
            writer.write(np.zeros((prepared.samples - written, channels), np.float32))
        if given != prepared.samples:
            done = "cut" if given > prepared.samples else "padded with silence"
            prepared.notes.append(f"{target.stem}: {given} samples given, {prepared.samples} expected: {done}")


class _Index:
    """Files by name; a name is looked for in its own case first, then in any."""

    def __init__(self, files: Mapping[str, list[Path]]) -> None:
        self._exact = files
        self._folded: dict[str, list[Path]] = {}
        for name, paths in files.items():
            self._folded.setdefault(name.casefold(), []).extend(paths)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def __getitem__(self, name: str) -> list[Path]:
        return self._exact.get(name) or list(dict.fromkeys(self._folded.get(name.casefold(), [])))


def _index(folder: Path, files: Sequence[Path]) -> tuple[_Index, _Index]:
    """Audio files by ``track//stem`` and other files by name, each under all ends of its path; of several forms of a
    name the first one counts."""
    forms: list[dict[str, list[Path]]] = [{}, {}, {}, {}]
    texts: dict[str, list[Path]] = {}
    for path in files:
        relative = path.relative_to(folder)
        if path.suffix.lower() in TEXT_ENDINGS:
            for name in _ends(relative):
                texts.setdefault(name, []).append(path)
        if path.suffix.lower() not in EXTENSIONS:
            continue
        *parents, _ = relative.parts
        for form, track, stem in _readings(relative.stem, parents[-1] if parents else ""):
            above = parents if form in (1, 2) else parents[:-1]
            for name in _ends(Path(*above, track)):
                forms[form].setdefault(f"{name}//{stem.casefold()}", []).append(path)
    return _Index({key: paths for form in reversed(forms) for key, paths in form.items()}), _Index(texts)


def _readings(name: str, parent: str) -> Iterator[tuple[int, str, str]]:
    """What a file ``parent/name`` may be, as (form, track, stem)."""
    if parent:
        yield 0, parent, name
        yield 3, name, parent
    if named := re.fullmatch(r"(.+?)[ _]\(([^()]+)\).*", name):
        yield 1, named[1], named[2]
    folded = name.casefold()
    if word := next((word for word in WORDS if re.search(rf"[._ -]{re.escape(word)}$", folded)), None):
        yield 2, name[: -len(word) - 1], word


def _ends(path: Path) -> list[str]:
    """``a/b/c``, ``b/c`` and ``c``."""
    return ["/".join(path.parts[start:]) for start in range(len(path.parts))]


def _check_length(path: Path, given: int, prepared: PreparedTrack) -> None:
    """Raise DataError for an estimate whose length differs by more than half a second: another track, or cut off."""
    difference = (given - prepared.samples) / prepared.sample_rate
    if abs(difference) > LONGEST_DIFFERENCE_SECONDS:
        raise DataError(
            f"{path}: {given / prepared.sample_rate:.2f} s, its track {prepared.track.id} has "
            f"{prepared.samples / prepared.sample_rate:.2f} s",
            "estimate the whole track; a shorter file would be scored as silence",
        )


def names_of(track: Track) -> list[str]:
    """What a track's files may be called."""
    names = [track.id, safe_name(track.id), track.id.rpartition("/")[2]]
    generic = {"mixture", "mix", *WORDS}
    for stem in [track.mixture] if track.mixture is not None else track.stems.values():
        plain = stem.path.name.removesuffix(".stem.mp4")
        name = plain if plain != stem.path.name else stem.path.stem
        names.append(stem.path.parent.name if name.casefold() in generic else name)
    return list(dict.fromkeys(names))


def _converted(path: Path, prepared: PreparedTrack) -> Iterator[Block]:
    """Blocks of a file at the track's rate and number of channels."""
    with AudioReader(path) as reader:
        if reader.sample_rate != prepared.sample_rate:
            prepared.notes.append(f"{path.name}: resampled from {reader.sample_rate} to {prepared.sample_rate} Hz")
        if reader.channels != prepared.channels:
            prepared.notes.append(f"{path.name}: {reader.channels} channels made {prepared.channels}")
        resampler = StreamResampler(reader.sample_rate, prepared.sample_rate, prepared.channels)
        held: Block | None = None
        for block in reader.blocks():
            if held is not None:
                yield resampler.push(held)
            held = to_channels(block, prepared.channels)
        if held is not None:
            yield resampler.push(held, last=True)
