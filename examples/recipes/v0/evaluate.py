"""The figures of the model card: any checkpoint and the trivial baselines on the development sets.

    python examples/recipes/v0/evaluate.py ../shared/data --model majl-base --json runs/v0-scores.json

Global SDR (one energy ratio over the whole excerpt) of the vocals, in dB; pitch by mir_eval at 50 cents. Baselines:
the mixture itself, the mixture times 0.3, and librosa's nearest-neighbour filter (its documented vocal separation).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy import signal

import majl_cli
from majl_cli.audio import read_audio
from majl_cli.data.corpora import corpora
from majl_cli.evaluation.model_scores import evaluate_tracks, mean_scores
from majl_cli.evaluation.sources import mix_at
from majl_cli.metrics.separation import global_sdr
from majl_cli.resample import to_channels

RATE = 44100  # of every file named there
# guelcin's sections 1 to 6 carry 60 to 85 % of their energy below 40 Hz and much of the rest below 100 Hz: the room's
# rumble, for the lowest notes of these voices lie at 146 Hz (guelcin, 0.1st percentile of f0) and 197 Hz (SSVD).
# As they are, "0 dB" would compare that rumble with the music. --raw-vocals shows what it gives.
VOCALS_HIGHPASS_HZ = 100.0
MIXTURES = Path(__file__).with_name("fullband_mixtures.json")


def nn_filter_vocals(mixture: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """librosa's documented vocal separation (Rafii and Pardo's REPET-SIM with its defaults), channel by channel."""
    channels = []
    for channel in mixture.T:
        spectrum = librosa.stft(channel)
        magnitude = np.abs(spectrum)
        width = int(librosa.time_to_frames(2, sr=rate))
        repeating = librosa.decompose.nn_filter(magnitude, aggregate=np.median, metric="cosine", width=width)
        repeating = np.minimum(magnitude, repeating)
        mask = librosa.util.softmask(magnitude - repeating, 10 * repeating, power=2)
        channels.append(librosa.istft(mask * spectrum, length=len(channel)))
    return np.stack(channels, axis=1).astype(np.float32)


def without_rumble(vocals: NDArray[np.float32]) -> NDArray[np.float32]:
    """(samples, C) at 44.1 kHz, high-passed without delay (Butterworth, forwards and backwards)."""
    sections = signal.butter(4, VOCALS_HIGHPASS_HZ, "highpass", fs=RATE, output="sos")
    return signal.sosfiltfilt(sections, vocals, axis=0).astype(np.float32)


def excerpts(root: Path, *, raw_vocals: bool = False) -> list[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    """Name, vocals and accompaniment (samples, 2) at 44.1 kHz of caesium and of the twelve fixed mixtures."""
    song = root / "fullband" / "software-entwicklungskit_caesium"
    rows = [("caesium", read_audio(song / "vocals.ogg")[0], read_audio(song / "accompaniment.ogg")[0])]
    for item in json.loads(MIXTURES.read_text(encoding="utf-8")):
        voice = np.concatenate([read_audio(root / path)[0] for path in item["vocals"]])
        voice = voice if raw_vocals else without_rumble(voice)
        music, _ = read_audio(root / item["accompaniment"])
        frames = round(RATE * item["seconds"])
        parts = []
        for audio, start in ((voice, item["vocals_start"]), (music, item["accompaniment_start"])):
            parts.append(to_channels(audio[round(RATE * start) :][:frames], 2))
        length = min(map(len, parts))
        rows.append((item["name"], *mix_at(parts[0][:length], parts[1][:length], 0.0)))
    return rows


def fullband(model: majl_cli.Model, root: Path, *, baselines: bool, raw_vocals: bool) -> list[dict[str, float | str]]:
    """One row an excerpt: global SDR of the vocals in dB, of the model and of the baselines."""
    rows: list[dict[str, float | str]] = []
    for name, vocals, accompaniment in excerpts(root, raw_vocals=raw_vocals):
        mixture = vocals + accompaniment
        estimate = model.separate(mixture, sample_rate=RATE, stems=("vocals",)).stems["vocals"]
        row: dict[str, float | str] = {
            "name": name,
            "majl": global_sdr(estimate=estimate, reference=vocals),
            "mixture": global_sdr(estimate=mixture, reference=vocals),
            "0.3 x mixture": global_sdr(estimate=0.3 * mixture, reference=vocals),
        }
        if baselines:
            row["nn_filter"] = global_sdr(estimate=nn_filter_vocals(mixture, RATE), reference=vocals)
        rows.append(row)
        print("  ".join(f"{k} {v:6.2f}" if isinstance(v, float) else f"{v:34}" for k, v in row.items()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the recordings")
    parser.add_argument("--model", default="majl-base", help="embedded name or checkpoint folder")
    parser.add_argument("--tracks", type=int, help="score only so many MIR-1K clips, spread evenly")
    parser.add_argument("--no-baselines", action="store_true", help="leave librosa's filter out (it is slow)")
    parser.add_argument("--raw-vocals", action="store_true", help="leave the voices' rumble in")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    model = majl_cli.load_model(arguments.model, threads=arguments.threads)
    print(f"{arguments.model} on {model.runtime}")

    rows = fullband(model, arguments.root, baselines=not arguments.no_baselines, raw_vocals=arguments.raw_vocals)
    names = [key for key in rows[0] if key != "name"]
    means = {key: float(np.mean([row[key] for row in rows])) for key in names}
    print("mean over 13: ", {key: round(value, 2) for key, value in means.items()})
    beaten = all(row["majl"] > max(float(row[k]) for k in names if k != "majl") for row in rows)
    print(
        f"better than every baseline on each: {beaten}; gain over the mixture {means['majl'] - means['mixture']:.2f} dB"
    )

    tracks = [t for t in corpora["mir-1k"](arguments.root / "mir1k") if t.split == "validation"]
    if arguments.tracks:
        tracks = tracks[:: max(1, len(tracks) // arguments.tracks)]
    start = time.perf_counter()
    scores = mean_scores(evaluate_tracks(model, tracks, snr_db=0.0))
    print(f"MIR-1K validation, 0 dB, {len(tracks)} clips ({time.perf_counter() - start:.0f} s):", scores)
    if arguments.json:
        result = {"fullband": rows, "fullband_mean": means, "mir-1k": {"clips": len(tracks), **scores}}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
