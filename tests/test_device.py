"""Choosing device, precision and threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from majl_cli import device as device_module
from majl_cli.device import Runtime, make_runtime, resolve_device, usable_cores
from majl_cli.errors import DeviceError


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
    assert make_runtime("auto").precision == "float16"


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no cuda device on this machine"):
        resolve_device("cuda")
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        resolve_device("gpu")


@pytest.mark.parametrize("options", [{"precision": "half"}, {"threads": 0}, {"device": "cpu", "precision": "float16"}])
def test_wrong_choices(options: dict[str, object]) -> None:
    with pytest.raises(DeviceError):
        make_runtime(**options)  # type: ignore[arg-type]


def test_threads_are_set_and_default_to_the_usable_cores() -> None:
    assert make_runtime("cpu", threads=1).threads == torch.get_num_threads() == 1
    assert make_runtime("cpu").threads == torch.get_num_threads() == usable_cores()


@pytest.fixture
def bfloat16_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)


@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_auto_precision_on_a_cpu_is_the_faster_one(
    bfloat16_there: None, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    seen: list[str] = []

    def timed(module: object, excerpt: torch.Tensor) -> float:
        precision = "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"
        seen.append(precision)
        return 0.1 if precision == faster else 0.2

    monkeypatch.setattr(device_module, "_timed", timed)
    assert make_runtime("cpu", joint=Probed(torch.nn.Identity())).precision == faster
    assert set(seen) == {"float32", "bfloat16"}


class Probed(torch.nn.Module):
    """A joint model of which only the separation module is there."""

    def __init__(self, separation: torch.nn.Module) -> None:
        super().__init__()
        self.separation = separation
        self.separation.channels, self.separation.sample_rate = 2, 100  # type: ignore[assignment]


class FloatOnly(torch.nn.Identity):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor")
        return x


def test_a_module_that_cannot_compute_in_bfloat16_gets_float32(bfloat16_there: None) -> None:
    assert make_runtime("cpu", joint=Probed(FloatOnly())).precision == "float32"


def test_without_instructions_for_bfloat16_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(device_module, "_timed", lambda module, excerpt: pytest.fail("measured"))
    assert make_runtime("cpu", joint=Probed(torch.nn.Identity())).precision == "float32"


def test_a_slow_module_is_measured_once_in_each_precision(
    bfloat16_there: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[bool] = []

    def timed(module: object, excerpt: torch.Tensor) -> float:
        runs.append(torch.is_autocast_enabled("cpu"))
        return 20.0 if runs[-1] else 60.0

    monkeypatch.setattr(device_module, "_timed", timed)
    assert make_runtime("cpu", joint=Probed(torch.nn.Identity())).precision == "bfloat16"
    assert runs == [False, True]


def test_autocast_changes_nothing_for_float32() -> None:
    with Runtime(device=torch.device("cpu"), precision="float32").autocast():
        assert not torch.is_autocast_enabled("cpu")
    with Runtime(device=torch.device("cpu"), precision="bfloat16").autocast():
        assert torch.is_autocast_enabled("cpu")
    assert str(Runtime(device=torch.device("cpu"), precision="bfloat16", threads=2)) == "cpu, bfloat16, 2 threads"
