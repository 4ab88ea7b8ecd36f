"""How much the confidences may be trusted: one temperature and its proof, on held-out fully labelled tracks.

A held-out frame gives a confidence and whether the pseudo-label was right there, in the two ways tracks are labelled:
"pitch" (the pitch module on the true vocals) and "stems" (the separation module on the mixture). The temperature
makes "pitch" frames most likely; "stems" uses the same one and is judged by itself.

Letters: N frames, G temperatures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from majl_cli.data.labels import read_pitch
from majl_cli.data.manifest import Track, accompaniment_stems
from majl_cli.errors import DataError
from majl_cli.evaluation.sources import load_sources
from majl_cli.inference.session import Model
from majl_cli.inference.track_log import safe_name
from majl_cli.inference.workers import Stop, run_on_tracks
from majl_cli.metrics.reliability import (
    TEMPERATURES,
    UNCALIBRATED,
    expected_calibration_error,
    negative_log_likelihood,
)
from majl_cli.pseudolabel.confidence import Block, Bools, Floats, WindowEnergy, quiet_enough, within_tolerance
from majl_cli.pseudolabel.fingerprint import Fingerprint
from majl_cli.pseudolabel.folder import write_arrays
from majl_cli.pseudolabel.held_out import KINDS, REPORT_FILE, Calibration, HeldOut, read_calibration, write_calibration
from majl_cli.pseudolabel.listening import hear, hear_apart
from majl_cli.pseudolabel.stems import OpenStem, in_blocks


@dataclass(frozen=True, kw_only=True)
class TrackFrames:
    """One track: ``confidence`` (N, G) at each of ``TEMPERATURES`` and ``right`` (N,), by kind."""

    confidence: dict[str, Floats]
    right: dict[str, Bools]


def calibrate(
    model: Model,
    tracks: Sequence[Track],
    out: Path,
    *,
    jobs: int = 1,
    listener: Callable[[Track], None] = lambda track: None,
) -> Calibration:
    """Calibrate on the fully labelled among ``tracks`` and write it to ``out``, or read it if it is there already.

    A track whose frames are in ``out`` from an earlier start is not listened to again. ``listener`` gets each track
    that is done. Raises DataError if no track will do, or ``out`` belongs to another model or other tracks.
    """
    usable = [track for track in tracks if can_be_held_out(track, model.joint.target)]
    if not usable:
        raise DataError(
            "no fully labelled track to calibrate on", "give tracks with stems and pitch, of split validation"
        )
    fingerprint = Fingerprint.claim(out, model)
    names = tuple(track.id for track in usable)
    if (out / REPORT_FILE).exists():
        found = read_calibration(out)
        if found.tracks != names:
            raise DataError(f"{out}: was calibrated on other tracks", "use another folder, or the data of before")
        return found
    folder = out / "held-out"

    def work(track: Track, stop: Stop) -> TrackFrames:
        path = folder / f"{safe_name(track.id)}.npz"
        if path.exists():
            return _read_frames(path)
        frames = judge_track(model, track, stop)
        write_arrays(
            path,
            **{f"{kind}_confidence": values.astype(np.float32) for kind, values in frames.confidence.items()},
            **{f"{kind}_right": values for kind, values in frames.right.items()},
        )
        return _read_frames(path)

    frames: dict[str, TrackFrames] = {}
    with run_on_tracks(work, usable, jobs=jobs, threads=model.runtime.threads) as ends:
        for track, result in ends:
            if isinstance(result, Exception):
                raise result
            frames[track.id] = result
            listener(track)
    calibration = fit_temperature([frames[name] for name in names], names)
    write_calibration(out, calibration, fingerprint.as_json())
    for path in folder.glob("*.npz"):
        path.unlink()
    folder.rmdir()
    return calibration


def can_be_held_out(track: Track, target: str) -> bool:
    """Whether the track has the stems and the pitch, from hand and octave included, that a model can be judged by."""
    complete = track.labels == "full" and not track.pseudo and track.pitch is not None and not track.octave_free
    return complete and target in track.stems and bool(accompaniment_stems(track, target))


def judge_track(model: Model, track: Track, stop: Stop) -> TrackFrames:
    """Label a fully labelled track both ways and compare; its sources are held in memory, mixed as they are.

    Right is, for "pitch": voiced within 50 cents of the label, or both unvoiced. For "stems": the frequency decoded
    from the separated voice within 50 cents of a voiced label; where the label is unvoiced, an error of the separated
    voice 10 dB below the mixture.
    """
    pitch, runtime, target = model.joint.pitch, model.runtime, model.joint.target
    label = read_pitch(track)
    vocals, accompaniment, rate = load_sources(track, target=target)
    temperatures = [float(value) for value in TEMPERATURES]
    heard = hear(pitch, stop.guard(in_blocks(vocals)), rate, runtime=runtime, temperatures=temperatures, label=label)
    right = np.where(heard.voiced, within_tolerance(heard.frequency, heard.label), heard.label == 0)
    error, done = WindowEnergy(rate), 0

    def compare(block: Block) -> None:
        nonlocal done
        error.push(block - vocals[done : done + len(block)])
        done += len(block)

    blocks = stop.guard(in_blocks(vocals + accompaniment))
    mixture = OpenStem(sample_rate=rate, channels=vocals.shape[1], blocks=blocks)
    apart = hear_apart(model, mixture, temperatures=temperatures, label=label, on_vocals=compare)
    told = apart.heard
    clean = quiet_enough(error=error, mixture=apart.mixture, times=told.times)
    right_apart = np.where(told.label > 0, within_tolerance(told.frequency, told.label), clean)
    return TrackFrames(
        confidence={"pitch": heard.own[heard.known], "stems": apart.confidence()[told.known]},
        right={"pitch": right[heard.known], "stems": right_apart[told.known]},
    )


def fit_temperature(frames: Sequence[TrackFrames], names: Sequence[str]) -> Calibration:
    """The temperature at which the "pitch" frames are most likely, and what it does to both kinds."""
    best = _best_temperature(frames)
    halves = [frames[0::2], frames[1::2]]
    # What is chosen on one half is judged on the other.
    chosen = [_best_temperature(half) if half else UNCALIBRATED for half in reversed(halves)]
    held_out = {}
    for kind in KINDS:
        confidence = np.concatenate([part.confidence[kind] for part in frames])
        right = np.concatenate([part.right[kind] for part in frames])
        crossed = [
            (part.confidence[kind][:, choice], part.right[kind])
            for half, choice in zip(halves, chosen, strict=True)
            for part in half
        ]
        honest = expected_calibration_error(*(np.concatenate(side) for side in zip(*crossed, strict=True)))
        held_out[kind] = HeldOut(
            confidence=confidence[:, best].astype(np.float64),
            right=right,
            ece_before=expected_calibration_error(confidence[:, UNCALIBRATED], right),
            ece_after=expected_calibration_error(confidence[:, best], right),
            ece_cross_validated=honest if len(frames) > 1 else float("nan"),
        )
    return Calibration(temperature=float(TEMPERATURES[best]), held_out=held_out, tracks=tuple(names))


def _best_temperature(frames: Sequence[TrackFrames]) -> int:
    confidence = np.concatenate([part.confidence["pitch"] for part in frames])
    right = np.concatenate([part.right["pitch"] for part in frames])
    return int(negative_log_likelihood(confidence, right).argmin()) if len(right) else UNCALIBRATED


def _read_frames(path: Path) -> TrackFrames:
    with np.load(path) as arrays:
        return TrackFrames(
            confidence={kind: arrays[f"{kind}_confidence"] for kind in KINDS},
            right={kind: arrays[f"{kind}_right"] for kind in KINDS},
        )
