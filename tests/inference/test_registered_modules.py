"""What the chunks promise for every registered module: chunked equals whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from fake_modules import RUNTIME, in_blocks, noise
from tiny import PITCH, PITCH_CASES, SEPARATION, SEPARATION_CASES

from majl_cli.inference.chunks import plan_chunks
from majl_cli.inference.pitch import salience_blocks
from majl_cli.inference.separation import estimate_blocks
from majl_cli.models.registry import build_pitch, build_separation


@pytest.mark.parametrize(("name", "kind"), SEPARATION_CASES)
@pytest.mark.parametrize(("extra", "batch"), [(0, 1), (1, 1), (777, 1), (777, 3)])
def test_chunked_separation_equals_the_whole(name: str, kind: str, extra: int, batch: int) -> None:
    torch.manual_seed(0)
    module = build_separation(name, SEPARATION[name][kind]).eval()
    plan = plan_chunks(module)
    audio = noise(2 * plan.step + plan.length + extra, module.channels)
    blocks = in_blocks(audio, 9999)
    runtime = dataclasses.replace(RUNTIME, batch=batch)
    parts = estimate_blocks(
        module, blocks, module.sample_rate, module.channels, runtime=runtime, stems=module.stems
    )  # fmt: skip
    with torch.no_grad():
        whole = module(torch.from_numpy(audio.T.copy())[None])[0].numpy().swapaxes(-1, -2)
    result = np.concatenate(list(parts), axis=1)
    assert np.abs(whole).max() > 1e-3
    assert np.abs(result - whole).max() < 1e-4


@pytest.mark.parametrize(("name", "kind"), PITCH_CASES)
@pytest.mark.parametrize(("extra", "batch"), [(0, 1), (1, 1), (777, 1), (777, 3)])
def test_chunked_salience_equals_the_whole(name: str, kind: str, extra: int, batch: int) -> None:
    torch.manual_seed(0)
    module = build_pitch(name, PITCH[name][kind]).eval()
    plan = plan_chunks(module, unit=module.hop_length)
    audio = noise(plan.step + plan.length + extra)
    runtime = dataclasses.replace(RUNTIME, batch=batch)
    salience = np.concatenate(list(salience_blocks(module, in_blocks(audio, 9999), runtime=runtime)))
    with torch.no_grad():
        whole = torch.sigmoid(module(torch.from_numpy(audio.T.copy())))[0].numpy()
    assert np.ptp(whole) > 1e-3
    assert np.abs(salience - whole).max() < 1e-4
