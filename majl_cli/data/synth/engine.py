"""A folder of training material: recordings as they are or decoded, and pieces made from them, with their manifests.

``train.jsonl`` lists everything, ``open.jsonl`` recordings under clearly free licences and what was made from them.
What lies in the folder already is kept, so that a run can be cut off and goes on, or be given more pieces later.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from majl_cli.data.manifest import Track, write_manifest
from majl_cli.data.recordings import read_recordings
from majl_cli.data.synth.pieces import Job, Material, make, piece_track
from majl_cli.data.synth.songs import read_songs
from majl_cli.data.synth.soundfont import SoundfontPlayer
from majl_cli.data.synth.sung import read_bank
from majl_cli.data.synth.world import require_world
from majl_cli.errors import DataError, MajlError, UsageError
from majl_cli.files import write_text

MIDI = "labels_only/pop909_midi_100.tar.gz"
ALL_VOICED = ("Turkish makam a cappella", "SSVD v2.0", "MIR-1K")  # one voice at a time
BANDWIDTHS = {"sodium": 12000.0, "potassium": 12000.0}  # songs whose voices were coded without highs
ABOUT = "synth.json"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make. ``recordings`` is a folder with index.csv; of ``voices`` as many are re-sung for each of the two
    manifests; ``open_only``: clearly free material alone, and no train.jsonl; ``decode`` the recordings to WAV, which
    training reads faster."""

    recordings: Path
    out: Path
    soundfont: Path | None = None
    voice_bank: Path | None = None
    accompaniments: int = 0
    voices: int = 0
    sung: int = 0
    seed: int = 0
    open_only: bool = False
    decode: bool = False

    def __post_init__(self) -> None:
        if self.accompaniments and self.soundfont is None:
            raise UsageError(
                "--accompaniments needs --soundfont", "Debian's fluidr3mono-gm-soundfont, for one, brings an SF3 file"
            )
        if self.sung and self.voice_bank is None:
            raise UsageError("--sung needs --voice-bank", "make one with majl data voice-bank FOLDER")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All files an order comes to: ``decoded`` by what they are decoded from, and ``pieces``."""

    order: Order
    material: Material
    recordings: Sequence[Track]
    free: set[str]
    decoded: dict[Path, Job] = field(default_factory=dict)
    pieces: Sequence[Job] = ()

    @property
    def todo(self) -> list[Job]:
        """What is not there yet."""
        return [job for job in (*self.decoded.values(), *self.pieces) if not job.path.exists()]


def plan(order: Order) -> Plan:
    """Read what the pieces are made of, and say which files there will be. Raises MajlError where something is missing
    or the folder holds the pieces of another seed."""
    root, out = order.recordings.resolve(), order.out.resolve()
    _check_seed(out, order.seed)
    recordings, free = read_recordings(root)
    if order.open_only:
        recordings = [track for track in recordings if track.id in free]
    voices = solo_voices(recordings, free)
    counts = {"accompaniments": order.accompaniments, "sung": order.sung}
    counts |= {kind: order.voices for kind, tracks in voices.items() if tracks}
    if order.voices and not any(voices.values()):
        raise DataError(f"{root}: no solo voice to sing again", f"known corpora of them: {', '.join(ALL_VOICED)}")
    pieces = [
        Job(kind=kind, index=index, path=out / kind / f"{index:05d}.wav")
        for kind, count in counts.items()
        for index in range(count)
    ]
    pieces.sort(key=lambda job: job.index / counts[job.kind])  # cut off half-way there is some of each
    material = read_material(order, voices, {job.kind for job in pieces if not job.path.exists()})
    decoded = _decode_jobs(recordings, root, out / "recordings") if order.decode else {}
    return Plan(order=order, material=material, recordings=recordings, free=free, decoded=decoded, pieces=pieces)


def solo_voices(recordings: Sequence[Track], free: set[str]) -> dict[str, list[Track]]:
    """The recordings that can be sung again, by the kind of piece they give."""
    voiced = [t for t in recordings if t.split == "train" and t.corpus in ALL_VOICED and "vocals" in t.stems]
    return {"resung-open": [t for t in voiced if t.id in free], "resung": [t for t in voiced if t.id not in free]}


def read_material(order: Order, voices: dict[str, list[Track]], kinds: set[str]) -> Material:
    """What pieces of these kinds are made of. Raises MajlError where a package or a file is missing."""
    if kinds - {"accompaniments"}:
        require_world()
    return Material(
        seed=order.seed,
        player=SoundfontPlayer(order.soundfont) if "accompaniments" in kinds and order.soundfont else None,
        bank=read_bank(order.voice_bank) if "sung" in kinds and order.voice_bank else {},
        songs=read_songs(order.recordings / MIDI) if {"accompaniments", "sung"} & kinds else [],
        voices=voices,
    )


def run(plan: Plan, *, jobs: int = 1, listener: Callable[[Job], None] = lambda job: None) -> None:
    """Make what is not there yet, ``jobs`` files at a time where processes can be forked. Interrupted, it finishes the
    files at work and begins no other."""
    todo, out = plan.todo, plan.order.out
    write_text(out / ABOUT, json.dumps({"seed": plan.order.seed}) + "\n")
    for left in out.rglob(".tmp-majl-*"):  # of a process that was killed
        left.unlink()
    jobs = min(jobs, len(todo))
    if jobs < 2 or "fork" not in multiprocessing.get_all_start_methods():
        for job in todo:
            listener(make(plan.material, job))
        return
    fork = multiprocessing.get_context("fork")
    # Forked processes share the soundfont and the songs, which take seconds to load.
    with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_start, initargs=(plan.material,)) as pool:
        waiting = iter(todo)
        running = {pool.submit(_make_shared, job) for job in islice(waiting, jobs)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    listener(future.result())
                # What the pool were given sooner it would make even after an interruption.
                running |= {pool.submit(_make_shared, job) for job in islice(waiting, len(done))}
        except BrokenProcessPool as error:
            raise MajlError("a process that makes pieces was killed", "too little memory? use fewer --jobs") from error


_shared: list[Material] = []  # in a worker process, what it was started with


def _start(material: Material) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process decides what still is made
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _shared[:] = [material]


def _make_shared(job: Job) -> Job:
    return make(_shared[0], job)


def write_manifests(plan: Plan) -> dict[Path, list[Track]]:
    """Write the manifests of what is there; their tracks."""
    made = [piece_track(job) for job in plan.pieces if job.path.exists()]
    tracks = [*(_with_files(track, plan.decoded) for track in plan.recordings), *made]
    free = [t for t in tracks if t.id in plan.free or (t.corpus.startswith("synth ") and t.corpus != "synth resung")]
    manifests = {"open": free} if plan.order.open_only else {"open": free, "train": tracks}
    written = {plan.order.out / f"{name}.jsonl": listed for name, listed in manifests.items()}
    for path, listed in written.items():
        write_manifest(path, listed)
    return written


def _check_seed(out: Path, seed: int) -> None:
    try:
        before = json.loads((out / ABOUT).read_text(encoding="utf-8"))["seed"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if before != seed:
        raise DataError(f"{out}: holds pieces of seed {before}", f"use --seed {before}, or another --out")


def _decode_jobs(tracks: Sequence[Track], root: Path, out: Path) -> dict[Path, Job]:
    """A job for each file of the recordings."""
    files = sorted({stem.path for track in tracks for stem in track.stems.values()})
    return {
        path: Job(kind="recording", index=n, path=out / path.relative_to(root).with_suffix(".wav"), source=path)
        for n, path in enumerate(files)
    }


def _with_files(track: Track, decoded: dict[Path, Job]) -> Track:
    """The track with the decoded files that there are, and its bandwidth."""
    stems = {
        name: replace(stem, path=decoded[stem.path].path)
        if stem.path in decoded and decoded[stem.path].path.exists()
        else stem
        for name, stem in track.stems.items()
    }
    limits = [limit for song, limit in BANDWIDTHS.items() if track.id.endswith(f"_{song}")]
    return replace(track, stems=stems, bandwidth=limits[0] if limits else track.bandwidth)
