"""DWHS: the table case by case, soft edges, bounds, means, and a learned variant that cannot run away."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor

from majl_cli.convert import PitchGrid
from majl_cli.errors import ConfigError
from majl_cli.training.dwhs import (
    VARIANTS,
    Evidence,
    Weighting,
    WeightingConfig,
    normalise,
    pitch_cents,
    rightness,
)
from majl_cli.training.dwm import DynamicWeights

GRID = PitchGrid()
LABEL = 220.0
RIGHT, WRONG = 220.0, 330.0
RAW = WeightingConfig(granularity="frame")


def logits_at(frequency: float) -> Tensor:
    """One frame (1, 1, K) of a posteriorgram whose only peak is at ``frequency``: odds 50 in the middle."""
    distance = torch.as_tensor(GRID.frequency_to_bin(frequency) - np.arange(GRID.bins), dtype=torch.float32)
    return torch.logit((0.98 * torch.exp(-0.5 * (distance / 1.25) ** 2)).clamp_min(1e-4))[None, None]


def evidence(predicted: Tensor, target: Tensor, **changes: Tensor) -> Evidence:
    ones = torch.ones_like(predicted)
    values = dict.fromkeys((f.name for f in dataclasses.fields(Evidence)), ones)
    values |= {"predicted": predicted, "target": target, "pseudo": torch.zeros_like(ones)}
    return Evidence(**(values | changes))


def evidence_of(predicted: float, target: float, **changes: Tensor) -> Evidence:
    """One frame in which the pitches (Hz) were found in the predicted and in the target source."""
    f0 = torch.tensor([[LABEL]])
    found = [rightness(logits_at(hz), f0, GRID, WeightingConfig()) for hz in (predicted, target)]
    return evidence(*found, **changes)


@pytest.mark.parametrize(
    ("predicted", "target", "case", "omega_mss", "omega_pe"),
    [
        (RIGHT, RIGHT, 1, 1.0, 1.0),
        (WRONG, RIGHT, 2, 1.0, 0.5),  # reduced: the separation's error would be taught to P
        (RIGHT, WRONG, 3, 2.0, 1.0),  # raised: S pleases P instead of matching the target
        (WRONG, WRONG, 4, 1.0, 1.5),  # raised: hard for P itself
    ],
)
def test_the_table_case_by_case(predicted: float, target: float, case: int, omega_mss: float, omega_pe: float) -> None:
    shown = evidence_of(predicted, target)
    assert shown.cases()[0, 0].tolist() == [float(n == case) for n in (1, 2, 3, 4)]
    mss, pe = Weighting(RAW).raw(shown)
    assert (mss.item(), pe.item()) == (omega_mss, omega_pe)


def test_case_4_of_a_pseudo_label_weighs_as_much_as_its_confidence() -> None:
    confidence = torch.tensor([[0.8]])
    shown = evidence_of(WRONG, WRONG, confidence=confidence, pseudo=torch.ones(1, 1))
    assert Weighting(RAW).raw(shown)[1].item() == pytest.approx(0.8)
    others = evidence_of(WRONG, RIGHT, confidence=confidence, pseudo=torch.ones(1, 1))
    assert Weighting(RAW).raw(others)[1].item() == pytest.approx(0.5)


def test_all_eight_entries_are_configuration() -> None:
    config = dataclasses.replace(RAW, mss=(0.1, 0.2, 0.3, 0.4), pe=(0.5, 0.6, 0.7, 0.8))
    found = [Weighting(config).raw(evidence_of(p, t)) for p in (RIGHT, WRONG) for t in (RIGHT, WRONG)]
    assert [round(mss.item(), 4) for mss, _ in found] == [0.1, 0.3, 0.2, 0.4]
    assert [round(pe.item(), 4) for _, pe in found] == [0.5, 0.7, 0.6, 0.8]


@pytest.mark.parametrize("missing", ["voiced", "pitch_known", "sources_known"])
def test_what_cannot_be_compared_is_case_1(missing: str) -> None:
    shown = evidence_of(WRONG, WRONG, **{missing: torch.zeros(1, 1)})
    assert shown.cases()[0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("cents", "expected"), [(0, 1.0), (49, 1.0), (75, 0.5), (101, 0.0), (1200, 0.0)])
def test_rightness_falls_from_50_to_100_cents(cents: float, expected: float) -> None:
    for sign in (1, -1):
        logits = logits_at(LABEL * 2 ** (sign * cents / 1200))
        right = rightness(logits, torch.tensor([[LABEL]]), GRID, WeightingConfig())
        assert right.item() == pytest.approx(expected, abs=0.06)


def test_rightness_has_no_step_where_it_is_soft_and_one_where_it_is_not() -> None:
    cents = np.linspace(0, 120, 241)
    f0 = torch.tensor([[LABEL]])

    def curve(config: WeightingConfig) -> np.ndarray:
        return np.array([rightness(logits_at(LABEL * 2 ** (c / 1200)), f0, GRID, config).item() for c in cents])

    soft, hard = curve(WeightingConfig()), curve(WeightingConfig(soft=False))
    assert np.abs(np.diff(soft)).max() < 0.05
    assert set(hard) == {0.0, 1.0}
    assert hard[cents < 49].all() and not hard[cents > 51].any()


def test_an_unvoiced_frame_is_not_right() -> None:
    assert rightness(logits_at(220.0), torch.zeros(1, 1), GRID, WeightingConfig()).item() == 0.0


def test_the_pitch_is_found_as_the_decoder_finds_it() -> None:
    from majl_cli.models.pitch.decode import decode_salience

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 50, GRID.bins, generator=generator) - 3
    frequency, _ = decode_salience(torch.sigmoid(logits)[0].numpy(), GRID)
    found = pitch_cents(logits, GRID)[0].numpy()
    assert found == pytest.approx(1200 * np.log2(frequency / 10.0), abs=0.01)


@pytest.mark.parametrize("granularity", ["segment", "frame"])
def test_a_segment_has_one_omega_mss_and_a_frame_its_own(granularity: str) -> None:
    predicted = torch.ones(2, 4)
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])  # half of the first segment is case 3
    weights = Weighting(WeightingConfig(granularity=granularity))(evidence(predicted, target))
    rows = weights.mss
    assert (rows[0] == rows[0, 0]).all() == (granularity == "segment")
    assert rows.mean().item() == pytest.approx(1.0, abs=1e-5)
    assert rows[0].mean() > rows[1].mean()
    ratio = rows[0, 0] / rows[1, 0]
    assert ratio.item() == pytest.approx(1.5 if granularity == "segment" else 2.0)


def test_frames_without_sources_do_not_count_in_a_segments_mean() -> None:
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    known = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    rows = Weighting(WeightingConfig())(evidence(torch.ones(2, 4), target, sources_known=known)).mss
    assert (rows[0, 0] / rows[1, 0]).item() == pytest.approx(2.0)
    assert ((rows * known).sum() / known.sum()).item() == pytest.approx(1.0, abs=1e-5)


def test_uniform_is_1_and_fixed_is_two_constants() -> None:
    shown = evidence(torch.rand(2, 3), torch.rand(2, 3))
    for config, expected in (
        (WeightingConfig(variant="uniform"), (1.0, 1.0)),
        (WeightingConfig(variant="fixed", fixed_mss=0.5, fixed_pe=2.0), (0.5, 2.0)),
    ):
        weights = Weighting(config)(shown)
        assert not Weighting(config).compares
        assert torch.equal(weights.mss, torch.full((2, 3), expected[0]))
        assert torch.equal(weights.pe, torch.full((2, 3), expected[1]))


def random_evidence(generator: torch.Generator, shape: tuple[int, int] = (4, 8)) -> Evidence:
    def chance(share: float) -> Tensor:
        return (torch.rand(shape, generator=generator) < share).float()

    def loss() -> Tensor:
        return torch.exp(2 * torch.randn(shape, generator=generator))

    return Evidence(
        predicted=torch.rand(shape, generator=generator).round(),
        target=torch.rand(shape, generator=generator).round(),
        voiced=chance(0.7),
        pitch_known=chance(0.8),
        sources_known=chance(0.8),
        separation_loss=loss(),
        pitch_loss=loss(),
        confidence=torch.rand(shape, generator=generator),
        pseudo=chance(0.5),
    )


def check_weights(shown: Evidence, weighting: Weighting) -> None:
    weights = weighting(shown)
    for values, known in ((weights.mss, shown.sources_known), (weights.pe, shown.pitch_known)):
        assert torch.isfinite(values).all()
        assert values.min() >= weighting.config.lowest - 1e-6
        assert values.max() <= weighting.config.highest + 1e-6
        if known.any():
            assert ((values * known).sum() / known.sum()).item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_weights_stay_bounded_and_mean_1_for_1e5_random_steps() -> None:
    """Tables far outside any sensible one, so that both bounds are met often."""
    generator = torch.Generator().manual_seed(0)
    config = WeightingConfig(mss=(1.0, 0.001, 50.0, 3.0), pe=(1.0, 0.0, 2.0, 30.0), granularity="frame")
    weighting = Weighting(config)
    smallest, largest, furthest, met = 9.0, 0.0, 0.0, [0, 0]
    for _ in range(100):
        whole = random_evidence(generator, (1000, 8))
        for weights, known in zip(weighting.raw(whole), (whole.sources_known, whole.pitch_known), strict=True):
            for step in zip(weights.split(1), known.split(1), strict=True):  # 1000 steps, of one row each
                found = normalise(*step, config.lowest, config.highest)
                smallest, largest = min(smallest, found.min().item()), max(largest, found.max().item())
                met[0] += bool((found == config.lowest).any())
                met[1] += bool((found == config.highest).any())
                if step[1].any():
                    furthest = max(furthest, abs(((found * step[1]).sum() / step[1].sum()).item() - 1.0))
    assert smallest >= config.lowest - 1e-6 and largest <= config.highest + 1e-6
    assert furthest < 1e-5
    assert min(met) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e-3, 1e-1])
def test_the_dwm_neither_collapses_nor_diverges(rate: float) -> None:
    """At its learning rate and at a hundred times it: weights stay where they may be, and differ from each other."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    config = WeightingConfig(variant="dwm", granularity="frame", learning_rate=rate)
    weighting = DynamicWeights(config, device=torch.device("cpu"))
    for _ in range(2000):
        check_weights(random_evidence(generator), weighting)
    shown = random_evidence(generator, (32, 32))
    mss, pe = weighting.raw(shown)
    for raw in (mss, pe):
        assert 1 / config.highest - 1e-4 <= raw.min() and raw.max() <= config.highest + 1e-4
        assert raw.median() > 0.3  # not collapsed
    spread = weighting(shown).log
    assert spread["omega_mss_spread"] > 0.05 and spread["omega_pe_spread"] > 0.05


