"""Protocols by name: which tracks, mixed how, scored by what. A figure without its protocol says nothing.

Families of metrics: ``energy`` (global SDR, SI-SDR, clip SNR, leakage), ``v3`` and ``v4`` (BSS Eval), ``pitch`` and
``notes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from majl_cli.data.manifest import Track
from majl_cli.errors import DataError, UsageError

FAMILIES = ("energy", "v3", "v4", "pitch", "notes")
# Of the 1000 clips, those of one female and one male singer: the training set of the line of work that began with
# Huang et al. (ISMIR 2014).
HUANG_TRAINING_SINGERS = frozenset({"abjones", "amy"})


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """``corpus`` is what the tracks' corpus must be called (empty: any, several names with ``|``), ``split`` their
    split (empty: all); ``keeps`` narrows them further. ``expected`` is how many tracks a complete copy has.

    ``snr_db`` None means mixtures as they are. ``families`` are what is scored by default, ``stems`` what is compared.
    """

    name: str
    corpus: str
    split: str
    snr_db: float | None
    families: tuple[str, ...]
    description: str
    expected: int | None = None
    stems: tuple[str, ...] = ("vocals", "accompaniment")
    keeps: Callable[[Track], bool] = lambda _track: True


_MIR1K = ("energy", "v3", "pitch")

protocols: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="mir-1k-175-825",
            corpus="MIR-1K",
            split="",
            snr_db=0.0,
            families=_MIR1K,
            expected=825,
            keeps=lambda track: track.artist not in HUANG_TRAINING_SINGERS,
            description="all clips but the 175 of abjones and amy (the GNSDR line of work, Huang et al. 2014 on)",
        ),
        Protocol(
            name="mir-1k-singer-disjoint",
            corpus="MIR-1K",
            split="test",
            snr_db=0.0,
            families=_MIR1K,
            description="by singer: test is heycat, bug and khair, validation annar, titon, abjones and jmzen",
        ),
        Protocol(
            name="musdb18-test",
            corpus="MUSDB18|MUSDB18-HQ",
            split="test",
            snr_db=None,
            families=("energy", "v4"),
            expected=50,
            description="the 50 test songs (SiSEC 2018)",
        ),
        Protocol(
            name="mir-st500-test",
            corpus="MIR-ST500",
            split="test",
            snr_db=None,
            families=("pitch", "notes"),
            expected=100,
            description="songs 401 to 500; frames take the pitch of the note that sounds there, 10 ms apart",
        ),
        Protocol(
            name="folder",
            corpus="",
            split="",
            snr_db=None,
            families=FAMILIES,
            description="every track given",
        ),
    )
}
_DEFAULTS = {
    "MIR-1K": "mir-1k-singer-disjoint",
    "MUSDB18": "musdb18-test",
    "MUSDB18-HQ": "musdb18-test",
    "MIR-ST500": "mir-st500-test",
}


def find_protocol(name: str | None, tracks: Iterable[Track]) -> Protocol:
    """The protocol of that name, or (None) the one of the tracks' corpus, or ``folder``. Raises UsageError."""
    if name is None:
        corpora = {track.corpus for track in tracks}
        name = _DEFAULTS.get(next(iter(corpora)), "folder") if len(corpora) == 1 else "folder"
    if name not in protocols:
        raise UsageError(f"no protocol {name!r}", f"use one of {', '.join(protocols)}")
    return protocols[name]


def select_tracks(
    protocol: Protocol, tracks: Sequence[Track], *, split: str | None = None, limit: int | None = None
) -> list[Track]:
    """The tracks of the protocol, of ``split`` instead of its own if given ("all": any); ``limit`` of them, spread
    evenly. Raises DataError if there are none."""
    split = protocol.split if split is None else "" if split == "all" else split
    names = protocol.corpus.split("|") if protocol.corpus else []
    ours = [track for track in tracks if not names or track.corpus in names]
    if not ours:
        raise DataError(
            f"no track of {protocol.corpus.replace('|', ' or ')} in the data", "give its folder with --data"
        )
    found = [track for track in ours if (not split or track.split == split) and protocol.keeps(track)]
    if not found:
        counts = {name: sum(track.split == name for track in ours) for name in sorted({t.split for t in ours})}
        there = ", ".join(f"{count} of split {name}" for name, count in counts.items())
        raise DataError(f"{protocol.name}: no track of split {split}; there are {there}", "choose one with --split")
    seen: set[str] = set()
    for track in found:
        if track.id in seen:
            raise DataError(f"two tracks are called {track.id!r}", "give each track once, under an id of its own")
        seen.add(track.id)
    if limit is not None and limit < len(found):
        found = [found[index * len(found) // limit] for index in range(limit)]
    return found


def leak_warnings(trained_on: Sequence[str], tracks: Sequence[Track], name: str) -> tuple[str, ...]:
    """What makes figures on these tracks too good: training on their corpus (``CORPUS``), on their split of it
    (``CORPUS/split``), or choosing a checkpoint by them (``CORPUS/validation``)."""
    warnings = []
    for corpus in sorted({track.corpus for track in tracks}):
        ours = [track for track in tracks if track.corpus == corpus]
        known = [item.partition("/") for item in trained_on if _plain(item.partition("/")[0]) == _plain(corpus)]
        whole = any(not split for _, _, split in known)
        named = {split.casefold() for _, _, split in known if split}
        taught = [track for track in ours if whole or (track.split.casefold() in named - {"validation"})]
        if taught:
            what = "some or all" if whole else f"{len(taught)}"
            warnings.append(f"LEAK: {name} was trained on {corpus}; of these {len(ours)} tracks it has seen {what}")
        elif any(track.split.casefold() in named for track in ours):
            warnings.append(f"{name} was chosen by its scores on {corpus}'s split validation")
    return tuple(warnings)


def _plain(corpus: str) -> str:
    """MUSDB18 and MUSDB18-HQ are the same songs; case, spaces and hyphens do not matter."""
    return "".join(letter for letter in corpus.casefold() if letter.isalnum()).removesuffix("hq")
