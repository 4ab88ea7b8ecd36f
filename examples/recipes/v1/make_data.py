"""Make the training data of the embedded models: recordings, accompaniments for band, re-sung and sung voices.

    pip install 'majl[synth]' && pip install --no-deps tinysoundfont
    apt-get install fluidr3mono-gm-soundfont
    python examples/recipes/v1/make_voice_bank.py runs/voice-bank
    python examples/recipes/v1/make_data.py ../shared/data runs/v1 --decode --voice-bank runs/voice-bank \\
        --soundfont /usr/share/sounds/sf3/FluidR3Mono_GM.sf3 --accompaniments 600 --voices 200 --sung 300
    majl train-stage1 --manifest runs/v1/train.jsonl --out runs/base

Writes ``train.jsonl`` (everything) and ``open.jsonl`` (recordings under clearly free licences, and what was made from
them). Piece k of a seed is always the same; what lies in the folder already is kept, so that a run can be cut off and
goes on, or be given more pieces later. The soundfont is under the MIT License.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from majl_cli.audio import read_audio
from majl_cli.data.manifest import Stem, Track, summary, write_manifest
from majl_cli.data.recordings import read_recordings
from majl_cli.data.synth.accompaniment import render_accompaniment
from majl_cli.data.synth.resynthesis import label_text, resing
from majl_cli.data.synth.songs import Song, read_songs
from majl_cli.data.synth.soundfont import RATE, SoundfontPlayer
from majl_cli.data.synth.sung import Unit, read_bank, sing
from majl_cli.files import aside_path, write_text

MIDI = "labels_only/pop909_midi_100.tar.gz"
BANDWIDTHS = {"sodium": 12000.0, "potassium": 12000.0}  # songs whose voices were coded without highs
ALL_VOICED = ("Turkish makam a cappella", "SSVD v2.0", "MIR-1K")  # one voice at a time


@dataclass(frozen=True, kw_only=True)
class Material:
    """What pieces are made of; read before the processes part, which share it."""

    seed: int
    songs: list[Song]
    player: SoundfontPlayer | None
    bank: dict[str, list[Unit]]
    voices: dict[str, list[Track]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A file to make: piece ``index`` of a ``kind``, or, of the kind "recording", the decoded ``source``."""

    kind: str
    index: int
    path: Path
    source: Path | None = None


material: Material


def make(job: Job) -> Job:
    """Write the piece; its label first, so that audio is never without one."""
    job.path.parent.mkdir(parents=True, exist_ok=True)
    {"accompaniments": _accompaniment, "sung": _sung, "recording": _decoded}.get(job.kind, _resung)(job)
    return job


def _accompaniment(job: Job) -> None:
    assert material.player is not None
    audio = render_accompaniment(material.songs, material.player, seed=material.seed, index=job.index)
    _write(job.path, audio.T, RATE)


def _sung(job: Job) -> None:
    audio, f0 = sing(material.songs, material.bank, seed=material.seed, index=job.index)
    write_text(job.path.with_suffix(".csv"), label_text(f0))
    _write(job.path, audio, RATE)


def _resung(job: Job) -> None:
    track = source_of(material.voices[job.kind], material.seed, job.index)
    audio, f0 = resing(track, track.stems["vocals"], seed=material.seed, index=job.index)
    write_text(job.path.with_suffix(".csv"), label_text(f0))
    _write(job.path, audio, track.sample_rate)


def _decoded(job: Job) -> None:
    assert job.source is not None
    audio, rate = read_audio(job.source)
    _write(job.path, np.clip(audio, -1.0, 1.0), rate)


def _write(path: Path, audio: np.ndarray, rate: int) -> None:
    aside = aside_path(path)
    soundfile.write(aside, audio, rate, format="WAV", subtype="PCM_16")
    aside.replace(path)


def source_of(tracks: list[Track], seed: int, index: int) -> Track:
    """The recording piece ``index`` is made of: each corpus as often as the others, its tracks by their length."""
    generator = np.random.default_rng([seed, 4, index])
    corpus = generator.choice(sorted({track.corpus for track in tracks}))
    among = [track for track in tracks if track.corpus == corpus]
    lengths = np.array([track.duration for track in among])
    return among[int(generator.choice(len(among), p=lengths / lengths.sum()))]


def piece_track(job: Job) -> Track:
    """The manifest's line for a piece that was made."""
    info = soundfile.info(job.path)
    voice = job.kind != "accompaniments"
    return Track(
        id=f"{job.kind}_{job.index:05d}",
        corpus=f"synth {job.kind}",
        labels="vocals" if voice else "accompaniment",
        stems={"vocals" if voice else "accompaniment": Stem(path=job.path)},
        pitch=job.path.with_suffix(".csv") if voice else None,
        sample_rate=info.samplerate,
        channels=info.channels,
        duration=info.frames / info.samplerate,
    )