def test_the_dwm_learns_the_optimum_of_its_objective() -> None:
    """omega * loss - log omega is smallest at omega = 1 / loss: frames twice as hard get half the weight."""
    torch.manual_seed(0)
    config = WeightingConfig(variant="dwm", learning_rate=1e-2, granularity="frame")
    weighting = DynamicWeights(config, device=torch.device("cpu"))
    loss = torch.tensor([[0.5, 1.5]]).repeat(8, 4)
    right = torch.tensor([[1.0, 0.0]]).repeat(8, 4)
    shown = evidence(right, right, separation_loss=loss, pitch_loss=loss)
    for _ in range(400):
        weighting(shown)
    mss, pe = weighting.raw(shown)
    for raw in (mss, pe):
        assert (raw[0, 0] / raw[0, 1]).item() == pytest.approx(3.0, rel=0.05)


def test_the_dwm_goes_on_exactly_where_it_stopped() -> None:
    def fresh() -> DynamicWeights:
        torch.manual_seed(0)
        return DynamicWeights(WeightingConfig(variant="dwm"), device=torch.device("cpu"))

    steps = [random_evidence(torch.Generator().manual_seed(n)) for n in range(6)]
    unbroken, first, second = fresh(), fresh(), fresh()
    expected = [unbroken(step) for step in steps]
    for step in steps[:3]:
        first(step)
    second.load_state_dict(first.state_dict())
    resumed = [second(step) for step in steps[3:]]
    assert torch.equal(resumed[-1].mss, expected[-1].mss) and torch.equal(resumed[-1].pe, expected[-1].pe)


