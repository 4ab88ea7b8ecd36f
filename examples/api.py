"""The Python API: files or arrays in, arrays or files out, progress that can cancel.

python examples/api.py examples/song.ogg
"""

from __future__ import annotations

import sys

import numpy as np

import majl_cli


def show(fraction: float) -> bool:
    """Called with the share done; returning False would cancel."""
    print(f"\r{100 * fraction:3.0f} %", end="", file=sys.stderr)
    return True


def main() -> None:
    song = sys.argv[1]
    model = majl_cli.load_model()

    separation = model.separate(song, progress=show)
    for name, audio in separation.stems.items():
        print(f"\n{name}: {audio.shape[0] / separation.sample_rate:.1f} s, RMS {np.sqrt(np.mean(audio**2)):.3f}")

    pitch = model.estimate_pitch(separation.stems["vocals"], sample_rate=separation.sample_rate, input="vocals")
    voiced = pitch.f0[pitch.voiced]
    if len(voiced):
        print(f"melody: voiced {100 * pitch.voiced.mean():.0f} % of the time, median {np.median(voiced):.0f} Hz")


if __name__ == "__main__":
    main()
