"""The full-band excerpts of ``evaluate.py`` as a folder of stems, for ``majl evaluate``.

python examples/recipes/v0/write_excerpts.py ../shared/data runs/fullband
majl evaluate --data stems=runs/fullband --metrics energy,v4 --baseline mixture --model majl-base
"""

from __future__ import annotations

import argparse
from pathlib import Path

import soundfile
from evaluate import RATE, excerpts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the recordings")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--raw-vocals", action="store_true", help="leave the voices' rumble in")
    arguments = parser.parse_args()
    for name, vocals, accompaniment in excerpts(arguments.root, raw_vocals=arguments.raw_vocals):
        place = arguments.out / name.replace(" ", "_")
        place.mkdir(parents=True, exist_ok=True)
        for stem, audio in (("vocals", vocals), ("accompaniment", accompaniment)):
            soundfile.write(place / f"{stem}.wav", audio, RATE, subtype="FLOAT")
        print(place)


if __name__ == "__main__":
    main()
