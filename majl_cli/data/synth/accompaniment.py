"""Accompaniments: pieces for band, rendered through a soundfont, without any singing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from majl_cli.data.synth.arrangement import arrange
from majl_cli.data.synth.mastering import Audio, draw_room, mastered, placed, reverberated
from majl_cli.data.synth.songs import Song
from majl_cli.data.synth.soundfont import RATE, SoundfontPlayer

STREAM = 1  # sets these draws apart from other pieces of the same seed and index


def render_accompaniment(
    songs: Sequence[Song],
    player: SoundfontPlayer,
    *,
    seed: int,
    index: int,
    seconds: tuple[float, float] = (30.0, 60.0),
) -> Audio:
    """Piece ``index`` of ``seed``: (2, samples) at RATE, of a length within ``seconds``."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, STREAM, index])))
    length = generator.uniform(*seconds)
    arrangement = arrange(songs[int(generator.integers(len(songs)))], length, generator)
    samples = round(length * RATE)
    dry, send = np.zeros((2, samples), np.float32), np.zeros((2, samples), np.float32)
    for part in arrangement.parts:
        audio = player.play(part, seconds_per_beat=arrangement.seconds_per_beat, samples=samples)
        level = _loudness(audio)
        if level > 1e-6:
            # Instruments of a soundfont differ in loudness by 20 dB: the parts' levels are those of the arrangement.
            audio = placed(audio / np.float32(level), part.pan, part.gain_db)
            dry += audio
            send += np.float32(part.room) * audio
    if generator.random() < 0.8:
        dry += np.float32(generator.uniform(0.2, 1.0)) * reverberated(send, draw_room(generator))
    return mastered(dry, generator)


def _loudness(audio: Audio) -> float:
    """The level with highs counted for more, so that hi-hats without a drum are no louder than in a whole kit."""
    highs = 4.0 * np.diff(audio, axis=1)
    return float(np.sqrt(np.square(audio).mean() + np.square(highs).mean()))
