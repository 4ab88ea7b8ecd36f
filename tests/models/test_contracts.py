"""One contract over all registered modules and every pair. A new module needs a row in tiny.py, nothing else.

What chunks make of each is in tests/inference/test_registered_modules.py.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from tiny import (
    LOCAL_PITCH,
    LOCAL_SEPARATION,
    NOT_SILENT,
    PITCH,
    PITCH_CASES,
    SEPARATION,
    SEPARATION_CASES,
    Case,
    pitch_of,
    separation_of,
)

from majl_cli.errors import ConfigError
from majl_cli.models.checkpoint import load_checkpoint, save_checkpoint
from majl_cli.models.contracts import SeparationModule
from majl_cli.models.joint import JointModel
from majl_cli.models.registry import build_separation, describe_module, pitch_modules, separation_modules

LENGTHS = (1, 2, 7, 63, 64, 100, 1023, 5001, 16000)


def test_every_registered_module_has_a_tiny_case() -> None:
    assert set(SEPARATION) == set(separation_modules)
    assert set(PITCH) == set(pitch_modules)
    assert set(NOT_SILENT) <= set(separation_modules)


@pytest.mark.parametrize("case", SEPARATION_CASES)
def test_separation_keeps_shape_and_is_finite(case: Case) -> None:
    module = separation_of(*case).eval()
    for samples in LENGTHS:
        mixture = torch.randn(2, module.channels, samples)
        with torch.no_grad():
            estimates = module(mixture)
            again = module(mixture)
        assert estimates.shape == (2, len(module.stems), module.channels, samples)
        assert torch.isfinite(estimates).all(), samples
        assert torch.equal(estimates, again), samples


@pytest.mark.parametrize("case", SEPARATION_CASES)
def test_separation_of_silence_is_silence_and_trains_without_nan(case: Case) -> None:
    module = separation_of(*case)
    mixture = torch.zeros(2, module.channels, 4000, requires_grad=True)
    estimates = module(mixture)
    estimates.square().mean().backward()
    assert estimates.abs().max() <= (1e-3 if case[0] in NOT_SILENT else 0)
    assert mixture.grad is not None and torch.isfinite(mixture.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    with torch.no_grad():
        assert module.eval()(mixture).abs().max() <= (1e-3 if case[0] in NOT_SILENT else 0)


@pytest.mark.parametrize("case", LOCAL_SEPARATION)
def test_separation_depends_on_its_context_only(case: Case) -> None:
    module = separation_of(*case).eval()
    assert module.context is not None
    context = round(module.context * module.sample_rate)
    samples = 2 * context + 4 * module.stride
    mixture = torch.randn(1, module.channels, samples)
    changed = mixture.clone()
    changed[..., : samples // 2 - context] += torch.randn(samples // 2 - context)
    with torch.no_grad():
        difference = (module(mixture) - module(changed)).abs()
    assert difference[..., samples // 2 :].max() < 1e-6
    assert difference[..., : samples // 4].max() > 1e-4


@pytest.mark.parametrize("case", LOCAL_SEPARATION)
def test_separation_shifts_along_with_its_stride(case: Case) -> None:
    module = separation_of(*case).eval()
    context = -(-round((module.context or 0) * module.sample_rate) // module.stride) * module.stride
    mixture = torch.randn(1, module.channels, 4 * context)
    with torch.no_grad():
        whole = module(mixture)[..., 2 * context : 3 * context]
        part = module(mixture[..., context:])[..., context : 2 * context]
    assert (whole - part).abs().max() < 1e-5


@pytest.mark.parametrize("case", PITCH_CASES)
def test_pitch_has_one_frame_per_hop_and_one_more(case: Case) -> None:
    module = pitch_of(*case).eval()
    hop = module.hop_length
    for samples in (1, hop - 1, hop, hop + 1, 1023, 4000):
        audio = 0.1 * torch.randn(2, samples)
        with torch.no_grad():
            logits = module(audio)
            again = module(audio)
        assert logits.shape == (2, samples // hop + 1, module.grid.bins)
        assert torch.isfinite(logits).all(), samples
        assert torch.equal(logits, again), samples


@pytest.mark.parametrize("case", LOCAL_PITCH)
def test_pitch_depends_on_its_context_only(case: Case) -> None:
    module = pitch_of(*case).eval()
    assert module.context is not None
    context = round(module.context * module.sample_rate)
    samples = 2 * context + 4 * module.stride
    audio = 0.1 * torch.randn(1, samples)
    changed = audio.clone()
    edge = samples // 2 - context
    changed[:, :edge] = torch.randn(edge)
    with torch.no_grad():
        difference = (module(audio) - module(changed)).abs().amax(dim=(0, 2))
    assert difference[-(-samples // 2 // module.hop_length) :].max() < 1e-4
    assert difference[: edge // 2 // module.hop_length + 1].max() > 1e-4


@pytest.mark.parametrize("case", PITCH_CASES)
def test_pitch_of_silence_trains_without_nan(case: Case) -> None:
    module = pitch_of(*case)
    audio = torch.zeros(2, 3200, requires_grad=True)
    module(audio).square().mean().backward()
    assert audio.grad is not None
    assert torch.isfinite(audio.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("case", SEPARATION_CASES)
@pytest.mark.parametrize("samples", (1, 63, 5001))
def test_separation_of_any_length_has_a_finite_gradient(case: Case, samples: int) -> None:
    module = separation_of(*case)
    mixture = (0.1 * torch.randn(2, module.channels, samples)).requires_grad_()
    module(mixture).square().sum().backward()
    assert mixture.grad is not None and torch.isfinite(mixture.grad).all()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


@pytest.mark.parametrize("case", PITCH_CASES)
@pytest.mark.parametrize("samples", (1, 161, 4001))
def test_pitch_of_any_length_has_a_finite_gradient(case: Case, samples: int) -> None:
    module = pitch_of(*case)
    audio = (0.1 * torch.randn(2, samples)).requires_grad_()
    module(audio).square().sum().backward()
    assert audio.grad is not None and torch.isfinite(audio.grad).all()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


class Halver(SeparationModule):
    """A module of somebody else's: every stem is half the mixture."""

    def __init__(self, sample_rate: int = 16000) -> None:
        super().__init__()
        self.config = {"sample_rate": sample_rate}
        self.sample_rate, self.channels, self.stems = sample_rate, 1, ("vocals",)
        self.segment, self.context = 1.0, 0.0
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        return self.gain * mixture[:, None]


