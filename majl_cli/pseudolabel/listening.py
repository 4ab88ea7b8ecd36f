"""What the pitch module hears in a voice, streamed: a few numbers per frame are all that is kept.

Letters: N frames, G temperatures, O octaves, n samples of a block, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from majl_cli.convert import frames_to_seconds
from majl_cli.data.labels import PitchLabels, frames_from_labels
from majl_cli.device import Runtime
from majl_cli.inference.pitch import voice_salience_blocks
from majl_cli.inference.separation import separate_blocks
from majl_cli.inference.session import Model
from majl_cli.models.contracts import PitchModule
from majl_cli.models.pitch.decode import decode_salience
from majl_cli.pseudolabel.confidence import Block, Bools, Floats, WindowEnergy, attenuation, mass_near, posteriorgram
from majl_cli.pseudolabel.stems import OpenStem

NO_OCTAVE = (0,)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """``times`` in s, ``frequency`` decoded in Hz (the guess, given everywhere), ``voiced``, all (N,).

    ``own`` (N, G) is the mass of what was decoded: near the frequency where voiced, of "unvoiced" elsewhere. ``label``
    in Hz and ``known`` (N,) are the given label at these frames, ``near`` (N, G, O) the mass near it and its octaves;
    without a label nothing is known.
    """

    times: Floats
    frequency: Floats
    voiced: Bools
    own: Floats
    label: Floats
    known: Bools
    near: Floats

    @property
    def f0(self) -> Floats:
        """Hz (N,), 0 where unvoiced."""
        return np.where(self.voiced, self.frequency, 0.0)


@dataclass(frozen=True, kw_only=True)
class HeardApart:
    """``heard`` in a voice separated from a mixture; ``attenuation`` (N,) in [0, 1] of the voice below the mixture."""

    heard: Heard
    mixture: WindowEnergy
    attenuation: Floats

    def confidence(self) -> Floats:
        """(N, G): mass near the label (its own octave) where it is voiced, attenuation where it is not, 0 where no
        label is known: such a frame can neither teach pitch nor vouch for the separated voice."""
        sung = (self.heard.label > 0)[:, None]
        believed = np.where(sung, self.heard.near[:, :, 0], self.attenuation[:, None])
        return np.where(self.heard.known[:, None], believed, 0.0)


def hear(
    pitch: PitchModule,
    blocks: Iterable[Block],
    sample_rate: int,
    *,
    runtime: Runtime,
    temperatures: Sequence[float],
    label: PitchLabels | None = None,
    octaves: Sequence[int] = NO_OCTAVE,
) -> Heard:
    """Blocks (n, C) of a voice at ``sample_rate`` through the pitch module; see ``Heard``."""
    parts: list[tuple[np.ndarray, ...]] = []
    done = 0
    for salience in voice_salience_blocks(pitch, blocks, sample_rate, runtime=runtime):
        times = frames_to_seconds(np.arange(done, done + len(salience)), pitch.hop_length, pitch.sample_rate)
        done += len(salience)
        frequency, peak = decode_salience(salience, pitch.grid, frequency_range=pitch.frequency_range)
        voiced = peak >= pitch.voicing_threshold
        nothing = (np.zeros(len(times)), np.zeros(len(times), bool))
        given, known = nothing if label is None else frames_from_labels(label, times)
        own, near = [], []
        for temperature in temperatures:
            posterior, unvoiced = posteriorgram(salience, temperature)
            own.append(np.where(voiced, mass_near(posterior, pitch.grid, frequency), unvoiced))
            near.append(np.stack([mass_near(posterior, pitch.grid, given * 2.0**octave) for octave in octaves], axis=1))
        parts.append((times, frequency, voiced, np.stack(own, axis=1), given, known, np.stack(near, axis=1)))
    times, frequency, voiced, own_, given, known, near_ = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Heard(times=times, frequency=frequency, voiced=voiced, own=own_, label=given, known=known, near=near_)


def hear_apart(
    model: Model,
    mixture: OpenStem,
    *,
    temperatures: Sequence[float],
    label: PitchLabels,
    octaves: Sequence[int] = NO_OCTAVE,
    on_vocals: Callable[[Block], None],
) -> HeardApart:
    """Separate a mixture and listen to the target, whose blocks (n, C) at the mixture's rate go to ``on_vocals``."""
    energy, part = WindowEnergy(mixture.sample_rate), WindowEnergy(mixture.sample_rate)
    target = model.joint.target

    def vocals() -> Iterator[Block]:
        for block in separate_blocks(
            model.joint.separation,
            energy.passing(mixture.blocks),
            mixture.sample_rate,
            mixture.channels,
            runtime=model.runtime,
            stems=(target,),
            target=target,
        ):
            part.push(block[target])
            on_vocals(block[target])
            yield block[target]

    heard = hear(
        model.joint.pitch,
        vocals(),
        mixture.sample_rate,
        runtime=model.runtime,
        temperatures=temperatures,
        label=label,
        octaves=octaves,
    )
    quiet = attenuation(vocals=part, mixture=energy, times=heard.times)
    return HeardApart(heard=heard, mixture=energy, attenuation=quiet)
