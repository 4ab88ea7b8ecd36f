"""What the three experiments of the paper compare: plain lists of runs, each an ordinary training.

An arm is a configuration on top of the project's. Experiments share arms: the one run that is ``stage2`` is the MAJL
of ``baseline``, the ``dwhs`` of ``dwhs`` and the 0.7 of ``threshold``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majl_cli.project import StageNumber

Threshold = float | str


@dataclass(frozen=True, kw_only=True)
class Arm:
    """``settings`` go on top of the project's; ``th`` (a number or "auto") filters the pseudo-labels of the ``stage1``
    arm of the same seed, None: none are used."""

    name: str
    label: str
    stage: StageNumber
    settings: Mapping[str, Any] = field(default_factory=dict)
    th: Threshold | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``reference`` is the arm the others are compared with; ``thresholds`` are the arms of the threshold curve."""

    name: str
    title: str
    arms: tuple[Arm, ...]
    reference: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, arm: Arm) -> str:
        """What the arm is called in this experiment."""
        return self.labels.get(arm.name, arm.label)


def _independent(buckets: Mapping[str, float]) -> dict[str, Any]:
    return {
        "model": {"cascade": "independent"},
        "weighting": {"variant": "uniform"},
        "loss": {"clean_pitch": 0.0},  # the pitch module hears nothing else already
        "data": {"buckets": dict(buckets)},
    }


def _weighted(variant: str, **settings: float) -> Arm:
    weighting = {"variant": variant, **settings}
    return Arm(name=f"stage2-{variant}", label=variant, stage=2, settings={"weighting": weighting}, th=0.7)


MAJL = {"weighting": {"variant": "dwhs"}}
STAGE1 = Arm(name="stage1", label="Stage I: joint, fully labelled data", stage=1, settings=MAJL)
STAGE2 = Arm(name="stage2", label="Stage II: MAJL", stage=2, settings=MAJL, th=0.7)
BASELINE = Plan(
    name="baseline",
    title="Pipeline, Stage I and Stage II",
    reference="pipeline",
    arms=(
        Arm(
            name="pipeline",
            label="pipeline: two modules trained apart, fully labelled data",
            stage=1,
            settings=_independent({"full": 1.0}),
        ),
        Arm(
            name="pipeline-more",
            label="pipeline, separation also on the mss bucket",
            stage=1,
            settings=_independent({"full": 1.0, "mss": 1.0}),
        ),
        STAGE1,
        STAGE2,
    ),
)
DWHS = Plan(
    name="dwhs",
    title="Weights on hard samples, in Stage II",
    reference="stage2-uniform",
    arms=(
        _weighted("uniform"),
        # What the table gives on average where a quarter of the frames falls into each case.
        _weighted("fixed", fixed_mss=1.25, fixed_pe=1.0),
        STAGE2,
        _weighted("dwm"),
    ),
    labels={"stage2": "dwhs"},
)
THRESHOLD = Plan(
    name="threshold",
    title="The filter's threshold, in Stage II",
    reference="stage2",
    arms=tuple(
        STAGE2 if th == 0.7 else Arm(name=f"stage2-th-{th}", label=f"th {th}", stage=2, settings=MAJL, th=th)
        for th in (0.5, 0.6, 0.7, 0.8, 0.9, "auto")
    ),
    labels={"stage2": "th 0.7"},
)
PLANS = {plan.name: plan for plan in (BASELINE, DWHS, THRESHOLD)}
