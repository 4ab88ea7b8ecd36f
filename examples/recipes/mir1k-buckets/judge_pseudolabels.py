"""Compare pseudo-labels with the labels that make_buckets.py took away: what nobody can do on real unlabelled data.

    python examples/recipes/mir1k-buckets/judge_pseudolabels.py ../shared/data/mir1k PSEUDO [PSEUDO ...]

PSEUDO is a folder of majl pseudolabel. Prints, for each threshold, how many frames it keeps and which share of them is
right, for both kinds, beside what the held-out tracks had promised; and the SDR of the pseudo-stems.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.audio import read_audio
from majl_cli.data.corpora import corpora
from majl_cli.data.labels import frames_from_labels, read_confidence, read_pitch
from majl_cli.data.manifest import Track, read_manifest
from majl_cli.evaluation.sources import load_sources, mix_at
from majl_cli.metrics.separation import global_sdr
from majl_cli.pseudolabel.held_out import read_calibration

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)
WINDOW_SECONDS = 0.040


def pitch_frames(track: Track, truth: Track) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Confidence, right and truly voiced, per frame, of a pseudo-pitch."""
    assert track.confidence is not None
    times, confidence = read_confidence(track.confidence)
    estimate, _ = frames_from_labels(read_pitch(track), times)
    label, known = frames_from_labels(read_pitch(truth), times)
    both = (estimate > 0) & (label > 0)
    cents = 1200 * np.abs(np.log2(np.where(both, estimate, 1.0) / np.where(both, label, 1.0)))
    right = np.where(label > 0, both & (cents <= 50), estimate == 0)
    return confidence[known], right[known], label[known] > 0


def stem_frames(track: Track, truth: Track) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], float]:
    """Confidence, clean (error 10 dB below the mixture) and truly voiced, per frame, and the SDR of a pseudo-stem."""
    assert track.confidence is not None
    times, confidence = read_confidence(track.confidence)
    vocals, accompaniment, rate = load_sources(truth)
    vocals, accompaniment = mix_at(vocals, accompaniment, 0.0)
    stem, _ = read_audio(track.stems["vocals"].path)
    scale = max(1.0, np.abs(vocals + accompaniment).max() / 0.99)  # as make_buckets.py wrote the mixture
    vocals, mixture = vocals / scale, (vocals + accompaniment) / scale

    def energy(audio: NDArray[np.float32]) -> NDArray[np.float64]:
        sums = np.concatenate(([0.0], np.cumsum(np.square(audio[:, 0], dtype=np.float64))))
        ends = np.round((times[:, None] + np.array([-1, 1]) * WINDOW_SECONDS / 2) * rate).astype(int)
        ends = ends.clip(0, len(sums) - 1)
        return sums[ends[:, 1]] - sums[ends[:, 0]]

    clean = energy(stem - vocals) <= 0.1 * energy(mixture)
    label, known = frames_from_labels(read_pitch(truth), times)
    return confidence[known], clean[known], label[known] > 0, global_sdr(estimate=stem, reference=vocals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mir1k", type=Path)
    parser.add_argument("pseudo", type=Path, nargs="+")
    given = parser.parse_args()
    truths = {track.id: track for track in corpora["mir-1k"](given.mir1k)}
    for folder in given.pseudo:
        tracks = read_manifest(folder / "manifest.jsonl")
        held_out = read_calibration(folder).held_out
        parts = [pitch_frames(track, truths[track.id]) for track in tracks if track.pseudo == "pitch"]
        stems = [stem_frames(track, truths[track.id]) for track in tracks if track.pseudo == "stems"]
        sdr = np.array([row[3] for row in stems])
        print(f"\n{folder}: SDR of {len(sdr)} pseudo-stems: mean {sdr.mean():.2f} dB, quartiles", end=" ")
        print(*(f"{value:.2f}" for value in np.percentile(sdr, (25, 50, 75))))
        kinds = {"pitch": [np.concatenate(column) for column in zip(*parts, strict=True)]}
        kinds["stems"] = [np.concatenate(column) for column in list(zip(*stems, strict=True))[:3]]
        for kind, (confidence, right, voiced) in kinds.items():
            promised = held_out[kind]
            print(f"{kind}\n  th    kept   right   of voiced: kept  right   held-out: right")
            for th in THRESHOLDS:
                kept, sung = confidence >= th, voiced & (confidence >= th)
                known = promised.right[promised.confidence >= th].mean()
                print(
                    f"  {th:.1f}  {kept.mean():6.1%}  {right[kept].mean():6.1%}            "
                    f"{sung.sum() / voiced.sum():6.1%} {right[sung].mean():6.1%}           {known:6.1%}"
                )


if __name__ == "__main__":
    main()
