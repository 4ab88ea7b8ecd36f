"""RMVPE against the reference network filled with the same weights; its front end; the octave guard."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pitch_golden import GOLDEN, filled, sampled, signal
from tiny import PITCH
from torch import Tensor

from majl_cli.convert import frequency_to_cents
from majl_cli.errors import ConfigError
from majl_cli.models.pitch.decode import decode_salience
from majl_cli.models.pitch.octave_guard import OctaveGuard
from majl_cli.models.pitch.rmvpe import Rmvpe, RmvpeConfig, mel_filters
from majl_cli.models.registry import build_pitch


def tiny(**options: object) -> Rmvpe:
    torch.manual_seed(0)
    module = build_pitch("rmvpe", {**PITCH["rmvpe"]["tiny"], **options})
    assert isinstance(module, Rmvpe)
    return module.eval()


def test_the_filled_reference_network_is_reproduced() -> None:
    golden = np.load(GOLDEN / "rmvpe.npz")
    module = Rmvpe(RmvpeConfig(octave_guard=False)).eval()
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    assert len(shapes) == 741 and sum(p.numel() for p in module.parameters()) == 90423165
    module.load_state_dict(module.convert_weights(filled(shapes, 0.9)), assign=True)
    activations: dict[str, Tensor] = {}
    names = [key.removeprefix("act/") for key in golden if key.startswith("act/")]
    for name in names:
        module.get_submodule(name.removesuffix("_pool")).register_forward_hook(
            lambda _module, _inputs, output, name=name: activations.__setitem__(name, output)
        )
    audio = signal(24057, 16000)
    with torch.inference_mode():
        mel = module.mel(audio)[0].T.numpy()
        salience = torch.sigmoid(module(audio))[0].numpy()
    assert np.abs(mel[::8] - golden["mel"]).max() < 1e-4
    assert np.abs(salience[::3] - golden["salience"]).max() < 1e-4
    frequency, confidence = decode_salience(salience, module.grid)
    assert (confidence > 0.03).all() and (golden["f0"] > 0).all()
    assert np.abs(frequency / golden["f0"] - 1).max() < 1e-3
    for name in names:
        activation = torch.nn.functional.avg_pool2d(activations[name], 2) if "_pool" in name else activations[name]
        reference = golden[f"act/{name}"]
        assert np.abs(sampled(activation, 8) - reference).max() < 1e-4 * max(1.0, reference.std()), name


def test_our_decoder_gives_the_references_f0_and_voicing() -> None:
    golden = np.load(GOLDEN / "rmvpe_decode.npz")
    frequency, confidence = decode_salience(golden["salience"], tiny().grid)
    voiced = golden["f0"] > 0
    assert 0 < voiced.sum() < len(voiced)
    assert {0, 359} & set(golden["salience"].argmax(axis=1)), "an edge of the grid is among the frames"
    assert np.array_equal(confidence > 0.03, voiced)
    assert np.array_equal(confidence > 0.5, golden["f0_half"] > 0)
    cents, reference = frequency_to_cents(frequency[voiced]), frequency_to_cents(golden["f0"][voiced])
    assert np.abs(cents - reference).max() < 0.01


def test_mel_filters_are_librosas() -> None:
    import librosa

    reference = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=128, fmin=30, fmax=8000, htk=True)
    assert np.abs(mel_filters(16000, 1024, 128, 30.0, 8000.0) - reference).max() < 1e-7


def test_half_precision_weights_are_cast_and_counters_kept() -> None:
    module = tiny()
    half = {name: value.half() if value.is_floating_point() else value for name, value in module.state_dict().items()}
    converted = module.convert_weights(half)
    assert converted["fc.1.weight"].dtype == torch.float32
    assert converted["unet.encoder.bn.num_batches_tracked"].dtype == torch.int64
    module.load_state_dict(converted)


def test_mel_bands_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ConfigError, match="rmvpe: mel_bands 100 is not a multiple of 32"):
        RmvpeConfig(mel_bands=100)


def harmonic_tone(frequency: np.ndarray) -> Tensor:
    """(1, T) at 16 kHz with partials 1 to 3; ``frequency`` in Hz for every sample."""
    phase = 2 * np.pi * np.cumsum(frequency) / 16000
    return torch.from_numpy(0.2 * sum(np.sin(h * phase) / h for h in (1, 2, 3)).astype(np.float32))[None]


def test_an_octave_down_is_what_half_the_frequency_sounds_like() -> None:
    module = Rmvpe(RmvpeConfig(levels=2, blocks=1, middle_stages=1, hidden=8))
    high, low = (harmonic_tone(np.full(16000, f)) for f in (1200.0, 600.0))
    lowered, expected = module.mel(high, octave_down=True)[0, 5:-5], module.mel(low)[0, 5:-5]
    assert lowered.shape == expected.shape
    loud = expected > -4.0
    assert 0.03 < loud.float().mean() < 0.5
    assert (lowered - expected)[loud].abs().max() < 0.05
    assert (module.mel(high)[0, 5:-5] - expected)[loud].abs().max() > 1.0


class DroppingNetwork(torch.nn.Module):
    """Log mel (B, 1, N, 128) to logits (B, N, 360) at the lowest strong partial; above 1040 Hz, an octave below it."""

    def __init__(self, module: Rmvpe) -> None:
        super().__init__()
        corners = np.linspace(2595 * np.log10(1 + 30 / 700), 2595 * np.log10(1 + 8000 / 700), 130)
        self.centres = 700 * (10 ** (corners[1:-1] / 2595) - 1)
        self.grid = module.grid

    def forward(self, mel: Tensor) -> Tensor:
        level = mel[:, 0].exp().numpy()
        strongest = level.argmax(axis=-1)
        frequency = self.centres[strongest]
        frequency = np.where(frequency > 1040, frequency / 2, frequency)
        bins = torch.from_numpy(self.grid.frequency_to_bin(frequency).round())[..., None]
        logits = 4.0 - 0.5 * (torch.arange(360) - bins).abs()
        return torch.where(torch.from_numpy(level.max(axis=-1) > 1e-2)[..., None], logits, -8.0).float()


def dropping(*, octave_guard: bool) -> Rmvpe:
    """A module with a simulated defect: an f0 above 1040 Hz is reported as half of it, with high confidence."""
    module = tiny(mel_bands=128, octave_guard=octave_guard)
    module.unet = DroppingNetwork(module)  # type: ignore[assignment]
    module.cnn = torch.nn.Identity()  # type: ignore[assignment]
    module.fc = torch.nn.Sequential(torch.nn.Unflatten(2, (1, -1)), torch.nn.Flatten(2))
    # What leaves the stub has no channel axis: (B, N, K) is passed on as it is.
    module.unet.register_forward_hook(lambda _module, _inputs, output: output.unsqueeze(1))
    return module


def decoded(module: Rmvpe, audio: Tensor) -> np.ndarray:
    with torch.inference_mode():
        return decode_salience(torch.sigmoid(module(audio))[0].numpy(), module.grid)[0]


def cents_off(found: np.ndarray, frequency: float) -> np.ndarray:
    return np.abs(1200 * np.log2(found / frequency))


@pytest.mark.parametrize("frequency", (1080.0, 1244.0, 1500.0, 1850.0))
def test_the_guard_restores_a_dropped_octave(frequency: float) -> None:
    audio = harmonic_tone(np.full(8000, frequency))
    inner = slice(5, -5)
    assert cents_off(decoded(dropping(octave_guard=False), audio)[inner], frequency / 2).max() < 60
    assert cents_off(decoded(dropping(octave_guard=True), audio)[inner], frequency).max() < 60


@pytest.mark.parametrize("frequency", (220.0, 440.0, 523.0, 700.0, 960.0, 1030.0))
def test_the_guard_leaves_ordinary_notes_alone(frequency: float) -> None:
    audio = harmonic_tone(np.full(8000, frequency))
    with_guard, without = (decoded(dropping(octave_guard=guard), audio) for guard in (True, False))
    assert np.array_equal(with_guard, without)
    assert cents_off(with_guard[5:-5], frequency).max() < 60


def test_the_guard_works_frame_by_frame_and_example_by_example() -> None:
    melody = harmonic_tone(np.repeat([600.0, 1300.0, 0.0, 300.0], 4000))
    module = dropping(octave_guard=True)
    found = decoded(module, melody)
    for second, frequency in ((0, 600.0), (1, 1300.0), (3, 300.0)):
        assert cents_off(found[25 * second + 6 : 25 * second + 19], frequency).max() < 60
    low = harmonic_tone(np.full(16000, 220.0))
    with torch.inference_mode():
        both, alone = module(torch.cat((low, melody))), (module(low), module(melody))
    assert torch.equal(both, torch.cat(alone))


def test_a_second_pass_is_run_only_for_examples_in_doubt() -> None:
    module = dropping(octave_guard=True)
    passes: list[int] = []
    module.unet.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    low, doubtful = (harmonic_tone(np.full(8000, f)) for f in (220.0, 700.0))
    with torch.inference_mode():
        module(low)
        module(torch.cat((low, doubtful, 0.0 * low)))
        module.train()(doubtful)
    assert passes == [1, 3, 1, 1]


def test_the_guard_moves_the_whole_salience_by_an_octave() -> None:
    grid = tiny().grid
    guard = OctaveGuard(grid=grid, threshold=0.5)
    logits = torch.full((1, 2, 360), -8.0)
    logits[0, :, 250:253] = torch.tensor([1.0, 3.0, 1.0])
    octave_lower = torch.full_like(logits, -8.0)
    octave_lower[0, 0, 253] = 2.0  # what was found, so f0 is twice that
    octave_lower[0, 1, 191] = 2.0  # half of what was found
    repaired = guard.repaired(logits, octave_lower)
    assert torch.equal(repaired[0, 0, 60:], logits[0, 0, :-60])
    assert torch.equal(repaired[0, 0, :60], torch.full((60,), -8.0))
    assert torch.equal(repaired[0, 1], logits[0, 1])
    unsure = dataclasses.replace(guard, threshold=0.99)
    assert torch.equal(unsure.repaired(logits, octave_lower), logits)


def test_bfloat16_stays_near_float32() -> None:
    module = tiny()
    with torch.inference_mode():
        exact = module(signal(8000, 16000))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = module(signal(8000, 16000))
    assert rounded.dtype == torch.float32
    assert (exact - rounded).abs().max() < 0.05


def test_no_logit_is_dropped_in_training() -> None:
    torch.manual_seed(0)
    module = build_pitch("rmvpe", {**PITCH["rmvpe"]["tiny"], "dropout": 0.5}).train()
    audio = 0.1 * torch.randn(2, 16000)
    logits = module(audio)
    assert (logits != 0).all()
    assert not torch.equal(logits, module(audio))  # what leads to them is