def decode_jobs(tracks: list[Track], root: Path, out: Path) -> dict[Path, Job]:
    """A job for each file of the recordings."""
    files = sorted({stem.path for track in tracks for stem in track.stems.values()})
    return {
        path: Job(kind="recording", index=n, path=out / path.relative_to(root).with_suffix(".wav"), source=path)
        for n, path in enumerate(files)
    }


def run(jobs: list[Job], workers: int, seconds: float) -> None:
    """Make what is not there yet, in parallel, until it is done or the time is over."""
    todo = [job for job in jobs if not job.path.exists()]
    deadline = time.monotonic() + seconds
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for done, _ in enumerate(pool.imap_unordered(make, todo), 1):
            if time.monotonic() > deadline:
                print(f"stopped after {done} of {len(todo)} files; the same command goes on")
                return
    print(f"{len(todo)} files made, {len(jobs) - len(todo)} were there")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of recordings with index.csv")
    parser.add_argument("out", type=Path, help="where everything goes")
    parser.add_argument("--soundfont", type=Path, help="SF2 or SF3 file, for accompaniments")
    parser.add_argument("--voice-bank", type=Path, help="folder of make_voice_bank.py, for sung voices")
    parser.add_argument("--accompaniments", type=int, default=0, help="how many, of 30 to 60 s")
    parser.add_argument(
        "--voices", type=int, default=0, help="how many of about 45 s, re-sung; as many for each manifest"
    )
    parser.add_argument("--sung", type=int, default=0, help="how many, of 20 to 40 s")
    parser.add_argument("--open-only", action="store_true", help="clearly free material only; no train.jsonl")
    parser.add_argument("--decode", action="store_true", help="recordings as WAV, which training reads faster")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument(
        "--time-limit", type=float, default=float("inf"), help="seconds, after which no piece is waited for"
    )
    arguments = parser.parse_args()
    for count, needed in (("accompaniments", "soundfont"), ("sung", "voice_bank")):
        if getattr(arguments, count) and not getattr(arguments, needed):
            parser.error(f"--{count} needs --{needed.replace('_', '-')}")
    return arguments


def main() -> None:
    arguments = parse()
    root, out = arguments.root.resolve(), arguments.out.resolve()
    recordings, free = read_recordings(root)
    if arguments.open_only:
        recordings = [track for track in recordings if track.id in free]
    decoded = decode_jobs(recordings, root, out / "recordings") if arguments.decode else {}
    voiced = [t for t in recordings if t.split == "train" and t.corpus in ALL_VOICED and "vocals" in t.stems]
    voices = {"resung-open": [t for t in voiced if t.id in free], "resung": [t for t in voiced if t.id not in free]}
    global material
    material = Material(
        seed=arguments.seed,
        songs=read_songs(root / MIDI) if arguments.accompaniments or arguments.sung else [],
        player=SoundfontPlayer(arguments.soundfont) if arguments.accompaniments else None,
        bank=read_bank(arguments.voice_bank) if arguments.sung else {},
        voices=voices,
    )
    counts = {"accompaniments": arguments.accompaniments, "sung": arguments.sung}
    counts |= {kind: arguments.voices for kind, tracks in voices.items() if tracks}
    pieces = [
        Job(kind=kind, index=index, path=out / kind / f"{index:05d}.wav")
        for kind, count in counts.items()
        for index in range(count)
    ]
    pieces.sort(key=lambda job: job.index / counts[job.kind])  # when time runs out there is some of each
    run([*decoded.values(), *pieces], arguments.workers, arguments.time_limit)
    _write_manifests(out, recordings, free, decoded, pieces, everything=not arguments.open_only)


def _write_manifests(
    out: Path, recordings: list[Track], free: set[str], decoded: dict[Path, Job], pieces: list[Job], everything: bool
) -> None:
    made = [piece_track(job) for job in pieces if job.path.exists()]
    real = [with_files(track, decoded) for track in recordings]
    manifests: dict[str, Callable[[Track], bool]] = {
        "open": lambda track: track.id in free or (track.corpus.startswith("synth ") and track.corpus != "synth resung")
    }
    if everything:
        manifests["train"] = lambda track: True
    for name, wanted in manifests.items():
        tracks = [track for track in [*real, *made] if wanted(track)]
        write_manifest(out / f"{name}.jsonl", tracks)
        print(f"{out / name}.jsonl: {len(tracks)} tracks")
        for key, value in summary(tracks).items():
            print(f"  {key}: {value}")


def with_files(track: Track, decoded: dict[Path, Job]) -> Track:
    """The track with the decoded files that there are, and its bandwidth."""
    stems = {
        name: replace(stem, path=decoded[stem.path].path)
        if stem.path in decoded and decoded[stem.path].path.exists()
        else stem
        for name, stem in track.stems.items()
    }
    limits = [limit for song, limit in BANDWIDTHS.items() if track.id.endswith(f"_{song}")]
    return replace(track, stems=stems, bandwidth=limits[0] if limits else track.bandwidth)


if __name__ == "__main__":
    main()
