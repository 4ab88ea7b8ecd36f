"""Weights as other projects publish them: safetensors, or PyTorch files read as plain tensors and nothing else.

A PyTorch file is a pickle, and a pickle can run whatever it likes: what is not plain tensors is refused. The YAML files
that lie beside such weights are never read.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from majl_cli.errors import CheckpointError

TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".th")
_WRAPPERS = ("state_dict", "state", "model", "best_state")
_AGAIN = "fetch it again with majl models pull, or copy it again"


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and what a safetensors file says of itself. Raises CheckpointError."""
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    if path.suffix.lower() in TORCH_SUFFIXES:
        return _tensors(path, _unwrap(_read_plain(path))), {}
    known = ", ".join((".safetensors", *TORCH_SUFFIXES))
    raise CheckpointError(f"{path}: not a kind of weights that majl reads", f"it reads {known}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not safetensors: {error}", _AGAIN) from error


def _read_plain(path: Path) -> Any:
    """What a PyTorch file holds, by the unpickler that knows tensors and containers only."""
    damaged = f"{path}: damaged, or not a PyTorch file"
    try:
        _refuse_packed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if not (zipfile.is_zipfile(path) or _starts_as_pickle(path)):
            raise CheckpointError(damaged, _AGAIN) from error
        raise CheckpointError(
            f"{path}: holds more than plain tensors: to load it, code in it would have to be executed",
            "refused: ask its author for safetensors, or use a copy in that format",
        ) from error
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{damaged}: {reason or type(error).__name__}", _AGAIN) from error


def _refuse_packed(path: Path) -> None:
    """PyTorch stores and never compresses: a small file that unpacks to a huge one is none of its own."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    compressed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if compressed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise CheckpointError(
            f"{path}: holds compressed parts, or more than its own size, as no file of PyTorch does",
            "refused: ask its author for safetensors",
        )


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def _unwrap(content: Any, levels: int = 2) -> Any:
    """The state dict inside what training programs save around it (optimiser, step, configuration)."""
    if isinstance(content, Mapping) and levels:
        for key in _WRAPPERS:
            inner = _unwrap(content.get(key), levels - 1)
            if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
                return inner
    return content


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """Plain numbers and texts among the tensors say nothing to a network, and go."""
    named = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path}: no tensors by name in it", "give a file that holds a state dict")
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            kind = "without values" if tensor.device.type != "cpu" else f"stored as {tensor.layout}"
            raise CheckpointError(f"{path}: {name!r} is {kind}", "give a file of ordinary (dense) tensors")
    return tensors