def test_a_class_of_somebody_elses_is_built_and_loaded_by_its_name(tmp_path: Path) -> None:
    name = f"{__name__}:Halver"
    joint = JointModel(build_separation(name, {"sample_rate": 8000}), pitch_of("salience-cnn", "tiny")).eval()
    save_checkpoint(tmp_path / "model", joint, separation=name, pitch="salience-cnn")
    loaded, _ = load_checkpoint(tmp_path / "model")
    assert type(loaded.separation) is Halver and loaded.separation.sample_rate == 8000
    mixture = torch.randn(1, 1, 100)
    assert torch.equal(loaded.separate(mixture), 0.5 * mixture[:, None])


def test_a_class_of_somebody_elses_with_wrong_options_is_no_traceback() -> None:
    with pytest.raises(ConfigError, match="unexpected keyword argument 'rate'"):
        build_separation(f"{__name__}:Halver", {"rate": 8000})
    with pytest.raises(ConfigError, match="has no attribute config"):
        describe_module("mine:Plain", torch.nn.Identity())
    module = Halver()
    module.config = {"folder": Path("here")}
    with pytest.raises(ConfigError, match="config cannot be stored: Object of type"):
        describe_module("mine:Halver", module)


def firsts(cases: list[Case]) -> list[Case]:
    """One case of each module: pairs are many."""
    return [case for n, case in enumerate(cases) if case[0] not in {name for name, _ in cases[:n]}]


PAIRS = list(itertools.product(firsts(SEPARATION_CASES), firsts(PITCH_CASES)))


@pytest.mark.parametrize(("separation", "pitch"), PAIRS)
def test_pitch_gradient_reaches_the_separation_modules_first_layer(separation: Case, pitch: Case) -> None:
    joint = JointModel(separation_of(*separation), pitch_of(*pitch))
    samples = joint.separation.sample_rate // 8
    output = joint(0.1 * torch.randn(2, joint.separation.channels, samples))
    assert output.estimates.shape == (2, len(joint.separation.stems), joint.separation.channels, samples)
    frames = round(samples * joint.pitch.sample_rate / joint.separation.sample_rate) // joint.pitch.hop_length + 1
    assert output.logits.shape == (2, frames, joint.pitch.grid.bins)
    output.logits.square().mean().backward()
    first = next(joint.separation.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0


# Each module in one pair at least: what a checkpoint stores of one does not depend on the other.
STORED = [(case, PITCH_CASES[0]) for case in SEPARATION_CASES] + [(SEPARATION_CASES[0], case) for case in PITCH_CASES]


@pytest.mark.parametrize(("separation", "pitch"), STORED)
def test_checkpoint_gives_back_the_same_model(separation: Case, pitch: Case, tmp_path: Path) -> None:
    joint = JointModel(separation_of(*separation), pitch_of(*pitch)).eval()
    save_checkpoint(tmp_path / "model", joint, separation=separation[0], pitch=pitch[0], metadata={"licence": "x"})
    loaded, info = load_checkpoint(tmp_path / "model")
    mixture = 0.1 * torch.randn(1, joint.separation.channels, 4001)
    with torch.no_grad():
        expected, actual = joint(mixture), loaded(mixture)
    assert torch.equal(expected.estimates, actual.estimates)
    assert torch.equal(expected.logits, actual.logits)
    assert info.metadata == {"licence": "x"}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_detached_pitch_leaves_the_separation_module_alone() -> None:
    joint = JointModel(separation_of("unet", "16 kHz mono"), pitch_of("salience-cnn", "tiny"), detach_pitch=True)
    joint(0.1 * torch.randn(1, 1, 4000)).logits.square().mean().backward()
    assert all(p.grad is None for p in joint.separation.parameters())
