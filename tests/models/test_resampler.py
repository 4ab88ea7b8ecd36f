"""The resampler inside the graph, against soxr's."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch

from majl_cli.models.joint import Resampler


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 44100), (48000, 16000), (16000, 8000)])
def test_agrees_with_soxr_where_both_pass(old: int, new: int) -> None:
    time = np.arange(old) / old
    rng = np.random.default_rng(0)
    limit = 0.4 * min(old, new)
    tones = zip(rng.uniform(50, limit, 8), rng.uniform(0, 6, 8), strict=True)
    audio = sum(np.sin(2 * np.pi * f * time + p) for f, p in tones)
    expected = soxr.resample(audio, old, new, quality="VHQ")
    found = Resampler(old, new)(torch.from_numpy(audio.astype(np.float32))).numpy()
    assert len(found) == len(expected) == new
    middle = slice(new // 10, -new // 10)
    error = np.sqrt(np.mean((found - expected)[middle] ** 2) / np.mean(expected[middle] ** 2))
    assert 20 * np.log10(error) < -50


def test_removes_what_would_alias() -> None:
    time = np.arange(44100) / 44100
    tone = torch.from_numpy(np.sin(2 * np.pi * 9500 * time).astype(np.float32))
    assert Resampler(44100, 16000)(tone)[500:-500].abs().max() < 1e-3


def test_the_same_rate_changes_nothing() -> None:
    audio = torch.randn(2, 3, 101)
    assert torch.equal(Resampler(16000, 16000)(audio), audio)


@pytest.mark.parametrize("samples", [1, 2, 3, 440, 441, 442])
def test_length_is_rounded_and_the_gradient_flows(samples: int) -> None:
    audio = torch.randn(2, 1, samples, requires_grad=True)
    out = Resampler(44100, 16000)(audio)
    assert out.shape == (2, 1, round(samples * 16000 / 44100))
    out.sum().backward()
    assert audio.grad is not None and torch.isfinite(audio.grad).all()
