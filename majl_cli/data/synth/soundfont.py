"""Notes to sound through a General MIDI soundfont (SF2 or SF3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.synth.songs import Note
from majl_cli.errors import DataError, DependencyError

RATE = 44100
WHEEL_SECONDS = 0.01
MOST_VOICES = 40  # of one part; sounds with long releases pile up
Audio = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Bend:
    """Vibrato of a lead instrument: ``rate`` in Hz, ``depth`` in cents after ``delay`` seconds; each note is entered
    from ``scoop`` cents away, within ``scoop_seconds``."""

    rate: float
    depth: float
    delay: float
    scoop: float
    scoop_seconds: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one instrument plays: a General MIDI ``program`` from 0, or a kit of the drum bank."""

    role: str
    program: int
    notes: Sequence[Note]
    drums: bool = False
    gain_db: float = 0.0
    pan: float = 0.0
    room: float = 0.0
    bend: Bend | None = None


class SoundfontPlayer:
    """Plays parts at RATE. Loading takes seconds; processes forked afterwards share what was loaded."""

    def __init__(self, path: Path) -> None:
        try:
            from tinysoundfont import _tinysoundfont as tinysoundfont
        except ImportError as error:
            raise DependencyError(
                "tinysoundfont is not installed", "pip install --no-deps tinysoundfont (it asks for pyaudio in vain)"
            ) from error
        if not path.is_file():
            raise DataError(
                f"{path}: there is no such soundfont", "Debian's fluidr3mono-gm-soundfont, for one, brings an SF3 file"
            )
        self._library: Any = tinysoundfont
        try:
            self._font = tinysoundfont.SoundFont(path.read_bytes())
        except RuntimeError as error:
            raise DataError(f"{path}: not a soundfont: {error}", "use an SF2 or SF3 file") from error

    def play(self, part: Part, *, seconds_per_beat: float, samples: int) -> Audio:
        """(2, samples); notes that begin later are left out, and what rings on is cut."""
        font = self._library.SoundFont(self._font)
        font.set_output(self._library.OutputMode.StereoInterleaved, RATE, 0.0)
        font.set_max_voices(MOST_VOICES)
        bank = 128 if part.drums else 0
        found = font.get_preset_index(bank, part.program) >= 0
        font.channel_set_bank(0, bank)
        font.channel_set_preset_number(0, part.program if found else 0, part.drums)
        out = np.zeros((samples, 2), np.float32)
        now = 0
        for when, order, value, velocity in _events(part, seconds_per_beat, samples):
            if when > now:
                font.render(out[now:when], False)
                now = when
            if order == 0:
                font.channel_note_off(0, value)
            elif order == 1:
                font.channel_set_pitch_wheel(0, value)
            else:
                font.channel_note_on(0, value, velocity / 127)
        if now < samples:
            font.render(out[now:], False)
        return np.ascontiguousarray(out.T)


def _events(part: Part, seconds_per_beat: float, samples: int) -> list[tuple[int, int, int, int]]:
    """(sample, 0 off | 1 wheel | 2 on, value, velocity) in the order of playing."""
    events = []
    for note in part.notes:
        start = round(note.start * seconds_per_beat * RATE)
        end = round((note.start + note.length) * seconds_per_beat * RATE)
        if 0 <= start < samples:
            events += [(start, 2, note.pitch, note.velocity), (min(end, samples), 0, note.pitch, 0)]
            if part.bend is not None:
                events += _wheel(part.bend, start, min(end, samples))
    return sorted(events)


def _wheel(bend: Bend, start: int, end: int) -> list[tuple[int, int, int, int]]:
    times = np.arange(0.0, (end - start) / RATE, WHEEL_SECONDS)
    depth = bend.depth * np.clip((times - bend.delay) / 0.3, 0.0, 1.0)
    cents = depth * np.sin(2 * np.pi * bend.rate * times) + bend.scoop * np.exp(-3.0 * times / bend.scoop_seconds)
    values = np.clip(np.round(8192 + cents / 200.0 * 8192), 0, 16383).astype(int)  # the wheel spans 200 cents
    return [(start + round(time * RATE), 1, int(value), 0) for time, value in zip(times, values, strict=True)]
