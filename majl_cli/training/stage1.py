"""Stage I: the joint cascade on the fully labelled bucket, from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from majl_cli.training.stage import Stage
from majl_cli.training.stage_config import StageConfig


@dataclass(frozen=True, kw_only=True)
class Stage1Config(StageConfig):
    """What Stage I depends on."""


class Stage1(Stage):
    """Trains on fully labelled tracks unless ``data.buckets`` says otherwise; tracks with fewer labels may take part
    with what they have."""

    number = 1
    buckets = {"full": 1.0}