def test_the_log_tells_shares_and_weights_of_the_cases() -> None:
    predicted = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    log = Weighting(RAW)(evidence(predicted, target)).log
    assert [log[f"case{n}"] for n in (1, 2, 3, 4)] == [0.25] * 4
    assert log["omega_mss"] == pytest.approx(1.25) and log["omega_pe"] == pytest.approx(1.0)
    assert [round(log[f"omega_mss_case{n}"], 3) for n in (1, 2, 3, 4)] == [0.8, 0.8, 1.6, 0.8]
    assert [round(log[f"omega_pe_case{n}"], 3) for n in (1, 2, 3, 4)] == [1.0, 0.5, 1.0, 1.5]
    assert log["omega_mss_spread"] == pytest.approx(0.8 * math.sqrt(3) / 4, abs=1e-4)


def test_normalising_finds_the_scale_that_clipping_leaves() -> None:
    weights = torch.tensor([[1.0, 1.0, 1.0, 1000.0]])
    known = torch.ones(1, 4)
    found = normalise(weights, known, 0.1, 2.0)
    assert found.mean().item() == pytest.approx(1.0, abs=1e-4)
    assert found[0, 3].item() == 2.0 and found[0, 0].item() == pytest.approx(2 / 3, abs=1e-3)


def test_with_nothing_known_all_weights_are_1() -> None:
    assert torch.equal(normalise(torch.rand(2, 3), torch.zeros(2, 3), 0.1, 4.0), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "dwsh"}, "weighting.variant 'dwsh'"),
        ({"granularity": "track"}, "weighting.granularity 'track'"),
        ({"lowest": 0.0}, "weighting.lowest 0.0 and highest 4.0 do not enclose 1"),
        ({"highest": 0.5}, "do not enclose 1"),
        ({"pe": (1.0, -0.5, 1.0, 1.0)}, "a negative weight"),
        ({"wrong_cents": 20.0}, "wrong_cents 20.0 lies below right_cents 50.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        WeightingConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_a_joint_model(variant: str) -> None:
    from test_losses import tiny_batch, tiny_joint

    from majl_cli.training.losses import LossConfig
    from majl_cli.training.stage import make_weighting
    from majl_cli.training.step import joint_losses

    joint = tiny_joint().train()
    before = [buffer.clone() for name, buffer in joint.pitch.named_buffers() if "running" in name]
    weighting = make_weighting(WeightingConfig(variant=variant), device=torch.device("cpu"))
    losses = joint_losses(joint, tiny_batch(), joint, LossConfig(), weighting)
    losses.total.backward()
    assert torch.isfinite(losses.total) and ("case1" in losses.log) == weighting.compares
    after = [buffer for name, buffer in joint.pitch.named_buffers() if "running" in name]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_looking_at_the_target_source_leaves_running_statistics_alone() -> None:
    """They are those of one pass over the estimate, whether or not the target was listened to."""
    from test_losses import losses_of, tiny_batch, tiny_joint

    statistics = []
    for variant in ("uniform", "dwhs"):
        joint = tiny_joint().train()
        losses_of(joint, tiny_batch(), variant)
        statistics.append([b.clone() for n, b in joint.named_buffers() if "running" in n or "tracked" in n])
    assert all(torch.equal(a, b) for a, b in zip(*statistics, strict=True))
