"""Floors and ceilings by name: each is called without arguments and gives an estimator. No torch or librosa here."""

from __future__ import annotations

from collections.abc import Callable

from majl_cli.evaluation.baselines.crepe import TorchCrepeFull, TorchCrepeTiny
from majl_cli.evaluation.baselines.fcpe import Fcpe
from majl_cli.evaluation.baselines.masks import IdealComplexMask, IdealRatioMask
from majl_cli.evaluation.baselines.mixture import Mixture
from majl_cli.evaluation.baselines.nn_filter import NearestNeighbourFilter
from majl_cli.evaluation.baselines.pesto import Pesto
from majl_cli.evaluation.baselines.pyin import Pyin
from majl_cli.evaluation.baselines.swiftf0 import SwiftF0
from majl_cli.evaluation.prepared import Estimator

baselines: dict[str, Callable[[], Estimator]] = {
    "mixture": Mixture,
    "nn-filter": NearestNeighbourFilter,
    "irm": IdealRatioMask,
    "icm": IdealComplexMask,
    "pyin": Pyin,
    "torchcrepe-tiny": TorchCrepeTiny,
    "torchcrepe-full": TorchCrepeFull,
    "pesto": Pesto,
    "swift-f0": SwiftF0,
    "fcpe": Fcpe,
}
