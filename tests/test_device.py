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


@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_auto_precision_on_a_cpu_is_the_faster_one(monkeypatch: pytest.MonkeyPatch, faster: str) -> None:
    seen: list[str] = []

    def timed(module: object, excerpt: torch.Tensor) -> float:
        precision = "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"
        seen.append(precision)
        return 0.1 if precision == faster else 0.2

    class Joint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.separation = torch.nn.Identity()
            self.separation.channels, self.separation.sample_rate = 2, 100  # type: ignore[assignment]

    monkeypatch.setattr(device_module, "_timed", timed)
    assert make_runtime("cpu", joint=Joint()).precision == faster
    assert set(seen) == {"float32", "bfloat16"}


def test_autocast_changes_nothing_for_float32() -> None:
    with Runtime(device=torch.device("cpu"), precision="float32").autocast():
        assert not torch.is_autocast_enabled("cpu")
    with Runtime(device=torch.device("cpu"), precision="bfloat16").autocast():
        assert torch.is_autocast_enabled("cpu")
    assert str(Runtime(device=torch.device("cpu"), precision="bfloat16", threads=2)) == "cpu, bfloat16, 2 threads"
