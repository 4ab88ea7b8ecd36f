"""Modules that do what they say on pure tones, and tracks whose right answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.data.manifest import Stem, Track
from majl_cli.device import Runtime
from majl_cli.inference.session import Model
from majl_cli.models.checkpoint import CheckpointInfo
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.joint import JointModel

RATE = 8000
SECONDS = 3.0  # a tone to 1.5 s, noise to 2.25 s, then silence
TONE_ENDS, NOISE_ENDS = 1.5, 2.25


class Scale(SeparationModule):
    """The vocals are ``gain`` times the mixture."""

    def __init__(self, gain: float = 0.5) -> None:
        super().__init__()
        self.sample_rate, self.channels, self.stems, self.segment, self.context = RATE, 1, ("vocals",), 1.0, 0.0
        self.register_buffer("gain", torch.tensor(gain))

    def forward(self, mixture: Tensor) -> Tensor:
        return self.gain * mixture[:, None]


class TonePitch(PitchModule):
    """The share of a frame's energy at each bin's frequency, as logits from -10 to 10; -10 everywhere in silence."""

    def __init__(self, width: int = 1024) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.stride, self.segment = RATE, 80, 80, 2.0
        self.grid, self.voicing_threshold, self.frequency_range = PitchGrid(), 0.5, (50.0, 1000.0)
        self.context, self.width = (width // 2 + self.hop_length) / RATE, width
        phase = 2 * np.pi * self.grid.frequencies[:, None] * np.arange(width) / RATE
        self.register_buffer("waves", torch.from_numpy(np.exp(1j * phase).T.astype(np.complex64)))

    def forward(self, audio: Tensor) -> Tensor:
        frames = audio.shape[-1] // self.hop_length + 1
        half = self.width // 2
        padded = functional.pad(audio, (half, half + self.hop_length))
        x = padded.unfold(-1, self.width, self.hop_length)[:, :frames]
        power = (x.to(torch.complex64) @ self.waves).abs() ** 2
        energy = x.square().sum(-1, keepdim=True) * self.width / 2
        return 20.0 * power / energy.clamp_min(1e-6) - 10.0


def tone_model(gain: float = 0.5) -> Model:
    joint = JointModel(Scale(gain), TonePitch())
    info = CheckpointInfo(name="tones", folder=Path(), architecture={"kind": "tones"})
    return Model(joint, info, Runtime(device=torch.device("cpu"), precision="float32", threads=1))


def tone_audio(frequency: float, *, level: float = 0.5, seed: int = 0) -> np.ndarray:
    """(samples,): the tone, noise 20 dB below it, silence."""
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    noise = 0.1 * level * np.random.default_rng(seed).standard_normal(len(time_s))
    tone = level * np.sin(2 * np.pi * frequency * time_s)
    return np.where(time_s < TONE_ENDS, tone, np.where(time_s < NOISE_ENDS, noise, 0.0))


def write_label(path: Path, frequency: float) -> Path:
    times = np.arange(round(SECONDS * 100) + 1) / 100
    rows = [f"{time:.2f},{frequency if time < TONE_ENDS else 0:.3f}\n" for time in times]
    path.write_text("time,frequency\n" + "".join(rows))
    return path


def make_track(folder: Path, name: str, labels: str, frequency: float = 220.0, **more: object) -> Track:
    """A track with what ``labels`` promise; two-channel files, the voice on the right, music nobody hears left."""
    folder.mkdir(parents=True, exist_ok=True)
    voice = tone_audio(frequency)
    path, place = folder / f"{name}.wav", name.replace("/", "_")
    path = folder / f"{place}.wav"
    soundfile.write(path, np.stack((1e-3 * np.roll(voice, 7), voice), axis=1), RATE)
    stems = {"vocals": Stem(path=path, channel=1), "accompaniment": Stem(path=path, channel=0)}
    fields: dict[str, object] = {
        "stems": {} if labels == "pe" else stems,
        "mixture": Stem(path=path, channel=1) if labels == "pe" else None,
        "pitch": None if labels == "mss" else write_label(folder / f"{place}.csv", frequency),
    }
    return Track(
        id=name, corpus="tones", labels=labels, sample_rate=RATE, channels=1, duration=SECONDS, **(fields | more)
    )  # type: ignore[arg-type]
