"""Drum parts: patterns of sixteenths in the styles of popular music, with fills, ghost notes and crashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from majl_cli.data.synth.songs import BEATS_PER_BAR, Note

KICK, RIM, SNARE, CLAP, CLOSED, OPEN, CRASH, RIDE, TAMBOURINE, SHAKER = 36, 37, 38, 39, 42, 46, 49, 51, 54, 70
CONGA_HIGH, CONGA_LOW, COWBELL = 62, 64, 56
TOMS = (50, 48, 47, 45, 43, 41)
VELOCITIES = {"x": 112, "o": 88, "-": 58, ",": 34}  # "." rests
KITS = {
    "acoustic": (*range(8), *range(8, 16), *range(16, 20)),
    "machine": (24, 25),
    "soft": (*range(32, 37), 40, 41, 42),
}


@dataclass(frozen=True, kw_only=True)
class DrumStyle:
    """Sixteen steps a bar for each instrument, one string or several to choose from; ``kits`` names rows of KITS."""

    kits: tuple[str, ...]
    lines: dict[int, tuple[str, ...]]
    fills: float = 0.8


EIGHTHS, SIXTEENTHS, QUARTERS = "x.o.x.o.x.o.x.o.", "x-o-x-o-x-o-x-o-", "x...x...x...x..."
BACKBEAT, GHOSTED, HALF, NOTHING = "....x.......x...", "....x..,.,..x..,", "........x.......", "." * 16
STYLES = {
    "rock": DrumStyle(
        kits=("acoustic",),
        lines={
            KICK: ("x.......x.x.....", "x.x.....x.x.....", "x.....x.x.......", "x.......x......."),
            SNARE: (BACKBEAT, BACKBEAT, GHOSTED),
            CLOSED: (EIGHTHS, QUARTERS, EIGHTHS),
        },
    ),
    "open-rock": DrumStyle(
        kits=("acoustic",),
        lines={
            KICK: ("x.......x.x...x.", "x.x...x.x.x.....", "x.xxx.x.x.xxx.x."),
            SNARE: (BACKBEAT,),
            OPEN: (QUARTERS, "x.x.x.x.x.x.x.x."),
        },
    ),
    "pop": DrumStyle(
        kits=("acoustic", "machine"),
        lines={
            KICK: ("x.....x...x.....", "x..x..x...x.....", "x.........x..x.."),
            SNARE: (BACKBEAT, GHOSTED),
            CLOSED: (EIGHTHS, SIXTEENTHS, "x.oxx.o.x.oxx.o."),
            TAMBOURINE: (NOTHING, NOTHING, BACKBEAT),
        },
    ),
    "dance": DrumStyle(
        kits=("machine", "acoustic"),
        lines={
            KICK: (QUARTERS,),
            CLAP: (BACKBEAT,),
            OPEN: ("..x...x...x...x.",),
            CLOSED: (SIXTEENTHS, "-.-.-.-.-.-.-.-.", NOTHING),
        },
    ),
    "half-time": DrumStyle(
        kits=("acoustic", "machine"),
        lines={
            KICK: ("x..........x....", "x.....x.........", "x.x.........x..."),
            SNARE: (HALF,),
            CLOSED: (EIGHTHS, "x-o-x-o-x-xxx-o-", "x.x.x.xxx.x.x.x."),
        },
    ),
    "trap": DrumStyle(
        kits=("machine",),
        lines={
            KICK: ("x......x..x.....", "x..x......x....."),
            CLAP: (HALF,),
            CLOSED: (SIXTEENTHS, "x-x-x-xxx-x-xxxx"),
            OPEN: (NOTHING, "..............x."),
        },
        fills=0.3,
    ),
    "funk": DrumStyle(
        kits=("acoustic",),
        lines={
            KICK: ("x.x.......x..x..", "x..x..x...x....."),
            SNARE: ("....x..,.,.,x..,", ",.,.x..,.,..x.,."),
            CLOSED: (SIXTEENTHS,),
        },
    ),
    "brushes": DrumStyle(
        kits=("soft",),
        lines={
            KICK: ("o.......o.......", "-..............."),
            SNARE: (",.-.o.,.,.-.o.,.", "....o.......o..."),
            RIDE: ("x...o.-.x...o.-.", "x...x...x...x..."),
        },
        fills=0.4,
    ),
    "latin": DrumStyle(
        kits=("soft", "acoustic"),
        lines={
            KICK: ("x..x..x.x..x..x.", "x.....x.x.....x."),
            RIM: ("x..x..x...x.x...", "..x.x...x..x..x."),
            SHAKER: (SIXTEENTHS,),
            CONGA_HIGH: ("..o.....o..o....", NOTHING),
            CONGA_LOW: ("............x.x.", NOTHING),
            COWBELL: (NOTHING, "x...x...x...x..."),
        },
        fills=0.4,
    ),
    "toms": DrumStyle(
        kits=("acoustic",),
        lines={
            KICK: (QUARTERS, "x.......x......."),
            SNARE: (NOTHING, BACKBEAT),
            TOMS[3]: ("x..x..x.x..x..x.", "x.o.x.o.x.o.x.ox"),
            TOMS[5]: ("..x.......x..x..", NOTHING),
        },
    ),
    "percussion": DrumStyle(
        kits=("soft", "acoustic"),
        lines={SHAKER: (EIGHTHS, SIXTEENTHS), TAMBOURINE: (BACKBEAT, NOTHING), CLAP: (NOTHING, BACKBEAT)},
        fills=0.0,
    ),
}  # fmt: skip


def draw_drums(bars: int, generator: np.random.Generator) -> tuple[int, list[Note]]:
    """A kit (program of the drum bank) and the notes of that many bars, in one style, with two patterns in turn."""
    style = list(STYLES.values())[int(generator.integers(len(STYLES)))]
    kit = int(generator.choice(KITS[str(generator.choice(style.kits))]))
    verse, chorus = _draw_lines(style, generator), _draw_lines(style, generator)
    phrase = int(generator.choice([4, 8]))
    notes: list[Note] = []
    for bar in range(bars):
        fills = bar % phrase == phrase - 1 and generator.random() < style.fills
        for pitch, line in (verse if bar // phrase % 2 == 0 else chorus).items():
            notes += _bar(bar, pitch, line[: 8 if fills and pitch != KICK else 16], generator)
        if fills:
            notes += _fill(bar, generator)
        elif bar % phrase == 0 and generator.random() < 0.6 * style.fills:
            notes.append(Note(bar * BEATS_PER_BAR, 1.0, CRASH, int(generator.integers(80, 120))))
    return kit, notes


def _draw_lines(style: DrumStyle, generator: np.random.Generator) -> dict[int, str]:
    return {pitch: str(generator.choice(lines)) for pitch, lines in style.lines.items()}


def _bar(bar: int, pitch: int, line: str, generator: np.random.Generator) -> list[Note]:
    return [
        Note(bar * BEATS_PER_BAR + step / 4, 0.2, pitch, _velocity(VELOCITIES[mark], generator))
        for step, mark in enumerate(line)
        if mark != "."
    ]


def _fill(bar: int, generator: np.random.Generator) -> list[Note]:
    """Snare and toms over the bar's second half, downwards."""
    drums = (SNARE, *TOMS)
    steps = [step for step in range(8, 16) if generator.random() < generator.choice([0.5, 0.9])]
    falls = np.sort(generator.integers(len(drums), size=len(steps)))
    return [
        Note(bar * BEATS_PER_BAR + step / 4, 0.2, drums[fall], _velocity(85 + 3 * step - 24, generator))
        for step, fall in zip(steps, falls, strict=True)
    ]


def _velocity(mean: float, generator: np.random.Generator) -> int:
    return int(np.clip(generator.normal(mean, 6.0), 10, 127))
